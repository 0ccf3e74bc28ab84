//! The clients of one account, made once, and the one way in which requests are sent through them.
//!
//! The clients' own retries are off: they would send a creation again after a lost answer.

use crate::adapters::aws::pace::Kind;
use crate::adapters::aws::pace::Pacer;
use crate::adapters::aws::pace::Patience;
use crate::adapters::aws::refused::Class;
use crate::adapters::aws::refused::READING_ROLE;
use crate::adapters::aws::refused::Refused;
use crate::adapters::aws::refused::WRONG_ACCOUNT;
use crate::adapters::aws::transport;
use crate::adapters::network::Network;
use crate::model::cloud::AccountPlace;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_config::BehaviorVersion;
use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sagemaker::config::SharedCredentialsProvider;
use aws_sdk_sagemaker::config::http::HttpResponse;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::error::SdkError;
use std::error::Error;
use std::future::Future;
use std::time::Duration;
use tokio::sync::OnceCell;

/// What a session may be told beside its place.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// One address for all services, instead of Amazon's own.
    pub endpoint: Option<String>,
    /// Where credentials come from. `None`: the usual chain of the AWS tools.
    pub credentials: Option<SharedCredentialsProvider>,
    /// How often and how long requests are tried.
    pub patience: Patience,
    /// How hosts outside are reached.
    pub network: Network,
}

/// The clients of one account.
pub struct Session {
    /// Where it lives.
    pub place: AccountPlace,
    /// SageMaker.
    pub sagemaker: aws_sdk_sagemaker::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// ECR.
    pub ecr: aws_sdk_ecr::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    pacer: Pacer,
    identity: OnceCell<Identity>,
}

/// Who we are to Amazon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// The role session or user.
    pub arn: String,
}

impl Session {
    /// Makes the clients. Nothing is sent yet.
    pub async fn new(place: AccountPlace, options: &SessionOptions) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .operation_attempt_timeout(Duration::from_secs(120))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(credentials) = &options.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        if let Some(client) = transport::client(&options.network) {
            loader = loader.http_client(client);
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        // A copy of 5 GB or the completion of a large upload takes minutes before it says its first word.
        let patient = TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build();
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .timeout_config(patient)
            // An endpoint of one's own seldom has a name for each bucket.
            .force_path_style(config.endpoint_url().is_some())
            .build();
        Self {
            sagemaker: aws_sdk_sagemaker::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            ecr: aws_sdk_ecr::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            pacer: Pacer::new(options.patience),
            identity: OnceCell::new(),
            place,
        }
    }

    /// Sends a request in its turn, and again where that is safe and may help.
    ///
    /// `action`: as a policy names it, such as `sagemaker:CreateTrainingJob`. Before the first request that changes
    /// something, the account is compared with the configured one.
    pub async fn call<T, E, F, A>(&self, kind: Kind, action: &str, mut attempt: A) -> Result<T, Refused>
    where
        A: FnMut() -> F + Send,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + Error + 'static,
    {
        if matches!(kind, Kind::Create | Kind::Change | Kind::Repeatable) {
            self.in_its_account().await?;
        }
        // On the heap: a client's futures are deep, and every caller's would be deeper still.
        let answer = Box::pin(self.pacer.send(kind, || {
            let sent = Box::pin(attempt());
            async move { sent.await.map_err(|error| Refused::of(action, &error).in_region(&self.place.region)) }
        }))
        .await;
        match answer {
            Err(refused) if refused.class == Class::Denied => Err(self.who_was_denied(refused).await),
            answer => answer,
        }
    }

    /// Says who asked, where the service does not: S3 says "Access Denied" and no more. Credentials of the wrong
    /// account are the better answer.
    async fn who_was_denied(&self, refused: Refused) -> Refused {
        // What came before the request, such as a role that was not given, has no identity to ask for.
        if refused.action.starts_with("sts:") || refused.message.contains("arn:") {
            return refused;
        }
        if let Err(wrong) = self.in_its_account().await
            && wrong.code.as_deref() == Some(WRONG_ACCOUNT)
        {
            return wrong;
        }
        match self.identity().await {
            Ok(identity) => Refused { message: format!("{}, asked by {}", refused.message, identity.arn), ..refused },
            Err(_) => refused,
        }
    }

    /// Returns who we are, asked once.
    pub async fn identity(&self) -> Result<&Identity, Refused> {
        let ask = || async {
            const ACTION: &str = "sts:GetCallerIdentity";
            let send = || async {
                let said = self.sts.get_caller_identity().send().await;
                said.map_err(|error| Refused::of(ACTION, &error).in_region(&self.place.region))
            };
            let said = self.pacer.send(Kind::Read, send).await?;
            Ok(Identity {
                account: said.account().unwrap_or_default().to_owned(),
                arn: said.arn().unwrap_or_default().to_owned(),
            })
        };
        self.identity.get_or_try_init(ask).await
    }

    /// Refuses to write where the credentials belong to another account than the configured one, or to the role that
    /// only reads.
    async fn in_its_account(&self) -> Result<(), Refused> {
        if self.place.account_id.is_none() && self.place.read_role_arn.is_none() {
            return Ok(());
        }
        let identity = self.identity().await?;
        let refused = |code: &str, message: String| Refused {
            class: Class::Denied,
            action: "sts:GetCallerIdentity".to_owned(),
            code: Some(code.to_owned()),
            message,
            status: None,
            request_id: None,
        };
        if let Some(wanted) = self.place.account_id.as_ref().filter(|wanted| *wanted != &identity.account) {
            let message = format!(
                "the credentials are those of account {} ({}), and the configuration says {wanted}: nothing was written",
                identity.account, identity.arn
            );
            return Err(refused(WRONG_ACCOUNT, message));
        }
        if !self.place.lets_write(&identity.arn) {
            let message = format!(
                "this job may not assume `assume_role_arn`, and {} only reads: nothing was written",
                identity.arn
            );
            return Err(refused(READING_ROLE, message));
        }
        Ok(())
    }

    /// Returns an object's key below our prefix.
    pub fn key(&self, rest: &str) -> String {
        if self.place.prefix.is_empty() { rest.to_owned() } else { format!("{}/{rest}", self.place.prefix) }
    }

    /// Says that the configuration lacks something that this needs.
    pub fn lacking(&self, doing: impl Into<String>, key: &str) -> PortError {
        PortError::because(PortErrorKind::Configuration, doing, format!("`{key}` is not set"))
            .hint(format!("Write it in branchline.yaml: {key}"))
    }
}
