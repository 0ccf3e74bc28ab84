//! What it costs: the same number of requests however many versions a group has.

use super::Home;
use crate::registry_stories::APPROVED;
use crate::registry_stories::PENDING;
use crate::registry_stories::content;
use crate::registry_stories::numbers;
use crate::world::aws::DEV;
use crate::world::aws::REGION;
use branchline::facts::group::GroupLook;
use branchline::model::version::VersionNumber;
use branchline::ports::Registry;

/// A group with so many versions: the first ones the team's own, the last five ours.
pub(super) async fn grown(count: u64) -> Home {
    let home = Home::new().await;
    let first = home.register("first", APPROVED).await;
    team_s_own(&home, 2, count);
    assert_eq!(first.number.0, 1);
    for what in ["a", "b", "c", "d", "e", "f"] {
        home.register(what, PENDING).await;
    }
    home
}

/// A group with some pending versions of ours, and then the team's own up to a number.
async fn grown_after(ours: &[&str], count: u64) -> Home {
    let home = Home::new().await;
    for what in ours {
        home.register(what, PENDING).await;
    }
    team_s_own(&home, ours.len() as u64 + 1, count);
    home
}

fn team_s_own(home: &Home, first: u64, count: u64) {
    home.place.world.with(|state| {
        let place = state.place(DEV, REGION);
        let model = place.packages.values().next().expect("the first").clone();
        for number in first..=count {
            let mut more = model.clone();
            more.arn = model.arn.replace("/1", &format!("/{number}"));
            more.version = number;
            more.request["ModelApprovalStatus"] = "Rejected".into();
            more.request["CustomerMetadataProperties"] = serde_json::json!({ "by": "hand" });
            more.request["ClientToken"] = format!("hand-{number}").into();
            place.packages.insert(more.arn.clone(), more);
        }
        place.numbers.insert(home.group.as_str().to_owned(), count);
    });
}

#[tokio::test]
async fn a_look_and_a_registration_cost_the_same_in_every_group() {
    let mut costs = Vec::new();
    for count in [1, 100, 1000] {
        let home = grown(count).await;
        let world = &home.place.world;
        world.reset_requests();
        let look = GroupLook {
            contents: vec![content("b").content],
            fingerprint: Some(content("c").fingerprint),
            with_former: true,
            ..GroupLook::default()
        };
        let facts = home.look_for(look).await;
        let newest = u32::try_from(count).expect("small") + 6;
        assert_eq!(facts.newest, Some(VersionNumber(newest)));
        assert_eq!(facts.current_number(), Some(VersionNumber(1)));
        assert_eq!(numbers(&facts.matching), [newest - 3, newest - 4]);
        let look = (world.count_of("SageMaker"), world.count_of("S3"));
        let decided = home.decide("g", PENDING).await;
        world.reset_requests();
        home.registry.register(&decided).await.expect("register");
        let register = (world.count_of("SageMaker"), world.count_of("S3"));
        costs.push((look, register));
    }
    // Of the group with one version, the approved one is in the first listing.
    assert_eq!(costs[0].0.0, 1);
    assert_eq!(costs[1], costs[2]);
    assert!(costs[1].0.0 <= 3, "{costs:?}");
    assert!(costs.iter().all(|(_, (sagemaker, _))| *sagemaker <= 4), "{costs:?}");
}

#[tokio::test]
async fn a_pending_version_far_back_is_overtaken_and_one_that_a_person_approved_is_not() {
    // Numbers 1 to 3 are ours, 150 of the team's own come after them.
    let home = grown_after(&["a", "b", "c"], 153).await;
    let world = &home.place.world;
    let arns: Vec<String> = world.versions(DEV, home.group.as_str()).iter().map(|known| known.arn.clone()).collect();
    world.set_approval(DEV, arns.iter().find(|arn| arn.ends_with("/2")).expect("the second"), "Approved");
    let superseded = async || {
        let versions = home.registry.list(&home.group, Some(VersionNumber(4)), 10).await.expect("a list");
        versions.iter().map(|version| (version.number.0, version.superseded)).collect::<Vec<_>>()
    };
    for (what, most) in [("d", 5), ("e", 4)] {
        let mut registration = home.decide(what, PENDING).await;
        registration.supersedes_older = true;
        world.reset_requests();
        home.registry.register(&registration).await.expect("register");
        assert_eq!(superseded().await, [(3, true), (2, false), (1, true)], "{what}");
        let sagemaker = world.count("ListModelPackages") + world.count("BatchDescribeModelPackage");
        assert!(sagemaker <= most, "{what}: {sagemaker}");
    }
}

#[tokio::test]
async fn commits_are_found_by_the_index() {
    let home = grown(120).await;
    let commit = content("a").lineage.commit;
    home.place.world.reset_requests();
    let found = home.registry.of_commits(&home.group, std::slice::from_ref(&commit)).await.expect("found");
    assert_eq!(numbers(&found), [126, 125, 124, 123, 122, 121, 1]);
    assert!(home.place.world.count_of("SageMaker") <= 2);
}

#[tokio::test]
async fn looks_of_one_run_share_what_was_listed_until_one_of_us_changes_the_group() {
    let home = Home::new().await;
    let first = home.register("a", PENDING).await;
    let run = home.again().remembering();
    let look = async || run.look(&home.group, &GroupLook::default()).await.expect("a look");
    let world = &home.place.world;
    let before = look().await;
    world.reset_requests();
    assert_eq!(look().await, before);
    assert_eq!(world.count_of("SageMaker"), 0);

    // Another run registers: seen at once.
    home.register("b", PENDING).await;
    assert_eq!(look().await.newest, Some(VersionNumber(2)));

    // This run registers: seen at once, and nothing is asked for it.
    let decided = home.decide("c", PENDING).await;
    run.register(&decided).await.expect("register");
    world.reset_requests();
    assert_eq!(look().await.newest, Some(VersionNumber(3)));
    assert_eq!(world.count_of("SageMaker"), 0);

    // A person approves in Studio: the next run sees it at once, this one after a minute.
    let arn = world.versions(DEV, home.group.as_str()).first().expect("the first").arn.clone();
    world.set_approval(DEV, &arn, "Approved");
    assert_eq!(
        home.again().remembering().look(&home.group, &GroupLook::default()).await.expect("a look").current_number(),
        Some(first.number)
    );
    home.set_clock("2026-11-09T08:01:00Z");
    assert_eq!(look().await.current_number(), Some(first.number));
}
