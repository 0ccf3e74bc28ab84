//! What a person may do in the repository.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::client::encoded;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::ports::error::PortError;
use crate::ports::forge::Permission;

impl GitHub {
    pub(super) async fn read_permission(&self, login: &str) -> Result<Permission, PortError> {
        let route = self.route(&format!("/collaborators/{}/permission", encoded(login)));
        let call = Call::get(route, format!("find out what {login} may do"), Subject::People);
        let answer = self.client.send(&call).await?;
        if answer.status.as_u16() == 404 {
            // GitHub answers "X is not a user" for a login that nobody has.
            return match answer.error() {
                Some(error) if error.message().ends_with("is not a user") => Ok(Permission::None),
                _ => Err(Refusal::of(&call, &answer)),
            };
        }
        let found: wire::Collaborator = answer.read(&call)?;
        let named = found.role_name.as_deref().and_then(word);
        // A role of the organisation's own making has a name that says nothing: what it rests on does.
        Ok(named.or_else(|| word(&found.permission)).unwrap_or(Permission::None))
    }
}

fn word(text: &str) -> Option<Permission> {
    Some(match text {
        "none" => Permission::None,
        "read" | "pull" => Permission::Read,
        "triage" => Permission::Triage,
        "write" | "push" => Permission::Write,
        "maintain" => Permission::Maintain,
        "admin" => Permission::Admin,
        _ => return None,
    })
}
