//! People change things in SageMaker Studio: that holds, and is journalled as theirs.

use super::Home;
use crate::registry_stories::APPROVED;
use crate::registry_stories::PENDING;
use crate::registry_stories::numbers;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::REGION;
use aws_sdk_sagemaker::types::InferenceSpecification;
use aws_sdk_sagemaker::types::ModelApprovalStatus;
use aws_sdk_sagemaker::types::ModelPackageContainerDefinition;
use branchline::facts::group::GroupFacts;
use branchline::facts::group::GroupLook;
use branchline::model::cloud::Serve;
use branchline::model::history::HistoryAction;
use branchline::model::version::Rejection;
use branchline::model::version::VersionContent;
use branchline::model::version::VersionNumber;
use branchline::plan::rollback;
use branchline::ports::Changed;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;
use serde_json::Value;

pub(super) fn arn(home: &Home, number: u32) -> String {
    let versions = home.place.world.versions(DEV, home.group.as_str());
    versions.into_iter().find(|version| version.version == u64::from(number)).expect("it").arn
}

/// Ana decides in Studio.
pub(super) fn in_studio(home: &Home, number: u32, status: ModelApprovalStatus) {
    let arn = arn(home, number);
    home.place.world.set_approval(DEV, &arn, status.as_str());
    home.place.world.with(|state| {
        let package = state.place(DEV, REGION).packages.get_mut(&arn).expect("it");
        package.request["LastModifiedBy"] = serde_json::json!({ "UserProfileName": "ana" });
    });
}

pub(super) async fn made_by_hand(home: &Home, status: ModelApprovalStatus) {
    let client = &home.place.session.sagemaker;
    let _ = client.create_model_package_group().model_package_group_name(home.group.as_str()).send().await;
    let made = client.create_model_package().model_package_group_name(home.group.as_str());
    made.model_approval_status(status).customer_metadata_properties("auc", "0.91").send().await.expect("made");
}

#[tokio::test]
async fn an_approval_in_studio_holds_and_is_journalled_by_the_next_writer() {
    let home = Home::new().await;
    home.register("a", APPROVED).await;
    home.register("b", PENDING).await;
    in_studio(&home, 2, ModelApprovalStatus::Approved);
    let facts = home.look().await;
    let current = facts.current.expect("current");
    assert_eq!((current.number.0, current.once_approved), (2, true));
    assert_eq!(home.story().await.len(), 3, "a look writes nothing");
    home.register("c", PENDING).await;
    assert_eq!(
        home.story().await[3..],
        ["approved v2 -> v2 by ana", "registered v3 -> v2 by author"].map(str::to_owned)
    );
    assert_eq!(numbers(&home.look().await.formerly_current), [1]);

    in_studio(&home, 2, ModelApprovalStatus::Rejected);
    let facts = home.look().await;
    assert_eq!(facts.current_number(), Some(VersionNumber(1)));
    let rejected = &facts.recent[1];
    assert!(rejected.is_banned() && rejected.rejection == Some(Rejection::Person) && rejected.once_approved);
    // A decision that was taken on the old world is stale.
    let stale = home.set(3, PENDING, APPROVED, None).await;
    assert_eq!(stale, Changed::Done, "it was decided on what is true now");
    assert_eq!(
        home.story().await[5..],
        ["rejected v2 -> v1 by ana", "approved v3 -> v3 by reviewer"].map(str::to_owned)
    );
}

#[tokio::test]
async fn a_version_made_by_hand_counts_and_matches_nothing() {
    let home = Home::new().await;
    home.register("a", APPROVED).await;
    let decided = home.decide("b", APPROVED).await;
    made_by_hand(&home, ModelApprovalStatus::Approved).await;
    assert!(matches!(home.registry.register(&decided).await.expect("register"), Registered::Stale(_)));
    let facts = home.look().await;
    let current = facts.current.expect("theirs");
    assert_eq!((current.number.0, facts.newest), (2, Some(VersionNumber(2))));
    assert!(current.content.not_promotable.is_some_and(|why| why.contains("not by Branchline")));
    assert_eq!(current.content.metrics.values().copied().collect::<Vec<_>>(), [0.91]);
    assert_eq!(facts.highest.map(|highest| highest.semver), Some(decided.content.semver.clone()));
    let next = home.register("b", APPROVED).await;
    assert_eq!(next.number.0, 3);
    let story = home.story().await;
    assert_eq!(story[2..4], ["registered v2 -> v2 by nobody", "approved v2 -> v2 by nobody"].map(str::to_owned));
    assert_eq!(numbers(&home.look().await.formerly_current), [2, 1]);
}

