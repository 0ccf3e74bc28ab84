//! Where credentials come from: the role of a place, assumed with a GitHub identity token or with what the usual
//! chain finds; else that chain alone. Who may not assume that role is given the one that only reads, where there is one.
//!
//! A session of a role lasts an hour and a training may last a day. So a role is assumed again before its session
//! ends, each time with a new identity token, and so does every further try.

use crate::adapters::aws::oidc::Claims;
use crate::adapters::aws::oidc::OidcEnvironment;
use crate::adapters::aws::pace::Patience;
use crate::adapters::aws::refused::Class;
use crate::adapters::aws::refused::Refused;
use crate::adapters::aws::transport;
use crate::adapters::network::Network;
use crate::model::cloud::AccountPlace;
use crate::ports::Clock;
use aws_config::BehaviorVersion;
use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use backon::BackoffBuilder;
use backon::ExponentialBuilder;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use tokio::sync::Mutex;

/// A session is renewed this long before its end; a short one when a quarter of it is left.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// How long an old session is used on when it could not be renewed in time.
const A_MOMENT: Duration = Duration::from_secs(30);

/// How often a role is asked for, the first time included. More patience is with the request that wants it.
const TRIES: usize = 5;

/// What the credentials of a place depend on beside it.
#[derive(Clone)]
pub struct CredentialOptions {
    /// One address for all services, instead of Amazon's own.
    pub endpoint: Option<String>,
    /// What the session is called in Amazon's records, such as `branchline-<run>-<attempt>`. Characters that Amazon does
    /// not allow are replaced, and it is cut at 64.
    pub session_name: String,
    /// The clock that tells when a session ends.
    pub clock: Arc<dyn Clock>,
    /// The pauses between two tries.
    pub patience: Patience,
    /// How hosts outside are reached.
    pub network: Network,
}

/// Returns where the credentials of a place come from. Nothing is asked yet.
///
/// `github`: what GitHub hands a job that may ask for identity tokens. It counts only where the place names a role.
pub async fn credentials_for(
    place: &AccountPlace,
    github: Option<&OidcEnvironment>,
    options: &CredentialOptions,
) -> Option<SharedCredentialsProvider> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(10))
        .operation_attempt_timeout(Duration::from_secs(20))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(client) = transport::client(&options.network) {
        loader = loader.http_client(client);
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let config = loader.load().await;
    let Some(role) = &place.assume_role_arn else { return config.credentials_provider() };
    let provider = RoleProvider {
        sts: aws_sdk_sts::Client::new(&config),
        region: place.region.clone(),
        role: role.clone(),
        read_role: place.read_role_arn.clone(),
        session_name: session_name(&options.session_name),
        github: github.cloned(),
        clock: Arc::clone(&options.clock),
        patience: options.patience,
        network: options.network.clone(),
        kept: Mutex::default(),
    };
    Some(SharedCredentialsProvider::new(provider))
}

/// Keeps letters, digits and `+=,.@-_`, at least 2 and at most 64 of them.
fn session_name(wanted: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | ',' | '.' | '@' | '-' | '_');
    let name: String = wanted.chars().map(|c| if legal(c) { c } else { '-' }).take(64).collect();
    if name.len() < 2 { "branchline".to_owned() } else { name }
}

/// Takes on a role, and does so again before its session ends.
struct RoleProvider {
    sts: aws_sdk_sts::Client,
    region: String,
    role: String,
    /// Taken on where the other one is denied.
    read_role: Option<String>,
    session_name: String,
    github: Option<OidcEnvironment>,
    clock: Arc<dyn Clock>,
    patience: Patience,
    network: Network,
    /// One session serves all clients of an account.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    /// Which role it is a session of. A run that began with one goes on with it: who it is never changes midway.
    role: String,
    credentials: Credentials,
    ends: jiff::Timestamp,
    renew_at: jiff::Timestamp,
}

impl fmt::Debug for RoleProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleProvider").field("role", &self.role).finish_non_exhaustive()
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move { self.current().await.map_err(CredentialsError::provider_error) })
    }
}

