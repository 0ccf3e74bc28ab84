//! Where the backend lives: on this machine or in Amazon's cloud, in which account, region and bucket, and which
//! stages live elsewhere.

use crate::config::cloud::names;
use crate::config::cloud::names::account_of;
use crate::config::cloud::names::shaped;
use crate::config::cloud::raw::RawAccount;
use crate::config::cloud::raw::RawPart;
use crate::config::cloud::raw::RawPlace;
use crate::config::cloud::raw::RawStore;
use crate::config::problem::quoted;
use crate::config::raw::RawBackend;
use crate::config::raw::RawBackendParts;
use crate::config::raw::RawFile;
use crate::config::resolve::Inquiry;
use crate::config::resolved::Backend;
use crate::config::resolved::BackendKind;
use crate::config::route::Route;
use crate::config::stages::Names;
use crate::config::stages::meant;
use crate::model::cloud::AccountPlace;
use crate::model::name::StageName;
use std::collections::BTreeMap;

/// Where ours begin in the bucket where the file does not say.
const DEFAULT_PREFIX: &str = "branchline";

const LOCAL: Backend =
    Backend { trainer: BackendKind::Local, registry: BackendKind::Local, artifacts: BackendKind::Local };
const CLOUD: Backend =
    Backend { trainer: BackendKind::Cloud, registry: BackendKind::Cloud, artifacts: BackendKind::Cloud };

/// Where things run and are kept.
#[derive(Debug)]
pub(in crate::config) struct Places {
    pub(in crate::config) backend: Backend,
    pub(in crate::config) cloud: Option<AccountPlace>,
    pub(in crate::config) accounts: BTreeMap<StageName, AccountPlace>,
    /// A role for training jobs is written, but something was said about it.
    pub(in crate::config) role_is_damaged: bool,
}

impl Places {
    /// Returns where a stage lives in the cloud.
    pub(in crate::config) fn of_stage(&self, stage: &StageName) -> Option<&AccountPlace> {
        self.accounts.get(stage).or(self.cloud.as_ref())
    }
}

/// A place that is written, and where.
struct Written<'a> {
    route: Route,
    raw: &'a RawPlace,
}

/// Resolves `backend` and `accounts`. What is unsound is said and left out.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, raw: &RawFile, names: &Names) -> Places {
    let at = Route::of(&["backend"]);
    let (backend, written) = match &raw.backend {
        None | Some(RawBackend::Kind(_)) => (LOCAL, Vec::new()),
        Some(RawBackend::Parts(parts)) => parts_of(inquiry, &at, parts),
    };
    let cloud = place(inquiry, &written);
    let accounts = accounts(inquiry, raw, names, backend, cloud.as_ref());
    let roles = written.iter().map(|part| part.route.clone());
    let roles = roles.chain(raw.accounts.iter().flatten().map(|(stage, _)| Route::of(&["accounts", stage])));
    let role_is_damaged = roles.map(|route| route.key("execution_role_arn")).any(|route| inquiry.is_damaged(&route));
    Places { backend, cloud, accounts, role_is_damaged }
}

fn parts_of<'a>(inquiry: &mut Inquiry<'_>, at: &Route, parts: &'a RawBackendParts) -> (Backend, Vec<Written<'a>>) {
    if let Some(whole) = &parts.sagemaker {
        let beside = [
            ("trainer", parts.trainer.is_some()),
            ("registry", parts.registry.is_some()),
            ("artifacts", parts.artifacts.is_some()),
        ];
        for (key, _) in beside.into_iter().filter(|(_, written)| *written) {
            inquiry.say_of_key(
                &at.key(key),
                format!("{} cannot stand beside `sagemaker`, which is short for all three parts", quoted(key)),
                "name each part: `{ trainer: local, registry: { sagemaker: {…} }, artifacts: { s3: {…} } }`",
            );
        }
        return (CLOUD, vec![Written { route: at.key("sagemaker"), raw: whole }]);
    }
    let mut written = Vec::new();
    let mut kind = |route: Route, raw: Option<&'a RawPlace>, in_cloud: bool| {
        written.extend(raw.map(|raw| Written { route, raw }));
        if in_cloud { BackendKind::Cloud } else { BackendKind::Local }
    };
    let mut part = |key: &str, raw: &'a Option<RawPart>| {
        let place = match raw {
            Some(RawPart::Cloud(place)) => Some(place),
            Some(RawPart::Kind(_)) | None => None,
        };
        kind(at.key(key).key("sagemaker"), place.and_then(|place| place.sagemaker.as_ref()), place.is_some())
    };
    let (trainer, registry) = (part("trainer", &parts.trainer), part("registry", &parts.registry));
    let store = match &parts.artifacts {
        Some(RawStore::Cloud(place)) => Some(place),
        Some(RawStore::Kind(_)) | None => None,
    };
    let artifacts = kind(at.key("artifacts").key("s3"), store.and_then(|place| place.s3.as_ref()), store.is_some());
    let backend = Backend { trainer, registry, artifacts };
    say_mix(inquiry, at, backend);
    (backend, written)
}

