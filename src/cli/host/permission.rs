//! May the person who started this workflow by hand do what they ask? The rules decide, the forge knows the person.

use crate::cli::compose::Composed;
use crate::cli::host::Host;
use crate::config::resolved::Role;
use crate::event::Command;
use crate::event::Event;
use crate::facts::group::GroupLook;
use crate::model::version::Version;
use crate::plan::permission;
use crate::plan::permission::Asker;
use crate::plan::reason::Reason;
use crate::ports::Permission;
use crate::ports::PortError;
use crate::ports::PortErrorKind;

impl Host {
    /// Returns why a dispatched command must not be done, or an error where that cannot be found out.
    ///
    /// Outside of a runner nobody is asked: whoever holds the home folder can do all of it anyway.
    pub async fn refuse_by_hand(
        &self,
        event: &Event,
        command: &Command,
        composed: &Composed,
    ) -> Result<Option<Reason>, PortError> {
        if !self.is_runner() {
            return Ok(None);
        }
        // Of a re-run it is asked who ran it again: the rights of the first one are not theirs.
        let login = event.rerun_by.as_deref().or(event.actor.as_deref());
        let role = match (&self.forge, login) {
            (Some(forge), Some(login)) => role(forge.permission(login).await?),
            (Some(_), None) => None,
            (None, _) => {
                let action = command.action().as_str();
                return Err(PortError::because(
                    PortErrorKind::Permission,
                    format!("find out who may {action}"),
                    "there is no token to ask GitHub with",
                )
                .hint(format!("To ask, {}.", super::TOKEN_LINE)));
            }
        };
        let authors = if composed.config.not_author { self.authors(command, composed).await? } else { Vec::new() };
        Ok(permission::refuse(&composed.config, command.action(), &Asker { login, role, authors: &authors }))
    }

    /// Who made the version that is judged: whoever caused its training, and the authors of its pull requests.
    async fn authors(&self, command: &Command, composed: &Composed) -> Result<Vec<String>, PortError> {
        let Some(version) = judged(command, composed).await? else { return Ok(Vec::new()) };
        let mut authors: Vec<String> = version.content.lineage.actor.into_iter().collect();
        if let Some(forge) = &self.forge {
            for pull in forge.pull_requests_of_commit(&version.content.lineage.commit).await? {
                authors.extend(pull.author);
            }
        }
        Ok(authors)
    }
}

fn role(permission: Permission) -> Option<Role> {
    match permission {
        Permission::None => None,
        Permission::Read => Some(Role::Read),
        Permission::Triage => Some(Role::Triage),
        Permission::Write => Some(Role::Write),
        Permission::Maintain => Some(Role::Maintain),
        Permission::Admin => Some(Role::Admin),
    }
}

/// The version that a command is about.
async fn judged(command: &Command, composed: &Composed) -> Result<Option<Version>, PortError> {
    let (text, model, number) = match command {
        Command::Approve { group, version, .. } => (group.group.as_str(), group.model.as_ref(), Some(*version)),
        Command::Promote { from: Some(from), model, version, .. } => (from.as_str(), model.as_ref(), *version),
        _ => return Ok(None),
    };
    let Ok((_, _, group)) = composed.config.find_group(text, model) else { return Ok(None) };
    let look = GroupLook { numbers: number.into_iter().collect(), ..GroupLook::default() };
    let facts = composed.drive.ports.registry.look(&group, &look).await?;
    Ok(match number {
        Some(_) => facts.asked.into_iter().next(),
        None => facts.current,
    })
}
