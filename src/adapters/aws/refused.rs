//! What an error of Amazon means: one class, whatever the service calls it.
//!
//! "Not found" and "exists" have no code of their own in SageMaker. The table is taken from the ACK controller for
//! SageMaker, which AWS maintains (`generator.yaml`), and from the SageMaker Python SDK.

use crate::model::region as regions;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_sdk_sagemaker::config::http::HttpResponse;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::error::SdkError;
use std::error::Error;
use std::fmt;

/// What an error means for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// What was named does not exist.
    NotFound,
    /// What was to be made exists already.
    Exists,
    /// A precondition did not hold: somebody else was faster.
    Precondition,
    /// Two writes met; nothing was changed by this one.
    Conflict,
    /// Somebody may not do it.
    Denied,
    /// There are no credentials, or they are wrong.
    Credentials,
    /// The credentials ran out.
    Expired,
    /// The clocks of this machine and of Amazon differ too much.
    ClockSkew,
    /// A limit of the account. Trying again does not help.
    Quota,
    /// Too many requests: this one was not carried out.
    Throttled,
    /// The bucket is in another region.
    WrongRegion,
    /// The request itself is not right.
    Invalid,
    /// Never sent: nobody answered the connection.
    Unreachable,
    /// Never sent: nobody answered, in a region that this release does not know.
    UnknownRegion,
    /// Whether it was carried out is not known: the answer was lost, or the service stumbled.
    Lost,
    /// Something that we have no word for.
    Other,
}

/// A request that was not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it means.
    pub class: Class,
    /// The service and the operation, as a policy names it: `sagemaker:CreateTrainingJob`.
    pub action: String,
    /// Amazon's code, where there is one.
    pub code: Option<String>,
    /// What Amazon said, or what went wrong on the way. One line, cut to a readable length.
    pub message: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Amazon's number of the request.
    pub request_id: Option<String>,
}

/// Our own code for credentials that belong to another account than the configured one.
pub(super) const WRONG_ACCOUNT: &str = "WrongAccount";

/// The code of a change that was not sent, because this job was given the role that only reads.
pub(super) const READING_ROLE: &str = "ReadingRole";

/// Longest message that is kept, in characters.
const LONGEST: usize = 600;

impl Refused {
    /// Reads an error of any client. `action`: as a policy names it.
    pub fn of<E>(action: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(refused) = before(error) {
            return refused;
        }
        let raw = error.raw_response();
        let status = raw.map(|raw| raw.status().as_u16());
        let header = |name: &str| raw.and_then(|raw| raw.headers().get(name)).map(str::to_owned);
        let request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id"));
        let code = error.code().map(str::to_owned);
        let message = match error.message() {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => plain(chain(error)),
        };
        let class = match error {
            SdkError::ConstructionFailure(_) => construction(&message),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Class::Lost,
            SdkError::DispatchFailure(failure) if failure.is_io() => io_class(&message),
            SdkError::DispatchFailure(_) => dispatch(&chain(error)),
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Class::Lost,
            _ => classify(code.as_deref(), &message, status),
        };
        let message = match header("x-amz-bucket-region") {
            // An answer to HEAD has no body, and a message of its own would be that of the client.
            Some(region) if class == Class::WrongRegion => format!("the bucket is in region {region}"),
            Some(_) | None => message,
        };
        Self { class, action: action.to_owned(), code, message: one_line(&message), status, request_id }
    }

    /// Makes one of what an answer said inside, such as a copy that answered 200 with an error.
    pub fn said(action: &str, code: &str, message: &str, status: u16) -> Self {
        Self {
            class: classify(Some(code), message, Some(status)),
            action: action.to_owned(),
            code: Some(code.to_owned()),
            message: one_line(message),
            status: Some(status),
            request_id: None,
        }
    }

    /// Says that the region may be misspelled, where nobody answers in one that is not known: that does not pass by
    /// itself, and is not waited for.
    pub(super) fn in_region(self, region: &str) -> Self {
        // GitHub's token service, whose action is no policy's, is in no region.
        if self.class != Class::Unreachable || !self.action.contains(':') || regions::is_known(region) {
            return self;
        }
        let mut message = format!("{}; {region} is no region that this release knows", self.message);
        let meant = regions::meant(region);
        if !meant.is_empty() {
            message.push_str(&format!(", did you mean {}?", regions::listed(&meant)));
        }
        Self { class: Class::UnknownRegion, message, ..self }
    }

    /// Tells whether the request certainly changed nothing, so that sending it again cannot double anything.
    pub fn changed_nothing(&self) -> bool {
        !matches!(self.class, Class::Lost | Class::Other)
    }

