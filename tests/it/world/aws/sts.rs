//! STS: who a key is, and how one becomes a role.

use super::checksum::decode;
use super::s3::escaped;
use super::s3::iso;
use super::state::Key;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use serde_json::Value;

/// Who may become a role.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Accounts whose principals may assume it.
    pub accounts: Vec<String>,
    /// The audience that a web identity must be for.
    pub audience: String,
    /// The subjects that a web identity may have; `*` stands for any text.
    pub subjects: Vec<String>,
    /// The longest session, in seconds; 3600 where it is 0.
    pub longest: u64,
}

/// A role that somebody became, or tried to.
#[derive(Debug, Clone)]
pub struct Assumed {
    /// Its ARN.
    pub role: String,
    /// `RoleSessionName`
    pub session: String,
    /// The subject of the web identity.
    pub subject: Option<String>,
    /// In seconds.
    pub duration: u64,
    /// Whether it was granted.
    pub granted: bool,
}

/// Refuses as STS does.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}\
         </Code><Message>{}</Message></Error><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ErrorResponse>",
        escaped(message)
    );
    Reply { headers: vec![("content-type".to_owned(), "text/xml".to_owned())], ..Reply::xml(status, body) }
}

fn result(operation: &str, body: &str) -> Reply {
    let body = format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>{body}\
         </{operation}Result><ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata></{operation}Response>"
    );
    Reply { headers: vec![("content-type".to_owned(), "text/xml".to_owned())], ..Reply::xml(200, body) }
}

/// Answers.
pub fn answer(state: &mut State, request: &Request) -> Reply {
    match request.operation.as_str() {
        "GetCallerIdentity" => result(
            "GetCallerIdentity",
            &format!("<Arn>{}</Arn><UserId>AIDA</UserId><Account>{}</Account>", escaped(&request.arn), request.account),
        ),
        "AssumeRole" => assume(state, request, None),
        "AssumeRoleWithWebIdentity" => {
            let token = request.asked("WebIdentityToken").unwrap_or_default();
            let claims: Option<Value> =
                token.split('.').nth(1).and_then(decode).and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match claims {
                Some(claims) => assume(state, request, Some(&claims)),
                None => error(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT."),
            }
        }
        other => {
            state.violations.push(format!("STS has no operation {other}"));
            error(501, "NotImplemented", "this World does not know the operation")
        }
    }
}

fn assume(state: &mut State, request: &Request, claims: Option<&Value>) -> Reply {
    let role = request.asked("RoleArn").unwrap_or_default().to_owned();
    let session = request.asked("RoleSessionName").unwrap_or_default().to_owned();
    let duration = request.asked("DurationSeconds").and_then(|text| text.parse().ok()).unwrap_or(3600_u64);
    let now = state.now();
    let trust = state.trust.get(&role).cloned();
    let granted = trust.as_ref().is_some_and(|trust| match claims {
        None => trust.accounts.contains(&request.account),
        Some(claims) => {
            let subject = claims["sub"].as_str().unwrap_or_default();
            claims["aud"] == trust.audience.as_str() && trust.subjects.iter().any(|like| matches(like, subject))
        }
    });
    state.assumed.push(Assumed {
        role: role.clone(),
        session: session.clone(),
        subject: claims.and_then(|claims| claims["sub"].as_str()).map(str::to_owned),
        duration,
        granted,
    });
    if claims.is_some_and(|claims| claims["exp"].as_f64().is_none_or(|end| end < now)) {
        return error(400, "ExpiredTokenException", "Token expired");
    }
    if !granted {
        // A token has no name that Amazon would say; whoever signs has.
        let message = match claims {
            Some(_) => format!("Not authorized to perform sts:{}", request.operation),
            None => {
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role}", request.arn)
            }
        };
        return error(403, "AccessDenied", &message);
    }
    let longest = trust.map_or(3600, |trust| if trust.longest == 0 { 3600 } else { trust.longest });
    if duration < 900 || duration > longest {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return error(400, "ValidationError", message);
    }
    let account = role.split(':').nth(4).unwrap_or_default().to_owned();
    let name = role.rsplit('/').next().unwrap_or_default();
    let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
    let id = format!("ASIA{:012}", state.next());
    let end = now + duration as f64;
    state.keys.insert(id.clone(), Key { account, arn: arn.clone(), expires: Some(end) });
    result(
        &request.operation,
        &format!(
            "<Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>not-a-secret</SecretAccessKey><SessionToken>\
             token-of-{id}</SessionToken><Expiration>{}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA:\
             {session}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
            iso(end),
            escaped(&arn)
        ),
    )
}

/// Whether a text is like a pattern in which `*` stands for any text.
fn matches(like: &str, text: &str) -> bool {
    let parts: Vec<String> = like.split('*').map(regex::escape).collect();
    regex::Regex::new(&format!("^{}$", parts.join(".*"))).is_ok_and(|pattern| pattern.is_match(text))
}
