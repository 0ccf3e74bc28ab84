//! Whatever is lost, throttled or killed: one version, one story.

use super::Home;
use crate::registry_stories::APPROVED;
use crate::registry_stories::PENDING;
use crate::registry_stories::REJECTED;
use crate::registry_stories::at;
use crate::registry_stories::by;
use crate::registry_stories::content;
use crate::registry_stories::new;
use crate::registry_stories::numbers;
use crate::world::aws::Crash;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use branchline::facts::group::GroupLook;
use branchline::model::history::HistoryAction;
use branchline::model::version::Rejection;
use branchline::model::version::VersionNumber;
use branchline::ports::ApprovalChange;
use branchline::ports::Changed;
use branchline::ports::PortErrorKind;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;

/// A group in which something can be approved, overtaken and forgotten, and a promotion into it.
async fn begun() -> (Home, Registration) {
    let home = Home::new().await;
    home.register("a", APPROVED).await;
    home.register("b", PENDING).await;
    let mut promotion = home.decide("c", APPROVED).await;
    promotion.supersedes_older = true;
    promotion.action = HistoryAction::Promoted;
    (home, promotion)
}

/// Lets what the dead held run out.
fn later(home: &Home) {
    home.set_clock("2026-11-09T08:05:00Z");
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Register,
    Approve,
    Reject,
    Freeze,
    Forget,
}

impl Deed {
    async fn run(self, home: &Home, registry: &impl Registry, promotion: &Registration) -> String {
        let approval = |to, rejection, number| ApprovalChange {
            group: home.group.clone(),
            number: VersionNumber(number),
            from: if number == 1 { APPROVED } else { PENDING },
            to,
            rejection,
            expected_current: Some(VersionNumber(1)),
            by: by("reviewer"),
        };
        let changed = match self {
            Self::Register => match registry.register(promotion).await.expect("register") {
                Registered::New(version) | Registered::Found(version) => return format!("v{}", version.number.0),
                Registered::Stale(stale) => return format!("{stale:?}"),
            },
            Self::Approve => registry.set_approval(&approval(APPROVED, None, 2)).await.expect("approve"),
            Self::Reject => {
                let change = approval(REJECTED, Some(Rejection::RolledBack), 1);
                registry.set_approval(&change).await.expect("reject")
            }
            Self::Freeze => registry.set_frozen(&home.group, true, &by("on-call")).await.expect("freeze"),
            Self::Forget => registry.forget(&home.group, VersionNumber(3), &by("janitor")).await.expect("forget"),
        };
        match changed {
            Changed::Done | Changed::Already => "done".to_owned(),
            Changed::Stale(stale) => format!("{stale:?}"),
        }
    }

    async fn begun(self) -> (Home, Registration) {
        let (home, promotion) = begun().await;
        if matches!(self, Self::Forget) {
            home.register("x", APPROVED).await;
            home.register("y", APPROVED).await;
        }
        (home, promotion)
    }
}

/// What can be told of a group, without its times.
async fn told(home: &Home) -> Vec<String> {
    let registry = home.again();
    let look = GroupLook { with_former: true, contents: vec![content("c").content], ..GroupLook::default() };
    let facts = registry.look(&home.group, &look).await.expect("look");
    let mut told: Vec<String> = facts
        .recent
        .iter()
        .map(|v| {
            let marks = (v.superseded, v.once_approved, v.rejection);
            format!("v{} {} {marks:?} {}", v.number.0, v.approval, v.content.fingerprint.short())
        })
        .collect();
    told.push(format!("current {:?} frozen {}", facts.current_number(), facts.frozen.is_some()));
    told.push(format!("former {:?} matching {:?}", numbers(&facts.formerly_current), numbers(&facts.matching)));
    told.push(format!("highest {:?}", facts.highest.map(|highest| highest.semver.to_string())));
    told.extend(home.story().await);
    told
}