impl RoleProvider {
    async fn current(&self) -> Result<Credentials, Refused> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.renew_at) {
            return Ok(kept.credentials.clone());
        }
        match self.take_on(kept.as_ref().map(|kept| kept.role.as_str())).await {
            Ok(new) => Ok(kept.insert(new).credentials.clone()),
            // The old session still holds: it is handed out for a moment, and then this is tried again.
            Err(refused) => match kept.as_ref().filter(|kept| now < kept.ends) {
                Some(kept) => {
                    let soon = now.checked_add(A_MOMENT).unwrap_or(kept.ends).min(kept.ends);
                    let mut credentials = kept.credentials.clone();
                    *credentials.expiry_mut() = Some(SystemTime::from(soon));
                    Ok(credentials)
                }
                None => Err(refused),
            },
        }
    }

    /// Assumes the role that was assumed before; the first time, the one that may write, or else the one that reads.
    async fn take_on(&self, before: Option<&str>) -> Result<Kept, Refused> {
        if let Some(role) = before {
            return self.take_on_role(role).await;
        }
        let refused = match self.take_on_role(&self.role).await {
            Err(refused) if refused.class == Class::Denied => refused,
            said => return said,
        };
        let Some(reader) = &self.read_role else { return Err(refused) };
        self.take_on_role(reader).await.map_err(|second| match second.class {
            Class::Denied => Refused { message: format!("{}; and {}", refused.message, second.message), ..refused },
            _ => second,
        })
    }

    async fn take_on_role(&self, role: &str) -> Result<Kept, Refused> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(self.patience.first_pause)
            .with_max_delay(self.patience.longest_pause.min(Duration::from_secs(3)))
            .with_max_times(TRIES.min(self.patience.tries).saturating_sub(1))
            .with_jitter()
            .build();
        loop {
            let asked = match &self.github {
                Some(github) => self.with_token(role, github).await,
                None => self.with_chain(role).await,
            };
            let refused = match asked {
                Ok(said) => return self.keep(role, said),
                Err(refused) => refused.in_region(&self.region),
            };
            let passes = match refused.class {
                Class::Throttled | Class::Unreachable | Class::Lost => true,
                // A token that ran out on the way, and keys of GitHub that Amazon could not fetch: a new one may do.
                Class::Expired | Class::Credentials => self.github.is_some(),
                _ => false,
            };
            match pauses.next() {
                Some(pause) if passes => tokio::time::sleep(pause).await,
                _ => return Err(refused),
            }
        }
    }

    async fn with_token(
        &self,
        role: &str,
        github: &OidcEnvironment,
    ) -> Result<Option<aws_sdk_sts::types::Credentials>, Refused> {
        const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
        let identity = github.ask(&self.network).await?;
        let sent = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(role)
            .role_session_name(&self.session_name)
            .web_identity_token(identity.token.expose())
            .send()
            .await;
        match sent {
            Ok(said) => Ok(said.credentials),
            Err(error) => {
                let mut refused = Refused::of(ACTION, &error);
                // Amazon may quote what it was sent.
                refused.message = refused.message.replace(identity.token.expose(), "(token)");
                Err(explain(refused, role, Some(&identity.claims)))
            }
        }
    }

    async fn with_chain(&self, role: &str) -> Result<Option<aws_sdk_sts::types::Credentials>, Refused> {
        const ACTION: &str = "sts:AssumeRole";
        let sent = self.sts.assume_role().role_arn(role).role_session_name(&self.session_name).send().await;
        match sent {
            Ok(said) => Ok(said.credentials),
            Err(error) => Err(explain(Refused::of(ACTION, &error), role, None)),
        }
    }

    fn keep(&self, role: &str, said: Option<aws_sdk_sts::types::Credentials>) -> Result<Kept, Refused> {
        let nothing = || Refused::said("sts:AssumeRole", "NoCredentials", "the answer holds no credentials", 200);
        let said = said.ok_or_else(nothing)?;
        let now = self.clock.now();
        let ends = jiff::Timestamp::from_second(said.expiration.secs()).map_err(|_| nothing())?;
        let lasts = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
        let renew_at = ends.checked_sub(MARGIN.min(lasts / 4)).unwrap_or(now);
        let credentials = Credentials::builder()
            .access_key_id(said.access_key_id)
            .secret_access_key(said.secret_access_key)
            .session_token(said.session_token)
            // The clients ask again when this is over, and are then given the renewed ones.
            .expiry(SystemTime::from(renew_at))
            .provider_name("branchline")
            .build();
        Ok(Kept { role: role.to_owned(), credentials, ends, renew_at })
    }
}

/// Says who was refused what: the role, and the subject that the job has in both forms. Never the token.
fn explain(mut refused: Refused, role: &str, claims: Option<&Claims>) -> Refused {
    let subject = claims.map(Claims::subject).filter(|subject| !subject.is_empty());
    let who = match (subject, claims.and_then(Claims::other_form)) {
        (Some(subject), Some(other)) => format!(" by `{subject}` (the other form of the same: `{other}`)"),
        (Some(subject), None) => format!(" by `{subject}`"),
        (None, _) => String::new(),
    };
    if matches!(refused.class, Class::Denied | Class::Expired | Class::Credentials | Class::NotFound) {
        refused.message = format!("{role} may not be assumed{who}: {}", refused.message);
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_name_that_amazon_allows() {
        assert_eq!(session_name("branchline-123-1"), "branchline-123-1");
        assert_eq!(session_name("a b/ü"), "a-b--");
        assert_eq!(session_name("x"), "branchline");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
