//! What a person asked for by dispatch: the same commands as on the command line, with the rules' permissions asked
//! first.

use crate::cli::by_hand;
use crate::cli::compose::Composed;
use crate::cli::failure::Failure;
use crate::cli::host::Judged;
use crate::cli::limits;
use crate::cli::prune;
use crate::cli::pull_request;
use crate::cli::reconcile;
use crate::cli::reconcile::Heads;
use crate::cli::run::Mode;
use crate::cli::run::Reaction;
use crate::drive::port_failed;
use crate::event::Command;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::model::verdict::Verdict;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::permission::Request;
use crate::plan::reason::Reason;
use crate::plan::route;
use crate::plan::route::Route;

impl Reaction<'_> {
    /// Does what was dispatched, if the rules let this person.
    pub(super) async fn dispatched(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        command: &Command,
        only: &[ModelName],
    ) -> Result<Outcome, Failure> {
        let by = Attribution { reason: command.reason().map(|reason| reason.as_str().to_owned()), ..by.clone() };
        if let Some(resolved) = by_hand::of_command(composed, command).await? {
            let task = resolved.task(composed, by, self.event.run.attempt)?;
            let (model, aim) = resolved.aim();
            let judged = by_hand::judged(composed, model, aim).await?;
            let request = Request::of_aim(&task.rules, aim).unwrap_or_else(|| Request::of(command.action()));
            if let Some(refused) = self.refused(composed, &request, judged.as_ref(), &text).await {
                return Ok(refused);
            }
            let models = match self.mode {
                Mode::Plan => composed.drive.plan(std::slice::from_ref(&task)).await,
                Mode::Run | Mode::Train { .. } => composed.drive.run(vec![task]).await,
            };
            return Ok(Outcome::of_models(resolved.text().to_owned(), models));
        }
        if let Some(refused) = self.refused(composed, &Request::of(command.action()), None, &text).await {
            return Ok(refused);
        }
        match command {
            Command::Reconcile { stage } => {
                let which = Heads::All(stage.as_ref());
                let heads = reconcile::heads(self.place, self.host, composed, which, &by, only).await?;
                reconcile::publish(self.place, self.host, composed, &by, &heads).await;
                Ok(reconcile::outcome(text, heads))
            }
            Command::Repin { pull_request, .. } => {
                let started_on = self.event.started_on.as_ref();
                let started_on = started_on.and_then(|head| Some((&head.branch, head.sha.as_ref()?)));
                pull_request::repin(self.place, self.host, composed, &by, *pull_request, started_on).await
            }
            Command::Prune { yes } => prune::dispatched(self.place, composed, &by, only, *yes, text).await,
            _ => self.train_dispatched(composed, &by, text, command).await,
        }
    }

    /// Says why a command must not be done, as an outcome.
    async fn refused(
        &self,
        composed: &Composed,
        request: &Request,
        judged: Option<&Judged>,
        text: &str,
    ) -> Option<Outcome> {
        let skipped = |verdict, reason| Outcome { verdict, ..Outcome::skipped(text.to_owned(), reason) };
        // Of a re-run it is asked who ran it again: the rights of the first one are not theirs.
        match self.host.refuse(self.place, &composed.config, request, self.event.person(), judged).await {
            Ok(refused) => refused.map(|reason| skipped(Verdict::Blocked, reason)),
            Err(error) => Some(skipped(Verdict::Errored, port_failed(&error))),
        }
    }

    /// `train` and `run` by dispatch: on the branch that the person chose.
    async fn train_dispatched(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        command: &Command,
    ) -> Result<Outcome, Failure> {
        let started_on = self.event.started_on.as_ref().ok_or_else(|| {
            Failure::usage("this dispatch was not started on a branch").hint("choose a branch, not a tag")
        })?;
        let resolve = |text: &str| self.place.git.resolve_commit(text).map_err(|error| Failure::git(&error));
        let commit = match (command, &started_on.sha) {
            (Command::Train { commit: Some(text), .. }, _) => resolve(text.as_str())?,
            (_, Some(sha)) => sha.clone(),
            (_, None) => resolve(started_on.branch.as_str())?,
        };
        let config = composed.drive.observer.config_at(&commit).map_err(Failure::configuration)?;
        let (only, asked) = match command {
            Command::Train { model, again, reason, .. } => (
                model.iter().cloned().collect(),
                again.then(|| reason.as_ref().map_or_else(String::new, |reason| reason.as_str().to_owned())),
            ),
            _ => (Vec::new(), None),
        };
        match route::push(&config, &started_on.branch, &commit, by, self.event.run.attempt, &only) {
            Route::Nothing(reason) => Ok(Outcome::skipped(text, *reason)),
            Route::Tasks(mut tasks) => {
                for task in &mut tasks {
                    if let Aim::Train { again, by_hand, .. } = &mut task.goal.aim {
                        again.clone_from(&asked);
                        *by_hand = matches!(command, Command::Train { .. });
                    }
                }
                let bound = self.host.bind_reviews(&config, &started_on.branch, &commit, &mut tasks).await;
                if let Err(error) = bound {
                    return Ok(Outcome { verdict: Verdict::Errored, ..Outcome::skipped(text, port_failed(&error)) });
                }
                if *self.mode == Mode::Plan {
                    let planned = composed.drive.plan(&tasks).await;
                    return Ok(Outcome::of_models(text, limits::planned(&config, planned)));
                }
                match limits::refused(&config, &composed.drive, &tasks).await {
                    Some(reason) => Ok(Outcome { verdict: Verdict::Blocked, ..Outcome::skipped(text, reason) }),
                    None => Ok(Outcome::of_models(text, composed.drive.run(tasks).await)),
                }
            }
        }
    }
}

/// Says that a list of things to remove was dispatched.
pub fn pruned(text: String, said: String) -> Outcome {
    Outcome { verdict: Verdict::Passed, ..Outcome::skipped(text, Reason::Pruned { what: said }) }
}