#[tokio::test]
async fn a_process_that_dies_anywhere_is_completed_by_the_next() {
    for deed in [Deed::Register, Deed::Approve, Deed::Reject, Deed::Freeze, Deed::Forget] {
        let (home, promotion) = deed.begun().await;
        deed.run(&home, &home.registry, &promotion).await;
        let whole = told(&home).await;
        let mut deaths = 0;
        for crash in [Crash::Before, Crash::After] {
            for nth in 1..40 {
                let (home, promotion) = deed.begun().await;
                let what = format!("{deed:?} {crash:?} {nth}");
                home.place.world.crash_at(nth, crash);
                let died = tokio::select! {
                    _ = deed.run(&home, &home.registry, &promotion) => false,
                    () = home.place.world.crashed() => true,
                };
                if !died {
                    break;
                }
                deaths += 1;
                later(&home);
                // Whoever looks meanwhile sees it done or not done, and nothing is wrong.
                let facts = home.again().look(&home.group, &GroupLook::default()).await.expect(&what);
                assert!(facts.newest.is_some_and(|newest| newest.0 >= 2), "{what}");
                let answer = deed.run(&home, &home.again(), &promotion).await;
                assert!(answer == "done" || answer == "v3", "{what}: {answer}");
                assert_eq!(told(&home).await, whole, "{what}");
                home.place.world.assert_clean();
            }
        }
        assert!(deaths >= 8, "{deed:?} died {deaths} times");
    }
}

#[tokio::test]
async fn a_lost_answer_of_anything_doubles_nothing() {
    for deed in [Deed::Register, Deed::Approve, Deed::Reject, Deed::Freeze, Deed::Forget] {
        let (home, promotion) = deed.begun().await;
        home.place.world.reset_requests();
        deed.run(&home, &home.registry, &promotion).await;
        let requests = home.place.world.requests();
        let whole = told(&home).await;
        let mut counted = std::collections::BTreeMap::new();
        for seen in &requests {
            let nth = counted.entry(seen.operation.clone()).or_insert(0);
            *nth += 1;
            for forgets in [false, true] {
                let (home, promotion) = deed.begun().await;
                let what = format!("{deed:?}: {} {nth}, tokens forgotten: {forgets}", seen.operation);
                home.place.world.with(|state| state.forgets_tokens = forgets);
                home.place.world.on_nth(&seen.operation, *nth, Fault::LostAnswer);
                let answer = deed.run(&home, &home.registry, &promotion).await;
                assert!(answer == "done" || answer == "v3", "{what}: {answer}");
                assert_eq!(told(&home).await, whole, "{what}");
                home.place.world.assert_clean();
            }
        }
    }
}

#[tokio::test]
async fn twenty_throttled_requests_are_outlasted() {
    for operation in ["ListModelPackages", "CreateModelPackage", "DescribeModelPackage", "PutObject", "GetObject"] {
        let (home, promotion) = begun().await;
        home.place.world.throttle(operation, 20);
        assert_eq!(new(home.registry.register(&promotion).await.expect(operation)).number, VersionNumber(3));
        home.place.world.assert_clean();
    }
    let (home, _) = begun().await;
    home.place.world.throttle("UpdateModelPackage", 20);
    assert_eq!(home.set(2, PENDING, APPROVED, None).await, Changed::Done);
    home.place.world.assert_clean();
}

#[tokio::test]
async fn two_runs_with_one_operation_make_one_version() {
    let (home, promotion) = begun().await;
    let (first, second) = (home.again(), home.again());
    let (first, second) = tokio::join!(first.register(&promotion), second.register(&promotion));
    let answers = [first.expect("first"), second.expect("second")];
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::New(_))).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::Found(_))).count(), 1, "{answers:?}");
    assert_eq!(home.look().await.newest, Some(VersionNumber(3)));
    assert_eq!(home.place.world.count("CreateModelPackage"), 3);
}

