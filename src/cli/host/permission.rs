//! May this person give this command? The rules decide; the forge knows the person and who made what is judged, and Git
//! knows who wrote its commits.

use crate::cli::compose::Place;
use crate::cli::host::Host;
use crate::cli::notice;
use crate::config::Config;
use crate::config::resolved::Role;
use crate::model::git::CommitSha;
use crate::model::name::ModelName;
use crate::model::version::Version;
use crate::plan::permission;
use crate::plan::permission::Asker;
use crate::plan::permission::Request;
use crate::plan::permission::Standing;
use crate::plan::reason::Reason;
use crate::ports::Permission;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use std::collections::BTreeSet;

/// Most commits whose authors are looked at.
const MOST_COMMITS: usize = 1_000;

/// A version that a command judges.
pub struct Judged {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// The commit of the version that it follows: what came after it is what is judged.
    pub since: Option<CommitSha>,
}

impl Host {
    /// Returns why a command must not be done, or an error where that cannot be found out. `person`: who gives it.
    ///
    /// Outside of a runner there is nobody to ask for a role. What the rules say of names holds there too.
    pub async fn refuse(
        &self,
        place: &Place,
        config: &Config,
        request: &Request,
        person: Option<&str>,
        judged: Option<&Judged>,
    ) -> Result<Option<Reason>, PortError> {
        let standing = match (self.is_runner(), &self.forge, person) {
            (false, _, _) => Standing::NotAsked,
            (true, Some(forge), Some(login)) => standing(forge.permission(login).await?),
            (true, Some(_), None) => Standing::NoRole,
            (true, None, _) => {
                return Err(PortError::because(
                    PortErrorKind::Permission,
                    format!("find out who may {}", request.word),
                    "there is no token to ask GitHub with",
                )
                .hint(format!("To ask, {}.", super::TOKEN_LINE)));
            }
        };
        let authors = match judged.filter(|_| config.not_author) {
            Some(judged) => self.authors(place, config, judged).await?.into_iter().collect(),
            None => Vec::new(),
        };
        let refused = permission::refuse(config, request, &Asker { login: person, standing, authors: &authors });
        if refused.is_none() && standing == Standing::NotAsked {
            say_not_verified(config, request, person);
        }
        Ok(refused)
    }

    /// Who made the version that is judged: whoever caused its training run, the authors of its commits since the version
    /// that it follows, and those of its pull requests with all their commits.
    async fn authors(&self, place: &Place, config: &Config, judged: &Judged) -> Result<BTreeSet<String>, PortError> {
        let lineage = &judged.version.content.lineage;
        let mut authors: BTreeSet<String> = lineage.actor.iter().cloned().collect();
        let watched = config.model(&judged.model).into_iter().flat_map(|model| model.settings.values());
        for settings in watched {
            let found = place.git.authors(&lineage.commit, judged.since.as_ref(), &settings.watched, MOST_COMMITS);
            match found {
                Ok(found) => authors.extend(found),
                // A checkout without that commit cannot tell; the forge can.
                Err(_) if self.forge.is_some() => {}
                Err(error) => {
                    let doing = format!("find out who wrote {}", judged.version.reference());
                    return Err(PortError::because(PortErrorKind::Storage, doing, error)
                        .hint("Fetch the whole history: `not_author` needs the authors of the commits."));
                }
            }
        }
        if let Some(forge) = &self.forge {
            authors.extend(forge.commit_author(&lineage.commit).await?);
            for pull in forge.pull_requests_of_commit(&lineage.commit).await? {
                authors.extend(forge.pull_request_authors(pull.number).await?);
                authors.extend(pull.author);
            }
        }
        Ok(authors)
    }
}

/// Says what nobody could be asked, where the rules ask for more than they do by default.
fn say_not_verified(config: &Config, request: &Request, person: Option<&str>) {
    let role = config.permissions.get(&request.rule).filter(|role| **role != request.rule.default_role());
    if role.is_none() && !request.is_guarded(config) {
        return;
    }
    let name = person.map_or_else(|| "nobody is named".to_owned(), |name| format!("the name {name} is not verified"));
    let role = role.map_or_else(String::new, |role| {
        format!(", and nobody can be asked for the role {} that `permissions` requires", role.as_str())
    });
    notice(&crate::report::terminal::plain(&format!("note: outside of GitHub Actions {name}{role}")));
}

fn standing(permission: Permission) -> Standing {
    match permission {
        Permission::None => Standing::NoRole,
        Permission::Read => Standing::Role(Role::Read),
        Permission::Triage => Standing::Role(Role::Triage),
        Permission::Write => Standing::Role(Role::Write),
        Permission::Maintain => Standing::Role(Role::Maintain),
        Permission::Admin => Standing::Role(Role::Admin),
    }
}
