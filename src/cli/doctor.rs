//! `doctor`: whether everything that a run needs in the cloud is there, asked without spending anything. `bootstrap`:
//! makes the groups that are not.

use crate::adapters::aws::Accounts;
use crate::adapters::aws::Patience;
use crate::adapters::aws::Session;
use crate::adapters::aws::policy::conflicts;
use crate::adapters::aws::policy::shared_training_roles;
use crate::adapters::aws::probe;
use crate::adapters::aws::probe::Made;
use crate::adapters::sagemaker::SageMakerRegistry;
use crate::adapters::system::SystemClock;
use crate::cli::args::BootstrapArgs;
use crate::cli::args::DoctorArgs;
use crate::cli::args::Format;
use crate::cli::backend;
use crate::cli::block_on;
use crate::cli::check::on_disk;
use crate::cli::compose::Place;
use crate::cli::compose::repository_id;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::print_json;
use crate::config::Config;
use crate::config::resolved::BackendKind;
use crate::facts::group::GroupLook;
use crate::model::cloud::AccountPlace;
use crate::model::finding::Finding;
use crate::model::finding::Standing;
use crate::model::git::RepositoryId;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::ports::Clock;
use crate::ports::Registry as _;
use crate::report;
use crate::report::terminal::plain;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Tries of one request: whoever looks wants to hear soon.
const TRIES: usize = 4;

/// A place in the cloud, and the stages that live there.
struct Region<'c> {
    label: String,
    session: Arc<Session>,
    stages: Vec<&'c Stage>,
}

/// Looks at everything, and says what is missing. Exit 30 if anything is, 50 if something could not be found out.
pub fn doctor(directory: Option<&Path>, args: &DoctorArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let config = configured(&place)?;
    let repository = repository_id(&place, &RepositoryId::default());
    let only = chosen(&config, args.stage.as_deref())?;
    let findings = block_on(async {
        let mut findings = roles(&config);
        for region in regions(&config, only).await {
            findings.extend(examine(&config, &region, &repository, args.read_only).await);
        }
        findings
    })?;
    match args.format {
        Format::Text => print(&report::doctor::text(&findings))?,
        Format::Json => print_json(&report::doctor::DoctorJson::of(&findings))?,
    };
    let any = |standing| findings.iter().any(|finding| finding.standing == standing);
    Ok(match (any(Standing::Unknown), any(Standing::Missing)) {
        (true, _) => failure::ERRORED,
        (false, true) => failure::BLOCKED,
        (false, false) => 0,
    })
}

/// Looks at the roles as the configuration names them: a lower stage must not be able to change what a higher one decides
/// over.
fn roles(config: &Config) -> Vec<Finding> {
    const PLACE: &str = "roles in branchline.yaml";
    let conflicts = conflicts(config).into_iter().map(|conflict| {
        let fix = conflict.hint();
        Finding::new(PLACE, "separation of stages".to_owned(), Standing::Missing, conflict.to_string()).fix(fix)
    });
    let training = shared_training_roles(config).into_iter().map(|(arn, stages)| {
        let stages: Vec<&str> = stages.iter().map(StageName::as_str).collect();
        let seen = format!("training jobs of {} share {arn}, so each could replace another's output", stages.join(" and "));
        Finding::new(PLACE, "separation of training jobs".to_owned(), Standing::Advice, seen)
            .fix("give each stage its own `execution_role_arn`: `branchline iam` prints the roles and the `accounts` to write")
    });
    conflicts.chain(training).collect()
}