#[tokio::test]
async fn a_group_of_the_team_is_taken_as_it_is() {
    let mut home = Home::new().await;
    home.group = branchline::model::name::GroupName::parse("ChurnModelGroup").expect("name");
    for status in [ModelApprovalStatus::Approved, ModelApprovalStatus::PendingManualApproval] {
        made_by_hand(&home, status).await;
    }
    let facts = home.look().await;
    assert_eq!((facts.newest, facts.current_number()), (Some(VersionNumber(2)), Some(VersionNumber(1))));
    assert_eq!((facts.owner, facts.highest), (None, None));
    let first = home.register("a", APPROVED).await;
    assert_eq!(first.number.0, 3);
    assert_eq!(home.story().await, ["registered v3 -> v3 by author", "approved v3 -> v3 by author"]);
    assert_eq!(numbers(&home.look().await.formerly_current), [1]);
    assert_eq!(numbers(&home.registry.list(&home.group, None, 10).await.expect("list")), [3, 2, 1]);
    home.place.world.assert_clean();
}

#[tokio::test]
async fn a_version_deleted_in_studio_is_gone_and_its_number_is_not_given_again() {
    let home = Home::new().await;
    for what in ["a", "b", "c"] {
        home.register(what, APPROVED).await;
    }
    for number in [3, 1] {
        let delete = home.place.session.sagemaker.delete_model_package();
        delete.model_package_name(arn(&home, number)).send().await.expect("delete");
    }
    let facts = home.look().await;
    assert_eq!((numbers(&facts.recent), facts.current_number()), (vec![2], Some(VersionNumber(2))));
    assert_eq!(home.register("d", PENDING).await.number.0, 4);
    let story = home.story().await;
    assert_eq!(story.iter().filter(|line| line.starts_with("pruned")).count(), 2, "{story:?}");
}

#[tokio::test]
async fn what_was_lost_in_the_bucket_is_written_again_from_the_versions() {
    let home = Home::new().await;
    let a = home.register("a", APPROVED).await;
    let b = home.register("b", APPROVED).await;
    let lost = ["/group.json", "/index/", "/versions/"];
    home.place.world.with(|state| {
        let bucket = state.buckets.get_mut(DEV_BUCKET).expect("bucket");
        bucket.objects.retain(|key, _| !lost.iter().any(|part| key.contains(part)));
    });
    let facts = home.look().await;
    assert_eq!((facts.current.clone(), facts.recent), (Some(b.clone()), vec![b.clone(), a.clone()]));
    let c = home.register("c", APPROVED).await;
    let look = branchline::facts::group::GroupLook {
        contents: vec![a.content.content.clone()],
        ..branchline::facts::group::GroupLook::default()
    };
    let facts = home.look_for(look).await;
    assert_eq!(facts.matching, [a]);
    assert_eq!((facts.owner.is_some(), facts.current), (true, Some(c)));
}

#[tokio::test]
async fn a_version_says_in_sagemaker_where_it_comes_from() {
    let home = Home::new().await;
    let mut registration = home.decide("a", APPROVED).await;
    registration.by.run_url = Some("https://ci/run/1".to_owned());
    let digest = format!("sha256:{}", "ab".repeat(32));
    let image = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:1".to_owned();
    registration.content.lineage.image = Some(image.clone());
    registration.content.lineage.image_digest = Some(digest.clone());
    registration.content.artifacts[0].location = "s3://elsewhere/model.tar.gz".to_owned();
    for n in 0..60 {
        registration.content.lineage.hyperparameters.insert(format!("p{n}"), "{\"a\": 1}".repeat(n + 1));
    }
    registration.content.serve = Some(Serve {
        image,
        content_types: vec!["text/csv".to_owned()],
        response_types: Vec::new(),
        environment: [("MODE".to_owned(), "fast".to_owned())].into(),
        realtime_instances: Vec::new(),
        transform_instances: Vec::new(),
    });
    let version = match home.registry.register(&registration).await.expect("register") {
        Registered::New(version) => version,
        other => panic!("{other:?}"),
    };
    let said: Value =
        home.place.world.requests().into_iter().find(|seen| seen.operation == "CreateModelPackage").expect("sent").body;
    let properties = said["CustomerMetadataProperties"].as_object().expect("properties");
    assert_eq!(properties.len(), 50);
    assert_eq!(properties["branchline.fingerprint"], version.content.fingerprint.to_string());
    assert_eq!(properties["param.p0"], "=7B=22a=22: 1=7D");
    assert_eq!(said["MetadataProperties"]["CommitId"], version.content.lineage.commit.as_str());
    assert_eq!(said["MetadataProperties"]["GeneratedBy"], "https://ci/run/1");
    assert!(said["Tags"].is_null() && said["ClientToken"].as_str().is_some_and(|token| token.len() == 36));
    let container = &said["InferenceSpecification"]["Containers"][0];
    assert_eq!(container["Image"], format!("111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn@{digest}"));
    assert_eq!(container["ModelDataUrl"], "s3://elsewhere/model.tar.gz");
    let metrics = &said["ModelMetrics"]["ModelQuality"]["Statistics"];
    let key = metrics["S3Uri"].as_str().and_then(|uri| uri.strip_prefix("s3://acme-ml-dev/")).expect("in the bucket");
    let bytes = home.place.world.object(DEV_BUCKET, key).expect("metrics");
    let digest = branchline::model::digest::Sha256Digest::of(&bytes);
    assert_eq!(metrics["ContentDigest"], format!("sha256:{digest}"));
    // What did not fit is read back all the same.
    assert_eq!(home.look().await.current.expect("current").content, registration.content);
    home.place.world.assert_clean();
}