/// Says which mixes make no sense: a version and its artifacts stand or fall together, and SageMaker writes its
/// models into S3.
fn say_mix(inquiry: &mut Inquiry<'_>, at: &Route, backend: Backend) {
    let written_or = |inquiry: &Inquiry<'_>, key: &str, other: &str| {
        if inquiry.is_written(&at.key(key)) { at.key(key) } else { at.key(other) }
    };
    match (backend.trainer, backend.registry, backend.artifacts) {
        (_, BackendKind::Cloud, BackendKind::Local) => {
            let route = written_or(inquiry, "artifacts", "registry");
            inquiry.say_of_key(
                &route,
                "versions in SageMaker need their artifacts in S3",
                "add `artifacts: { s3: {…} }`, or keep the registry on this machine too",
            );
        }
        (_, BackendKind::Local, BackendKind::Cloud) => {
            let route = written_or(inquiry, "registry", "artifacts");
            inquiry.say_of_key(
                &route,
                "artifacts in S3 need their versions in SageMaker",
                "add `registry: { sagemaker: {…} }`, or keep the artifacts on this machine too",
            );
        }
        (BackendKind::Cloud, BackendKind::Local, BackendKind::Local) => inquiry.say_of_key(
            &at.key("trainer"),
            "what SageMaker trains lies in S3, so versions and artifacts must be in the cloud too",
            "write `backend: { sagemaker: {…} }`, which is short for all three",
        ),
        (BackendKind::Local, BackendKind::Local, BackendKind::Local) | (_, BackendKind::Cloud, BackendKind::Cloud) => {}
    }
}

/// Puts the places of all parts together: in this release they share one.
fn place(inquiry: &mut Inquiry<'_>, written: &[Written<'_>]) -> Option<AccountPlace> {
    let first = written.first()?;
    let mut one = |key: &str, of: fn(&RawPlace) -> Option<&String>, check: fn(&str) -> Result<(), names::Fault>| {
        let mut chosen: Option<(Route, &String)> = None;
        for part in written {
            let Some(text) = of(part.raw) else { continue };
            let route = part.route.key(key);
            match &chosen {
                None => chosen = Some((route, text)),
                Some((_, before)) if *before == text => {}
                Some((other, before)) => inquiry.say(
                    &route,
                    format!(
                        "the parts of a backend in the cloud share one place, and {} is {}, not {}",
                        quoted(&other.to_string()),
                        quoted(before),
                        quoted(text)
                    ),
                    "write the same in both, or in one of them only; for single stages there is `accounts`",
                ),
            }
        }
        let (route, text) = chosen?;
        shaped(inquiry, &route, Some(text), check)
    };
    let region = one("region", |raw| raw.region.as_ref(), names::region);
    let bucket = one("bucket", |raw| raw.bucket.as_ref(), names::bucket);
    let prefix = one("prefix", |raw| raw.prefix.as_ref(), names::prefix);
    let execution_role_arn = one("execution_role_arn", |raw| raw.execution_role_arn.as_ref(), names::role);
    let account_id = one("account_id", |raw| raw.account_id.as_ref(), names::account);
    let assume_role_arn = one("assume_role_arn", |raw| raw.assume_role_arn.as_ref(), names::role);
    let read_role_arn = one("read_role_arn", |raw| raw.read_role_arn.as_ref(), names::role);
    let kms_key = one("kms_key", |raw| raw.kms_key.as_ref(), names::key);
    for (key, written_at_all, example) in [
        ("region", written.iter().any(|part| part.raw.region.is_some()), "eu-west-1"),
        ("bucket", written.iter().any(|part| part.raw.bucket.is_some()), "acme-models"),
    ] {
        if !written_at_all {
            let message = format!("{} has no {}", quoted(&first.route.to_string()), quoted(key));
            inquiry.say_missing(&first.route, key, message, format!("for example `{key}: {example}`"));
        }
    }
    let roles = [
        ("assume_role_arn", &assume_role_arn),
        ("read_role_arn", &read_role_arn),
        ("execution_role_arn", &execution_role_arn),
    ];
    let holder = |key: &str, inquiry: &Inquiry<'_>| {
        let found = written.iter().map(|part| part.route.key(key)).find(|route| inquiry.is_written(route));
        found.unwrap_or_else(|| first.route.key(key))
    };
    let reader = read_role_arn.as_ref().map(|_| holder("read_role_arn", inquiry));
    let account_id = owner(inquiry, account_id, &roles, holder);
    if written.iter().all(|part| part.raw.assume_role_arn.is_none()) {
        say_lone_reader(inquiry, reader.as_ref());
    }
    Some(AccountPlace {
        account_id,
        // Never seen empty: without them there is a problem, and with a problem no configuration.
        region: region.unwrap_or_default(),
        bucket: bucket.unwrap_or_default(),
        prefix: prefix.map_or_else(|| DEFAULT_PREFIX.to_owned(), |text| text.trim_matches('/').to_owned()),
        assume_role_arn,
        read_role_arn,
        execution_role_arn,
        kms_key,
    })
}