    /// Puts it in the words of a port. `doing` completes "could not …".
    pub fn into_port(self, doing: impl Into<String>) -> PortError {
        let kind = match self.class {
            Class::NotFound => PortErrorKind::NotFound,
            Class::Exists | Class::Invalid | Class::WrongRegion | Class::UnknownRegion => PortErrorKind::Configuration,
            Class::Denied if self.code.as_deref() == Some(READING_ROLE) => PortErrorKind::ReadOnly,
            Class::Denied | Class::Credentials | Class::Expired | Class::ClockSkew => PortErrorKind::Permission,
            Class::Quota => PortErrorKind::Quota,
            Class::Throttled | Class::Conflict | Class::Precondition => PortErrorKind::Throttling,
            Class::Unreachable | Class::Lost | Class::Other => PortErrorKind::Network,
        };
        let hint = self.hint();
        let error = PortError::because(kind, doing, self);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.class {
            Class::Denied if self.code.as_deref() == Some(WRONG_ACCOUNT) => {
                "Use credentials of the configured account, or correct `account_id` (`id` under `accounts`) in branchline.yaml."
                    .to_owned()
            }
            Class::NotFound if self.code.as_deref() == Some("NoSuchBucket") => {
                "Make the bucket, or correct `backend.sagemaker.bucket`, or the `bucket` of the account, in \
                 branchline.yaml. `branchline doctor` looks at all of them."
                    .to_owned()
            }
            Class::Denied if self.action == "sts:AssumeRole" => {
                "Let the role's trust policy name who asks, and allow that user or role sts:AssumeRole on it. For a job \
                 that only reads here, name a role that it may assume as `read_role_arn`."
                    .to_owned()
            }
            Class::Denied if self.action.starts_with("sts:AssumeRole") => {
                "Let the role's trust policy name this subject, and nothing wider: `branchline iam` prints it. A job \
                 with `environment:` has another subject than one without. For a job that only reads here, name the \
                 role for pull requests as `read_role_arn`."
                    .to_owned()
            }
            Class::Denied if self.code.as_deref() == Some(READING_ROLE) => {
                "Do this in a job of the stage's own branch or environment, which its role trusts.".to_owned()
            }
            Class::Denied => format!(
                "Allow {} for this role, on this resource: `branchline iam` prints the policy. `branchline doctor` tries them all.",
                self.action
            ),
            Class::Credentials => {
                "Give the job credentials: `permissions: id-token: write` with a role on GitHub, or the usual \
                 variables and profiles of the AWS command line."
                    .to_owned()
            }
            Class::Expired => "The session ended. Run again: what was begun is found and finished.".to_owned(),
            Class::ClockSkew => "Set this machine's clock: Amazon refuses requests that are 5 minutes off.".to_owned(),
            Class::Quota => {
                "Ask for more in Service Quotas, or use another instance type. Trying again does not help.".to_owned()
            }
            Class::WrongRegion => "Write the bucket's own region into `backend.sagemaker.region`.".to_owned(),
            Class::Throttled | Class::Lost | Class::Conflict | Class::Precondition => {
                "Run again: what was begun is found and finished.".to_owned()
            }
            Class::Unreachable if !self.action.contains(':') => "Can this machine reach GitHub?".to_owned(),
            Class::Unreachable => "Can this machine reach Amazon in the configured region?".to_owned(),
            Class::UnknownRegion => {
                "Correct `region` in branchline.yaml: in `backend.sagemaker`, or that of the account. If it is right \
                 and new, this machine cannot reach it."
                    .to_owned()
            }
            Class::NotFound | Class::Exists | Class::Invalid | Class::Other => return None,
        };
        Some(hint)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        match (&self.code, self.status) {
            (Some(code), _) => write!(f, " was refused: {code}")?,
            (None, Some(status)) => write!(f, " was answered with HTTP {status}")?,
            (None, None) if self.class == Class::Credentials => f.write_str(" was not sent")?,
            (None, None) => f.write_str(" had no answer")?,
        }
        write!(f, ": {}", self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl Error for Refused {}

fn classify(code: Option<&str>, message: &str, status: Option<u16>) -> Class {
    let code = code.unwrap_or_default();
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "TooManyRequests" => Class::Throttled,
        "ResourceLimitExceeded" | "ServiceQuotaExceededException" | "LimitExceededException" => Class::Quota,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "AuthorizationError"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "Forbidden"
        | "KMS.DisabledException" => Class::Denied,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => Class::Expired,
        "RequestTimeTooSkewed" => Class::ClockSkew,
        "InvalidSignatureException" | "SignatureDoesNotMatch" if message.to_ascii_lowercase().contains("signature") => {
            if message.contains("expired") || message.contains("not yet current") {
                Class::ClockSkew
            } else {
                Class::Credentials
            }
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "InvalidIdentityToken"
        | "IDPCommunicationError" => Class::Credentials,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            Class::WrongRegion
        }
        "PreconditionFailed" => Class::Precondition,
        "ConditionalRequestConflict" | "ConflictException" | "OperationAborted" => Class::Conflict,
        "ResourceInUse" | "ResourceInUseException" | "ResourceAlreadyExists" | "BucketAlreadyOwnedByYou" => {
            Class::Exists
        }
        "NoSuchKey"
        | "NoSuchBucket"
        | "NoSuchUpload"
        | "NoSuchVersion"
        | "NotFound"
        | "ResourceNotFound"
        | "ResourceNotFoundException"
        | "ImageNotFoundException"
        | "RepositoryNotFoundException"
        | "NoSuchLifecycleConfiguration" => Class::NotFound,
        "ValidationException" | "ValidationError" => validation(message),
        "InternalError"
        | "InternalFailure"
        | "InternalServerException"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "ServiceUnavailableException"
        | "InternalDependencyException" => Class::Lost,
        _ => match status {
            Some(404) => Class::NotFound,
            Some(403) => Class::Denied,
            Some(412) => Class::Precondition,
            Some(301 | 307) => Class::WrongRegion,
            Some(429) => Class::Throttled,
            Some(408 | 500..=599) => Class::Lost,
            Some(400) if code.is_empty() && message.contains("null") => Class::Throttled,
            Some(400..=499) => Class::Invalid,
            _ => Class::Other,
        },
    }
}

/// The one code behind which SageMaker says almost everything.
fn validation(message: &str) -> Class {
    let not_found = ["Requested resource not found", "Could not find ", "could not be found"];
    if message.trim_end().ends_with("does not exist.") || not_found.iter().any(|text| message.contains(text)) {
        Class::NotFound
    } else if message.contains("Cannot create already existing") || message.contains("already exists") {
        Class::Exists
    } else if message.contains("Rate exceeded") {
        Class::Throttled
    } else {
        Class::Invalid
    }
}

fn construction(message: &str) -> Class {
    let text = message.to_ascii_lowercase();
    if text.contains("credential") || text.contains("identity") || text.contains("token") {
        Class::Credentials
    } else {
        Class::Invalid
    }
}

/// A request that had no answer. Whatever is not plainly about credentials may have arrived.
fn dispatch(message: &str) -> Class {
    match construction(message) {
        Class::Credentials => Class::Credentials,
        _ => io_class(message),
    }
}

/// A connection that was never made has changed nothing; one that broke may have.
fn io_class(message: &str) -> Class {
    let text = message.to_ascii_lowercase();
    let never = [
        "connection refused",
        "dns",
        "failed to lookup",
        "tcp connect",
        "tunnel error",
        "opened no connection",
        "certificate",
        "unreachable",
    ];
    if never.iter().any(|sign| text.contains(sign)) { Class::Unreachable } else { Class::Lost }
}

/// Finds a refusal that came before the request itself: of the credentials, which name their own action.
fn before(error: &(dyn Error + 'static)) -> Option<Refused> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        cause = inner.source();
    }
    None
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// The SDK tells of every place it looked at and of every layer that failed, each with its own words, where one
/// sentence is what people need.
fn plain(message: String) -> String {
    if message.contains("no credentials found in chain") {
        "no credentials were found: neither in the environment nor in a profile, and this machine has no role"
            .to_owned()
    } else if message.contains("failed to load IMDS") {
        // The last place that is looked at: a machine that is none of Amazon's, or that keeps its role to itself.
        "no credentials were found: neither in the environment nor in a profile, and this machine has no role to give"
            .to_owned()
    } else if message.contains("cargo feature") {
        let how = if message.contains("sso") { "IAM Identity Center (SSO)" } else { "a way" };
        format!(
            "the profile logs in by {how} that this program leaves to the AWS command line: log in there, then \
             `eval \"$(aws configure export-credentials --format env)\"`"
        )
    } else if message.contains("dns error") {
        "the network knows no host of its name (DNS)".to_owned()
    } else if let Some((_, why)) = message.split_once("tunnel error: ") {
        format!(
            "the proxy of HTTPS_PROXY or ALL_PROXY opened no connection: {why}; check its address and credentials, or list the host in NO_PROXY"
        )
    } else if message.contains("UnknownIssuer") {
        "TLS: the host's certificate comes from an authority that this machine does not trust; name its PEM file in AWS_CA_BUNDLE"
            .to_owned()
    } else {
        ["dispatch failure: ", "io error: ", "client error (Connect): "]
            .iter()
            .fold(message.as_str(), |text, layer| text.strip_prefix(layer).unwrap_or(text))
            .to_owned()
    }
}

fn one_line(message: &str) -> String {
    let mut line: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact texts of the service, by resource.
    #[test]
    fn not_found_has_many_words() {
        for (code, message) in [
            ("ValidationException", "Could not find endpoint configuration \"x\"."),
            ("ValidationException", "Could not find endpoint \"x\"."),
            ("ValidationException", "Could not find model \"x\"."),
            ("ValidationException", "ModelPackageGroup arn:aws:sagemaker:x does not exist."),
            ("ValidationException", "Requested resource not found."),
            ("ValidationException", "Could not find requested job with name: x"),
            ("ResourceNotFound", "Pipeline x does not exist."),
            ("ResourceNotFoundException", "The specified log stream does not exist."),
        ] {
            assert_eq!(classify(Some(code), message, Some(400)), Class::NotFound, "{message}");
        }
    }

    #[test]
    fn exists_has_two_codes_and_two_texts() {
        for (code, message) in [
            ("ValidationException", "Cannot create already existing model package group."),
            ("ValidationException", "Model Package Group already exists."),
            ("ResourceInUse", "Job name must be unique within an AWS account and region."),
        ] {
            assert_eq!(classify(Some(code), message, Some(400)), Class::Exists, "{message}");
        }
    }

    #[test]
    fn nobody_answers_in_a_region_that_is_not_there() {
        let silent = Refused {
            class: Class::Unreachable,
            action: "ecr:DescribeImages".to_owned(),
            code: None,
            message: plain(
                "dispatch failure: io error: client error (Connect): dns error: failed to lookup address information"
                    .to_owned(),
            ),
            status: None,
            request_id: None,
        };
        assert_eq!(io_class(&silent.message), Class::Unreachable);
        assert_eq!(silent.clone().in_region("eu-west-1"), silent);
        let wrong = silent.in_region("eu-west-4");
        assert_eq!(
            wrong.to_string(),
            "ecr:DescribeImages had no answer: the network knows no host of its name (DNS); eu-west-4 is no region that \
             this release knows, did you mean eu-west-1, eu-west-2 or eu-west-3?"
        );
        assert!(wrong.changed_nothing());
        let error = wrong.into_port("find the digest of image x");
        assert_eq!(error.kind, PortErrorKind::Configuration);
        assert!(error.hint.is_some_and(|hint| hint.starts_with("Correct `region` in branchline.yaml")));
        let refused =
            plain("dispatch failure: io error: client error (Connect): tcp connect error: Connection refused".into());
        assert_eq!(
            (refused.as_str(), io_class(&refused)),
            ("tcp connect error: Connection refused", Class::Unreachable)
        );
    }

    #[test]
    fn a_connection_that_failed_names_its_layer() {
        for (message, says) in [
            (
                "dispatch failure: io error: client error (Connect): tunnel error: proxy authorization required",
                "NO_PROXY",
            ),
            ("dispatch failure: io error: client error (Connect): tunnel error: unsuccessful", "HTTPS_PROXY"),
            (
                "dispatch failure: io error: client error (Connect): invalid peer certificate: UnknownIssuer",
                "AWS_CA_BUNDLE",
            ),
            ("dispatch failure: io error: client error (Connect): dns error: failed to lookup", "DNS"),
        ] {
            assert_eq!(io_class(message), Class::Unreachable, "{message}");
            let said = plain(message.to_owned());
            assert!(said.contains(says) && !said.contains("dispatch failure"), "{said}");
            assert_eq!(io_class(&said), Class::Unreachable, "{said}");
        }
    }

    #[test]
    fn one_sentence_stands_for_the_layers_of_the_client() {
        let loading = "other: an error occurred while loading credentials: failed to load IMDS session token: refused";
        assert!(plain(loading.to_owned()).starts_with("no credentials were found: neither in the environment nor"));
        let profile = "other: the credentials provider was not properly configured: ProfileFile provider could not be \
                       built: This behavior requires following cargo feature(s) enabled: sso.";
        let said = plain(profile.to_owned());
        assert!(said.contains("IAM Identity Center") && said.contains("aws configure export-credentials"), "{said}");
        assert_eq!(dispatch(profile), Class::Credentials);
        assert_eq!(plain("something else".to_owned()), "something else");
    }

    #[test]
    fn what_is_tried_again_and_what_is_not() {
        assert_eq!(classify(Some("ThrottlingException"), "Rate exceeded", Some(400)), Class::Throttled);
        assert_eq!(classify(None, "{\"message\": null}", Some(400)), Class::Throttled);
        assert_eq!(
            classify(Some("ResourceLimitExceeded"), "The account-level service limit …", Some(400)),
            Class::Quota
        );
        assert_eq!(classify(None, "<html>", Some(500)), Class::Lost);
        assert_eq!(classify(Some("PreconditionFailed"), "", Some(412)), Class::Precondition);
        assert_eq!(classify(Some("ConditionalRequestConflict"), "", Some(409)), Class::Conflict);
    }
}