#[tokio::test]
async fn words_that_nobody_knows_yet_approve_nothing() {
    let home = Home::new().await;
    home.register("a", APPROVED).await;
    home.place.world.with(|state| {
        let new = serde_json::json!({ "ModelApprovalStatus": "Blessed", "ModelPackageStatus": "Pondering", "New": 1 });
        state.overlays.insert("DescribeModelPackage".to_owned(), new);
    });
    made_by_hand(&home, ModelApprovalStatus::PendingManualApproval).await;
    let facts = home.look().await;
    assert_eq!((facts.newest, facts.current_number()), (Some(VersionNumber(2)), Some(VersionNumber(1))));
}

/// Somebody registered a version with its model before Branchline was there.
async fn made_before(home: &Home, model: &str) {
    let client = &home.place.session.sagemaker;
    let _ = client.create_model_package_group().model_package_group_name(home.group.as_str()).send().await;
    let container = ModelPackageContainerDefinition::builder().image("serves:1").model_data_url(model).build();
    let inference = InferenceSpecification::builder()
        .containers(container)
        .supported_content_types("text/csv")
        .supported_response_mime_types("application/json");
    let made = client.create_model_package().model_package_group_name(home.group.as_str());
    let made = made.model_approval_status(ModelApprovalStatus::Approved).inference_specification(inference.build());
    made.send().await.expect("made");
}

async fn before_a_rollback(home: &Home, number: u32) -> GroupFacts {
    let numbers = vec![VersionNumber(number)];
    home.look_for(GroupLook { numbers, with_former: true, ..GroupLook::default() }).await
}

async fn brings_back(home: &Home, facts: &GroupFacts, number: u32) -> Registration {
    let theirs = facts.asked.iter().find(|version| version.number.0 == number).expect("it was asked for");
    let mut restore = home.decide("again", APPROVED).await;
    restore.content = VersionContent { restores: Some(theirs.number), ..theirs.content.clone() };
    restore.action = HistoryAction::Restored;
    restore
}

#[tokio::test]
async fn a_version_of_before_is_brought_back_as_it_was() {
    let home = Home::new().await;
    made_before(&home, "s3://old/m.tar.gz").await;
    home.register("a", APPROVED).await;
    let facts = before_a_rollback(&home, 1).await;
    let way = rollback::choose(&facts, &[], None).expect("there is a way back");
    assert_eq!((way.replaces.0, way.to.0), (2, 1));
    let restore = brings_back(&home, &facts, 1).await;
    let Registered::New(version) = home.registry.register(&restore).await.expect("register") else { panic!("not new") };
    assert_eq!((version.number.0, version.content.restores), (3, Some(VersionNumber(1))));
    let sent = home.place.world.requests().into_iter().rfind(|seen| seen.operation == "CreateModelPackage");
    let inference = sent.expect("sent").body["InferenceSpecification"].clone();
    assert_eq!(inference["Containers"][0]["ModelDataUrl"], "s3://old/m.tar.gz");
    assert_eq!(
        (&inference["Containers"][0]["Image"], &inference["SupportedContentTypes"][0]),
        (&"serves:1".into(), &"text/csv".into())
    );
    assert_eq!(home.look().await.current_number(), Some(VersionNumber(3)));
    // What was brought back can be brought back again.
    home.register("b", APPROVED).await;
    let facts = before_a_rollback(&home, 3).await;
    let again = brings_back(&home, &facts, 3).await;
    let Registered::New(version) = home.registry.register(&again).await.expect("register") else { panic!("not new") };
    assert_eq!(version.number.0, 5);
    home.place.world.assert_clean();
}

#[tokio::test]
async fn a_version_of_others_without_a_model_is_refused_before_the_freeze() {
    let home = Home::new().await;
    made_by_hand(&home, ModelApprovalStatus::Approved).await;
    home.register("a", APPROVED).await;
    let facts = before_a_rollback(&home, 1).await;
    for to in [None, Some(VersionNumber(1))] {
        let reason = rollback::choose(&facts, &[], to).expect_err("there is nothing to bring back");
        assert_eq!(reason.code(), "not-restorable");
        assert!(reason.message().contains("names no model in S3"), "{}", reason.message());
        assert!(reason.hint().is_some_and(|hint| hint.contains("branchline rollback --group")));
    }
    assert!(home.look().await.frozen.is_none());
}