/// Returns the account: the one that is written, else that of the roles; and says which role is another's.
fn owner(
    inquiry: &mut Inquiry<'_>,
    written: Option<String>,
    roles: &[(&str, &Option<String>)],
    route_of: impl Fn(&str, &Inquiry<'_>) -> Route,
) -> Option<String> {
    let mut account = written;
    for (key, role) in roles {
        let Some(of_role) = role.as_deref().and_then(account_of) else { continue };
        match &account {
            None => account = Some(of_role.to_owned()),
            Some(account) if account == of_role => {}
            Some(account) => {
                let route = route_of(key, inquiry);
                inquiry.say(
                    &route,
                    format!("the role belongs to the account {}, not to {}", quoted(of_role), quoted(account)),
                    "name a role of the same account; a stage in another one is written under `accounts`",
                );
            }
        }
    }
    account
}

/// Says that a role for reading stands in for another one, which is not written.
fn say_lone_reader(inquiry: &mut Inquiry<'_>, reader: Option<&Route>) {
    let Some(route) = reader else { return };
    inquiry.say_of_key(
        route,
        "`read_role_arn` has no meaning without `assume_role_arn`: it is for jobs that may not take that one on",
        "write the role that may write as `assume_role_arn`, or take this one away",
    );
}

fn accounts(
    inquiry: &mut Inquiry<'_>,
    raw: &RawFile,
    names: &Names,
    backend: Backend,
    cloud: Option<&AccountPlace>,
) -> BTreeMap<StageName, AccountPlace> {
    let at = Route::of(&["accounts"]);
    let mut accounts = BTreeMap::new();
    let Some(written) = &raw.accounts else { return accounts };
    if !backend.is_cloud() && !inquiry.is_damaged(&Route::of(&["backend"])) {
        inquiry.say_of_key(
            &at,
            "`accounts` has no meaning here: nothing of the backend is in the cloud",
            "write `backend: { sagemaker: {…} }`, or take it away",
        );
    }
    let known: Vec<String> = names.training.iter().chain(&names.promoting).cloned().collect();
    for (text, account) in written {
        let route = at.key(text);
        if !known.contains(text) {
            let hint = meant(text, "stages", &known);
            inquiry.say_of_key(&route, format!("there is no stage {}", quoted(text)), hint);
        }
        let resolved = self::account(inquiry, &route, account, cloud);
        if let (Ok(stage), Some(place)) = (StageName::parse(text), resolved) {
            accounts.insert(stage, place);
        }
    }
    accounts
}

fn account(
    inquiry: &mut Inquiry<'_>,
    route: &Route,
    raw: &RawAccount,
    cloud: Option<&AccountPlace>,
) -> Option<AccountPlace> {
    let mut text = |key: &str, text: &Option<String>, check: fn(&str) -> Result<(), names::Fault>| {
        shaped(inquiry, &route.key(key), text.as_deref(), check)
    };
    let id = text("id", &raw.id, names::account);
    let assume_role_arn = text("assume_role_arn", &raw.assume_role_arn, names::role);
    let region = text("region", &raw.region, names::region);
    let bucket = text("bucket", &raw.bucket, names::bucket);
    let prefix = text("prefix", &raw.prefix, names::prefix);
    let read_role_arn = text("read_role_arn", &raw.read_role_arn, names::role);
    let kms_key = text("kms_key", &raw.kms_key, names::key);
    let execution_role_arn = text("execution_role_arn", &raw.execution_role_arn, names::role);
    let cloud = cloud?;
    let roles = [
        ("assume_role_arn", &assume_role_arn),
        ("read_role_arn", &read_role_arn),
        ("execution_role_arn", &execution_role_arn),
    ];
    let account_id = owner(inquiry, id, &roles, |key, _| route.key(key));
    if raw.assume_role_arn.is_none() {
        say_lone_reader(inquiry, read_role_arn.as_ref().map(|_| route.key("read_role_arn")).as_ref());
    }
    let elsewhere = account_id.is_some() && account_id != cloud.account_id;
    if elsewhere && raw.bucket.is_none() {
        inquiry.say_missing(
            route,
            "bucket",
            format!("{} is another account and has no `bucket`", quoted(&route.to_string())),
            "name a bucket of that account, so that no stage can write what another one promoted",
        );
    }
    Some(AccountPlace {
        account_id,
        region: region.unwrap_or_else(|| cloud.region.clone()),
        bucket: bucket.unwrap_or_else(|| cloud.bucket.clone()),
        prefix: prefix.map_or_else(|| cloud.prefix.clone(), |text| text.trim_matches('/').to_owned()),
        assume_role_arn,
        read_role_arn,
        // A training runs under a role of its own account.
        execution_role_arn: execution_role_arn.or_else(|| cloud.execution_role_arn.clone().filter(|_| !elsewhere)),
        kms_key: kms_key.or_else(|| cloud.kms_key.clone()),
    })
}
