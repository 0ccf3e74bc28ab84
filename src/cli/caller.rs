//! Who gives a command on the command line, under whose rules it acts, and whether the rules let them.
//!
//! In a job of GitHub the job's own event says who it is, and GitHub says which role they have. At a desk and in another
//! CI nobody can be asked for a role: `approvers` and `not_author` hold by name all the same, and the output says that
//! the name was not verified.

use crate::cli::args::CallerArgs;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::cli::host::Host;
use crate::cli::host::Judged;
use crate::cli::occasion;
use crate::cli::whose_rules;
use crate::config::Config;
use crate::config::SourceText;
use crate::drive::port_failed;
use crate::event::ForeignCause;
use crate::event::Job;
use crate::event::RunnerVariables;
use crate::event::Trust;
use crate::model::history::Attribution;
use crate::model::verdict::Verdict;
use crate::outcome::Outcome;
use crate::plan::permission::Request;
use crate::plan::reason::Reason;

/// Who gives a command.
pub struct Caller {
    /// The host of the repository.
    pub host: Host,
    job: Option<Job>,
    flags: CallerArgs,
}

impl Caller {
    /// Finds out who it is. `document`: standard output is for JSON or Markdown alone.
    pub async fn find(place: &Place, flags: &CallerArgs, document: bool) -> Result<Self, Failure> {
        let job = job()?;
        if job.is_some() && (flags.actor.is_some() || flags.run_url.is_some()) {
            return Err(occasion::says_already());
        }
        let host = Host::of_job(job.as_ref(), place.home.clone(), document).await;
        Ok(Self { host, job, flags: flags.clone() })
    }

    /// Returns the rules that hold, and the settings of what is checked out.
    pub async fn rules(
        &self,
        place: &Place,
        settings: Option<SourceText>,
    ) -> Result<(SourceText, SourceText), Failure> {
        if !place.in_ci {
            let settings = settings.ok_or_else(no_configuration)?;
            return Ok((settings.clone(), settings));
        }
        let told = self.job.as_ref().and_then(|job| job.default_branch.as_ref());
        let rules = whose_rules::of_default_branch(place, &self.host, self.flags.default_branch.as_ref(), told).await?;
        let settings = settings.unwrap_or_else(|| rules.clone());
        Ok((rules, settings))
    }

    /// Says who acts, from where and why.
    pub fn attribution(&self, place: &Place, event: &str, reason: Option<String>) -> Attribution {
        let (actor, run_url) = match &self.job {
            Some(job) => (job.acted_by().map(str::to_owned), job.run.url.clone()),
            None => (self.flags.actor.clone().or_else(|| place.git.user_name()), self.flags.run_url.clone()),
        };
        Attribution {
            actor,
            event: event.to_owned(),
            run_url,
            run_key: format!("local/{}", uuid::Uuid::new_v4()),
            pull_request: None,
            reviewed_by: Vec::new(),
            reason,
        }
    }

    /// Refuses a command because of the event that started its job: code that is not the repository's own was checked out.
    pub fn refused_event(&self) -> Option<Reason> {
        match &self.job.as_ref()?.trust {
            Trust::Own | Trust::Foreign { why: ForeignCause::EventUnknown } => None,
            Trust::Foreign { why } => Some(Reason::Refused { why: format!("{why}: this job changes nothing") }),
            Trust::Refused { why, .. } => Some(Reason::Refused { why: why.to_string() }),
        }
    }

    /// Says why a command must not be done, as an outcome. `text`: the command, in words.
    pub async fn refusal(
        &self,
        place: &Place,
        config: &Config,
        request: &Request,
        judged: Option<&Judged>,
        text: &str,
    ) -> Option<Outcome> {
        let blocked = |reason| Outcome { verdict: Verdict::Blocked, ..Outcome::skipped(text.to_owned(), reason) };
        if let Some(reason) = self.refused_event() {
            return Some(blocked(reason));
        }
        let person = self.person(place);
        // What a schedule asks for stands in a workflow of the default branch. It finishes and cleans up, and decides
        // nothing: that takes a person.
        if self.job.is_some() && person.is_none() && !request.decides {
            return None;
        }
        match self.host.refuse(place, config, request, person.as_deref(), judged).await {
            Ok(refused) => refused.map(blocked),
            Err(error) => {
                let reason = port_failed(&error);
                Some(Outcome { verdict: Verdict::Errored, ..Outcome::skipped(text.to_owned(), reason) })
            }
        }
    }

    /// The person whose permission counts. In another CI the name that Git is configured for is the machine's.
    fn person(&self, place: &Place) -> Option<String> {
        match &self.job {
            Some(job) => job.person().map(str::to_owned),
            None if place.in_ci => self.flags.actor.clone(),
            None => self.flags.actor.clone().or_else(|| place.git.user_name()),
        }
    }
}

/// The job of GitHub that this is a step of.
pub fn job() -> Result<Option<Job>, Failure> {
    let variables = RunnerVariables::from_lookup(env_vars::get);
    if variables.event_name.is_none() {
        return Ok(None);
    }
    crate::event::parse_job(&variables, &occasion::own_payload()?).map(Some).map_err(|error| Failure::event(&error))
}

fn no_configuration() -> Failure {
    Failure::configuration("there is no branchline.yaml here").hint("write one: branchline init")
}