#[tokio::test]
async fn two_runs_with_two_operations_take_turns() {
    let (home, promotion) = begun().await;
    let other = home.decide("d", APPROVED).await;
    let (first, second) = (home.again(), home.again());
    let (first, second) = tokio::join!(first.register(&promotion), second.register(&other));
    let answers = [first.expect("first"), second.expect("second")];
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::New(_))).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::Stale(_))).count(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_lease_that_is_held_is_waited_for_and_then_named() {
    let (home, promotion) = begun().await;
    home.place.world.crash_at(3, Crash::After);
    tokio::select! {
        _ = home.registry.register(&promotion) => panic!("it did not die"),
        () = home.place.world.crashed() => {}
    }
    // The held clock stands still: the lease of the dead never runs out.
    let error = home.again().set_frozen(&home.group, true, &by("on-call")).await.expect_err("held");
    assert!(error.kind.may_pass(), "{}", error.chain());
    assert!(error.chain().contains("is writing to the group"), "{}", error.chain());
    // The same run takes over what it held itself.
    assert!(home.registry.set_frozen(&home.group, true, &by("on-call")).await.is_ok());
}

#[tokio::test]
async fn a_listing_that_lags_doubles_and_loses_nothing() {
    let (home, promotion) = begun().await;
    home.place.world.lag("ListModelPackages", 1);
    let facts = home.look().await;
    assert_eq!((facts.newest, facts.current_number()), (Some(VersionNumber(2)), Some(VersionNumber(1))));
    assert_eq!(new(home.registry.register(&promotion).await.expect("register")).number, VersionNumber(3));
    let facts = home.look().await;
    assert_eq!((facts.newest, facts.current_number()), (Some(VersionNumber(3)), Some(VersionNumber(3))));
    assert_eq!(home.set(3, APPROVED, REJECTED, Some(Rejection::Person)).await, Changed::Done);
    assert_eq!(home.look().await.current_number(), Some(VersionNumber(1)));
    // Nobody's doing is taken for a person's.
    let story = home.story().await;
    assert!(story.iter().all(|line| !line.ends_with("by nobody")), "{story:?}");
    assert!(matches!(home.again().register(&promotion).await.expect("again"), Registered::Found(_)));
}

#[tokio::test]
async fn a_version_that_comes_to_nothing_is_an_error_and_can_be_tried_again() {
    let (home, promotion) = begun().await;
    home.place.world.next_version_fails("the image does not exist");
    let error = home.registry.register(&promotion).await.expect_err("it failed");
    assert!(error.chain().contains("the image does not exist"), "{}", error.chain());
    later(&home);
    let facts = home.look().await;
    assert_eq!((facts.newest, facts.current_number()), (Some(VersionNumber(3)), Some(VersionNumber(1))));
    assert_eq!(numbers(&facts.recent), [2, 1]);
    let again = home.decide("c", APPROVED).await;
    assert_eq!(new(home.registry.register(&again).await.expect("again")).number, VersionNumber(4));
    assert_eq!(at("2026-11-09T08:05:00Z"), home.look().await.current.expect("current").registered_at);
}

#[tokio::test]
async fn a_version_that_takes_its_time_is_waited_for() {
    let (home, promotion) = begun().await;
    home.place.world.with(|state| state.package_polls = 4);
    assert_eq!(new(home.registry.register(&promotion).await.expect("register")).number, VersionNumber(3));
    assert!(home.place.world.count("DescribeModelPackage") >= 4);
}

#[tokio::test]
async fn a_version_made_twice_stands_once() {
    let (home, promotion) = begun().await;
    // The answer is lost, the listing does not show it yet, and the token is not honoured: nothing could know.
    home.place.world.with(|state| state.forgets_tokens = true);
    home.place.world.lag("ListModelPackages", 1);
    home.place.world.fail_next("CreateModelPackage", Fault::LostAnswer);
    assert_eq!(new(home.registry.register(&promotion).await.expect("register")).number, VersionNumber(3));
    home.place.world.lag("ListModelPackages", 0);
    let facts = home.look().await;
    assert_eq!((facts.newest, facts.current_number()), (Some(VersionNumber(4)), Some(VersionNumber(3))));
    let double = &facts.recent[0];
    assert_eq!((double.approval, double.rejection), (REJECTED, Some(Rejection::Duplicate)));
    assert!(!double.is_banned());
    assert!(matches!(home.again().register(&promotion).await.expect("again"), Registered::Found(v) if v.number.0 == 3));
    let look = GroupLook { contents: vec![promotion.content.content.clone()], ..GroupLook::default() };
    assert!(numbers(&home.look_for(look).await.matching).contains(&3));
}

#[tokio::test]
async fn what_a_newer_release_wrote_is_refused_and_what_is_damaged_is_named() {
    let (home, promotion) = begun().await;
    let key = "branchline/risk/risk-churn-prod/group.json";
    let whole = home.place.world.object(DEV_BUCKET, key).expect("the book");
    home.place.world.put(DEV_BUCKET, key, String::from_utf8_lossy(&whole).replacen("\"schema\":1", "\"schema\":7", 1));
    let look = home.registry.look(&home.group, &GroupLook::default()).await.expect_err("newer");
    let write = home.registry.register(&promotion).await.expect_err("newer");
    assert_eq!([look.kind, write.kind], [PortErrorKind::NewerRegistry; 2], "{}", look.chain());
    assert!(look.chain().contains("schema 7; this one knows up to 1"), "{}", look.chain());
    home.place.world.put(DEV_BUCKET, key, "{\"schema\":1,");
    let error = home.registry.look(&home.group, &GroupLook::default()).await.expect_err("damaged");
    assert_eq!(error.kind, PortErrorKind::Corrupt);
    assert!(error.chain().contains("risk-churn-prod/group.json"), "{}", error.chain());
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_changes_nothing() {
    let (home, promotion) = begun().await;
    home.place.world.deny(DEV, "sagemaker:CreateModelPackage");
    let error = home.registry.register(&promotion).await.expect_err("denied");
    assert_eq!(error.kind, PortErrorKind::Permission);
    assert!(error.chain().contains("sagemaker:CreateModelPackage"), "{}", error.chain());
    assert!(error.hint.is_some_and(|hint| hint.contains("branchline iam")));
    home.place.world.with(|state| state.denied.clear());
    assert_eq!(new(home.registry.register(&promotion).await.expect("allowed")).number, VersionNumber(3));
}

/// A listing may be empty, and not an error, where there is no group.
#[tokio::test]
async fn a_group_that_does_not_exist_is_made_whatever_a_listing_answers() {
    let home = Home::new().await;
    home.place.world.with(|state| state.lists_missing_groups = true);
    assert_eq!(home.register("a", APPROVED).await.number.0, 1);
    let world = &home.place.world;
    assert_eq!((world.count("CreateModelPackageGroup"), world.count("CreateModelPackage")), (1, 2));
    // It exists from then on, and is not made again.
    assert_eq!(home.register("b", PENDING).await.number.0, 2);
    assert_eq!((world.count("CreateModelPackageGroup"), world.count("CreateModelPackage")), (1, 3));
    // One that was deleted between two runs is made again. Its numbers begin anew.
    world.with(|state| {
        let place = state.place(DEV, crate::world::aws::REGION);
        place.packages.clear();
        place.groups.clear();
        place.numbers.clear();
    });
    let again = home.registry.register(&home.decide("c", APPROVED).await).await.expect("register");
    assert!(matches!(again, Registered::New(_)), "{again:?}");
    assert_eq!(world.count("CreateModelPackageGroup"), 2);
}

/// What a request says that is wrong does not get right by saying it again.
#[tokio::test]
async fn a_version_that_is_not_valid_is_asked_for_once() {
    for (message, kind) in [
        ("Could not find model data at s3://acme/model.tar.gz.", PortErrorKind::NotFound),
        ("The image 111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:9 does not exist.", PortErrorKind::NotFound),
        (
            "1 validation error detected: Value at 'modelMetrics' failed to satisfy constraint",
            PortErrorKind::Configuration,
        ),
    ] {
        let home = Home::new().await;
        home.register("a", APPROVED).await;
        home.place.world.reset_requests();
        home.place.world.fail_next("CreateModelPackage", Fault::Refused(400, "ValidationException", message));
        let registration = home.decide("b", APPROVED).await;
        let error = home.registry.register(&registration).await.expect_err("it is not valid");
        assert_eq!(error.kind, kind, "{}", error.chain());
        let world = &home.place.world;
        assert_eq!((world.count("CreateModelPackage"), world.count("CreateModelPackageGroup")), (1, 0), "{message}");
    }
}
