//! The current version is not among the newest hundred: a look of a run costs one request, and sees what people did.

use super::Home;
use super::people::arn;
use super::people::in_studio;
use super::people::made_by_hand;
use super::requests::grown;
use crate::registry_stories::APPROVED;
use crate::registry_stories::REJECTED;
use crate::registry_stories::content;
use crate::registry_stories::numbers;
use crate::world::aws::DEV_BUCKET;
use aws_sdk_sagemaker::types::ModelApprovalStatus;
use branchline::facts::group::GroupFacts;
use branchline::facts::group::GroupLook;
use branchline::model::version::Rejection;
use branchline::model::version::VersionNumber;
use branchline::ports::Registered;
use branchline::ports::Registry;
use branchline::ports::Stale;

/// What a push asks for where it wants the content `what`.
fn wanting(what: &str) -> GroupLook {
    GroupLook { contents: vec![content(what).content], recent_as_noted: true, ..GroupLook::default() }
}

/// What a run that begins now sees, and how often it asks SageMaker for it.
async fn seen(home: &Home, look: &GroupLook) -> (GroupFacts, usize) {
    let run = home.again().remembering();
    home.place.world.reset_requests();
    let facts = run.look(&home.group, look).await.expect("a look");
    (facts, home.place.world.count_of("SageMaker"))
}

/// What a look that asks for everything sees.
async fn true_of(home: &Home, look: &GroupLook) -> GroupFacts {
    home.look_for(GroupLook { recent_as_noted: false, ..look.clone() }).await
}

#[tokio::test]
async fn a_look_sees_the_same_for_one_request() {
    for count in [300, 3000] {
        let home = grown(count).await;
        // What is looked for: nothing that is there, what is current, and what awaits approval.
        for (what, requests) in [("nowhere", 1), ("first", 1), ("b", 2)] {
            let look = wanting(what);
            let (facts, asked) = seen(&home, &look).await;
            assert_eq!(facts, true_of(&home, &look).await, "{what}");
            assert_eq!(facts.current_number(), Some(VersionNumber(1)));
            assert_eq!(asked, requests, "{what}");
        }
    }
}

#[tokio::test]
async fn a_newer_version_that_a_person_approves_is_current_at_the_next_look() {
    let home = grown(300).await;
    in_studio(&home, 304, ModelApprovalStatus::Approved);
    let look = wanting("first");
    let (facts, _) = seen(&home, &look).await;
    assert_eq!(facts, true_of(&home, &look).await);
    assert_eq!(facts.current_number(), Some(VersionNumber(304)));

    // One that was made manually as well.
    made_by_hand(&home, ModelApprovalStatus::Approved).await;
    let (facts, _) = seen(&home, &look).await;
    assert_eq!(facts, true_of(&home, &look).await);
    assert_eq!((facts.current_number(), facts.newest), (Some(VersionNumber(307)), Some(VersionNumber(307))));
    home.place.world.assert_clean();
}

#[tokio::test]
async fn a_current_version_that_a_person_rejects_is_not_current_at_the_next_look() {
    let home = grown(300).await;
    let look = wanting("first");
    in_studio(&home, 2, ModelApprovalStatus::Approved);
    assert_eq!(seen(&home, &look).await.0.current_number(), Some(VersionNumber(2)));
    in_studio(&home, 2, ModelApprovalStatus::Rejected);
    assert_eq!(seen(&home, &look).await.0.current_number(), Some(VersionNumber(1)));
    in_studio(&home, 1, ModelApprovalStatus::Rejected);
    let (facts, _) = seen(&home, &look).await;
    assert_eq!(facts, true_of(&home, &look).await);
    assert_eq!((facts.current, facts.matching[0].approval), (None, REJECTED));
}

#[tokio::test]
async fn what_is_looked_for_is_as_people_left_it() {
    let home = grown(300).await;
    in_studio(&home, 303, ModelApprovalStatus::Rejected);
    let (facts, _) = seen(&home, &wanting("c")).await;
    assert_eq!(numbers(&facts.matching), [303]);
    assert_eq!((facts.matching[0].approval, facts.matching[0].rejection), (REJECTED, Some(Rejection::Person)));
    assert_eq!(facts, true_of(&home, &wanting("c")).await);

    let delete = home.place.session.sagemaker.delete_model_package();
    delete.model_package_name(arn(&home, 302)).send().await.expect("delete");
    let (facts, _) = seen(&home, &wanting("b")).await;
    assert_eq!(numbers(&facts.matching), [0; 0]);

    // An index that was lost hides nothing that is among the newest few.
    in_studio(&home, 305, ModelApprovalStatus::Rejected);
    home.place.world.with(|state| {
        let bucket = state.buckets.get_mut(DEV_BUCKET).expect("bucket");
        bucket.objects.retain(|key, _| !key.contains("/index/"));
    });
    let (facts, _) = seen(&home, &wanting("e")).await;
    assert_eq!(numbers(&facts.matching), [305]);
    assert_eq!(facts.matching[0].approval, REJECTED);
    assert_eq!(facts.recent[1].approval, REJECTED);
}

#[tokio::test]
async fn a_version_made_by_hand_that_waits_costs_a_turn_and_is_journalled() {
    let home = grown(300).await;
    made_by_hand(&home, ModelApprovalStatus::PendingManualApproval).await;
    let run = home.again().remembering();
    let mut registration = home.decide("new", APPROVED).await;
    let look = wanting("new");
    let mut answers = Vec::new();
    for _ in 0..2 {
        let facts = run.look(&home.group, &look).await.expect("a look");
        registration.expected.newest = facts.newest;
        answers.push(run.register(&registration).await.expect("an answer"));
    }
    let stale = Stale::Versions { newest: Some(VersionNumber(307)), current: Some(VersionNumber(1)) };
    assert_eq!(answers[0], Registered::Stale(stale));
    let Registered::New(made) = &answers[1] else { panic!("{answers:?}") };
    assert_eq!(made.number, VersionNumber(308));
    let story = home.story().await;
    let last: Vec<&str> = story.iter().rev().take(3).map(String::as_str).collect();
    assert_eq!(
        last,
        ["approved v308 -> v308 by author", "registered v308 -> v308 by author", "registered v307 -> v1 by nobody"]
    );
    let (facts, asked) = seen(&home, &look).await;
    assert_eq!((facts.current_number(), asked), (Some(made.number), 1));
}