/// Makes every group that does not exist.
pub fn bootstrap(directory: Option<&Path>, args: &BootstrapArgs) -> Result<u8, Failure> {
    let config = configured(&Place::find(directory, false)?)?;
    if config.backend.registry != BackendKind::Cloud {
        return Err(Failure::usage("the registry is on this machine: its groups are made as they are needed"));
    }
    let only = chosen(&config, args.stage.as_deref())?;
    let made = block_on(async {
        let mut made = Vec::new();
        for region in regions(&config, only).await {
            for (model, group) in groups(&config, &region) {
                let description = format!("branchline: model {model} of project {}", config.project);
                let tags =
                    [("branchline:project", config.project.to_string()), ("branchline:model", model.to_string())];
                let became = probe::make_group(&region.session, group, &description, &tags, args.dry_run).await;
                made.push((region.label.clone(), group.to_string(), became.map_err(|error| Failure::port(&error))?));
            }
        }
        Ok::<_, Failure>(made)
    })??;
    let mut text = String::new();
    for (place, group, became) in made {
        let word = match became {
            Made::Found => "is there",
            Made::Made => "made",
            Made::Needed => "would be made",
        };
        text.push_str(&format!("{}: group {group} {word}\n", plain(&place)));
    }
    print(&text)
}

fn configured(place: &Place) -> Result<Config, Failure> {
    let source = on_disk(place)?;
    let config = crate::config::load(&source, &source).map_err(|problems| Failure::problems(&problems))?;
    if config.backend.is_cloud() {
        return Ok(config);
    }
    Err(Failure::usage("nothing of the backend is in the cloud: there is nothing to look at")
        .hint("write `backend: { sagemaker: {…} }` into branchline.yaml; `branchline check` looks at the file"))
}

fn chosen<'c>(config: &'c Config, stage: Option<&str>) -> Result<Option<&'c Stage>, Failure> {
    let Some(text) = stage else { return Ok(None) };
    let found = config.stages.iter().find(|stage| stage.name.as_str() == text);
    found.map(Some).ok_or_else(|| {
        let known: Vec<&str> = config.stages.iter().map(|stage| stage.name.as_str()).collect();
        Failure::usage(format!("there is no stage {}", plain(text)))
            .hint(format!("the stages are {}", known.join(", ")))
    })
}

async fn regions<'c>(config: &'c Config, only: Option<&Stage>) -> Vec<Region<'c>> {
    let mut places: Vec<(&AccountPlace, Vec<&Stage>)> = Vec::new();
    for stage in config.stages.iter().filter(|stage| only.is_none_or(|only| only.name == stage.name)) {
        let Some(place) = config.account_of(&stage.name) else { continue };
        match places.iter_mut().find(|(known, _)| *known == place) {
            Some((_, stages)) => stages.push(stage),
            None => places.push((place, vec![stage])),
        }
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let patience = Patience { tries: TRIES, ..Patience::default() };
    let mut regions = Vec::new();
    for (place, stages) in places {
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let account = place.account_id.as_deref().unwrap_or("of the credentials");
        regions.push(Region {
            label: format!("account {account}, {} ({})", place.region, names.join(", ")),
            session: backend::session(place, &clock, patience).await,
            stages,
        });
    }
    regions
}

fn groups<'c>(config: &'c Config, region: &Region<'c>) -> Vec<(&'c ModelName, &'c GroupName)> {
    let fed = |target| region.stages.iter().any(|stage| stage.groups.contains_key(target));
    config.groups().filter(|(_, target, _)| fed(target)).map(|(model, _, group)| (model, group)).collect()
}

async fn examine(config: &Config, region: &Region<'_>, repository: &RepositoryId, read_only: bool) -> Vec<Finding> {
    let (session, place) = (region.session.as_ref(), region.label.as_str());
    let who = probe::account(session, place).await;
    // Without credentials, or with those of somebody else, nothing else would say anything.
    let usable = who.standing == Standing::Ok;
    let mut findings: Vec<Finding> = probe::region(session, place).into_iter().collect();
    findings.push(who);
    if !usable {
        return findings;
    }
    findings.extend(probe::bucket(session, place).await);
    if config.backend.registry == BackendKind::Cloud {
        for (_, group) in groups(config, region) {
            let found = probe::group(session, place, group).await;
            let is_there = found.standing == Standing::Ok;
            findings.push(found);
            if is_there {
                findings.push(owner(config, region, group, repository).await);
            }
        }
    }
    let may_write = session.identity().await.is_ok_and(|identity| session.place.lets_write(&identity.arn));
    if !read_only && !may_write {
        let what = format!("writing to s3://{}", session.place.bucket);
        let seen = "is not tried: this job was given `read_role_arn`, because `assume_role_arn` does not trust it";
        let finding = Finding::new(place, what, Standing::Unchecked, seen);
        findings.push(finding.fix("ask again in a job of the stage's own branch or environment"));
    }
    if !read_only && may_write {
        for stage in &region.stages {
            let fed = config.groups().find(|(_, target, _)| stage.groups.contains_key(*target));
            if let Some((_, _, group)) = fed {
                let key = format!("{}/{group}/doctor/{}", config.project, uuid::Uuid::new_v4());
                findings.extend(probe::write(session, place, &key).await);
            }
        }
    }
    let trains = region.stages.iter().any(|stage| matches!(stage.does, Does::Train { .. }));
    if config.backend.trainer == BackendKind::Cloud && trains {
        findings.extend(trainings(config, region).await);
    }
    findings
}

