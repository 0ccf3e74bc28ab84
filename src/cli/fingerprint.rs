//! `fingerprint`: the identities of a model at a commit, for people and for scripts that tag images by content.

use crate::cli::args::Format;
use crate::cli::block_on;
use crate::cli::compose;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::log;
use crate::cli::notice;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::read;
use crate::config::Config;
use crate::facts::ContentFacts;
use crate::facts::ContentProblem;
use crate::model::git::BranchName;
use crate::model::identity::code_id_fields;
use crate::model::identity::fingerprint_fields;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::settings::TrainingSettings;
use crate::model::stage::Does;
use crate::model::verdict::Verdict;
use crate::outcome::verdict_exit;
use crate::plan::cloud::MissingImage;
use crate::plan::reason::Reason;
use crate::plan::train::data_reasons;
use crate::report::fingerprint;
use crate::report::fingerprint::FingerprintJson;
use crate::report::fingerprint::FingerprintView;
use crate::report::terminal::plain;
use std::path::Path;

/// What is asked.
pub struct Question<'a> {
    /// Only these models.
    pub models: &'a [String],
    /// The commit; by default what is checked out.
    pub commit: Option<&'a str>,
    /// The stage whose settings count.
    pub stage: Option<&'a str>,
    /// Show what went in.
    pub explain: bool,
    /// How to answer.
    pub format: Format,
}

/// Prints the identities.
pub fn fingerprint(directory: Option<&Path>, question: &Question<'_>) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = read::open(&place)?;
    let only = compose::chosen_models(&composed.config, question.models)?;
    let (branch, commit) = match question.commit {
        Some(text) => (None, place.git.resolve_commit(text).map_err(|error| Failure::git(&error))?),
        None => log::start(&place, None)?,
    };
    let config = composed.drive.observer.config_at(&commit);
    let config = config.map_err(Failure::configuration)?;
    let mut views = Vec::new();
    let mut missing = Vec::new();
    for model in config.models.keys().filter(|model| only.is_empty() || only.contains(model)) {
        let (stage, settings) = stage_of(&config, model, branch.as_ref(), question.stage)?;
        let drive = &composed.drive;
        let content = block_on(drive.observer.content(&commit, model, &stage, &drive.ports))?;
        let content: ContentFacts = match content.map_err(|error| Failure::port(&error))? {
            Ok(content) => content,
            Err(problem) => return Err(refusal(problem, model, &commit)),
        };
        let entries = place.git.watched_entries(&commit, &settings.watched);
        let entries = entries.map_err(|error| Failure::configuration(error.to_string()))?;
        let code_fields = code_id_fields(settings, &entries);
        let fingerprint_fields =
            fingerprint_fields(&content.code_id, &content.datasets, content.image_digest.as_deref());
        missing.extend(data_reasons(&content.missing_data));
        if let (Some(image), Some(why)) = (content.image.clone(), content.missing_image.clone()) {
            missing.push(Reason::MissingImage(MissingImage { image, why }));
        }
        views.push(FingerprintView {
            model: model.clone(),
            stage,
            commit: commit.clone(),
            code_id: content.code_id,
            content: content.content,
            fingerprint: content.fingerprint,
            code_fields,
            fingerprint_fields,
        });
    }
    match question.format {
        Format::Text => print(&fingerprint::text(&views, question.explain))?,
        Format::Json => print_json(&FingerprintJson::of(&views, question.explain))?,
    };
    // What could be told stands on standard output; a script sees by the exit code that something is missing.
    for reason in &missing {
        notice(&plain(&format!("error: {}", reason.message())));
    }
    Ok(if missing.is_empty() { 0 } else { verdict_exit(Verdict::Blocked) })
}

fn refusal(problem: ContentProblem, model: &ModelName, commit: &crate::model::git::CommitSha) -> Failure {
    let reason = match problem {
        ContentProblem::NoSuchModel => Reason::NoSuchModel { model: model.clone(), commit: commit.clone() },
        ContentProblem::MissingPaths { paths } => Reason::MissingPaths { commit: commit.clone(), paths },
        ContentProblem::Unreadable { why } => Reason::Unreadable { why },
    };
    let failure = Failure::configuration(reason.message());
    match reason.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Finds the stage whose settings are meant: the one that was named, else the branch's own or the first that it
/// promotes from, else any, where the model is trained alike in all of them.
pub(super) fn stage_of<'a>(
    config: &'a Config,
    model: &ModelName,
    branch: Option<&BranchName>,
    named: Option<&str>,
) -> Result<(StageName, &'a TrainingSettings), Failure> {
    let settings = config
        .models
        .get(model)
        .map(|model| &model.settings)
        .ok_or_else(|| Failure::usage(format!("there is no model `{model}` at this commit")))?;
    let trains = || settings.keys().map(StageName::as_str).collect::<Vec<_>>().join(", ");
    if let Some(text) = named {
        let found = StageName::parse(text).ok().and_then(|stage| Some((stage.clone(), settings.get(&stage)?)));
        return found.ok_or_else(|| {
            Failure::usage(format!("{model} is not trained in a stage `{}`", plain(text)))
                .hint(format!("it is trained in: {}", trains()))
        });
    }
    let reached = branch.and_then(|branch| config.stage_of_branch(branch)).map(|stage| match &stage.does {
        Does::Promote { from } => from.first().unwrap_or(&stage.name).clone(),
        Does::Train { .. } => stage.name.clone(),
    });
    if let Some((stage, found)) = reached.and_then(|stage| Some((stage.clone(), settings.get(&stage)?))) {
        return Ok((stage, found));
    }
    let mut lowest_first = config.stages.iter().filter_map(|stage| Some((&stage.name, settings.get(&stage.name)?)));
    let first = lowest_first.next().ok_or_else(|| Failure::configuration(format!("no stage trains {model}")))?;
    if lowest_first.any(|(_, other)| other != first.1) {
        return Err(Failure::usage(format!("{model} is trained differently in {}", trains()))
            .hint("say which is meant: --stage STAGE"));
    }
    Ok((first.0.clone(), first.1))
}