/// Looks whose versions a group holds: another repository's would never be added to.
async fn owner(config: &Config, region: &Region<'_>, group: &GroupName, repository: &RepositoryId) -> Finding {
    let (place, what) = (region.label.as_str(), format!("owner of {group}"));
    let accounts = Accounts::one(Arc::clone(&region.session));
    let registry = SageMakerRegistry::new(accounts, config.project.clone(), Arc::new(SystemClock));
    let facts = match registry.look(group, &GroupLook::default()).await {
        Ok(facts) => facts,
        Err(error) => {
            let finding = Finding::new(place, what, Standing::Missing, error.chain());
            return match error.hint {
                Some(hint) => finding.fix(hint),
                None => finding,
            };
        }
    };
    match facts.owner {
        None => Finding::new(place, what, Standing::Ok, "nobody yet: its first version settles it"),
        Some(owner) if owner.is_foreign_to(repository) => {
            let name = owner.remote.as_deref().unwrap_or("another repository");
            Finding::new(place, what, Standing::Missing, format!("{name}, and not this repository"))
                .fix("choose another name: `group_names` of the model, or another `project`")
        }
        Some(_) => Finding::new(place, what, Standing::Ok, "this repository"),
    }
}

async fn trainings(config: &Config, region: &Region<'_>) -> Vec<Finding> {
    let (session, place) = (region.session.as_ref(), region.label.as_str());
    let (mut images, mut roles, mut machines, mut keys) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let here = |stage: &_| region.stages.iter().any(|known| &known.name == stage);
    let settings = config.models.values().flat_map(|model| &model.settings).filter(|(stage, _)| here(stage));
    for (_, settings) in settings {
        images.extend(settings.image.clone());
        images.extend(settings.serve.as_ref().map(|serve| serve.image.clone()));
        let role = settings.cloud.execution_role_arn.clone();
        roles.extend(role.or_else(|| session.place.execution_role_arn.clone()));
        machines.extend(settings.cloud.instance.as_ref().map(|instance| instance.kind.clone()));
        keys.extend(settings.cloud.volume_kms_key.clone());
    }
    let mut findings = Vec::new();
    for image in &images {
        findings.push(probe::image(session, place, image).await);
    }
    let unchecked = |what: String, seen: &str, fix: &str| Finding::new(place, what, Standing::Unchecked, seen).fix(fix);
    findings.extend(roles.iter().map(|role| {
        unchecked(
            format!("role {role}"),
            "that it may be passed to SageMaker shows only when a training starts",
            "compare with `branchline iam`: iam:PassRole of the stage's role, and the trust of this one",
        )
    }));
    findings.extend(machines.iter().map(|machine| {
        unchecked(
            format!("quota of {machine}"),
            "is not asked for",
            "see `<type> for training job usage` in Service Quotas: new accounts have 0 of many types",
        )
    }));
    findings.extend(keys.iter().map(|key| {
        unchecked(
            format!("key {key}"),
            "is used by the machines of a training only",
            "compare its policy with `branchline iam`: kms:CreateGrant for the role of the trainings",
        )
    }));
    findings
}
