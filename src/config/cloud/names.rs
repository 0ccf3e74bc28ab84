//! The shapes of Amazon's names, as far as they can be told without asking. Each check returns what is wrong with a
//! text and what to do, both as the end of a sentence.

use crate::config::problem::one_of;
use crate::config::problem::quoted;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::model::region as regions;
use std::borrow::Cow;

/// What is wrong, and what to do about it.
pub(in crate::config) type Fault = (&'static str, Cow<'static, str>);

fn fault(why: &'static str, hint: impl Into<Cow<'static, str>>) -> Result<(), Fault> {
    Err((why, hint.into()))
}

/// Takes a text that must have a shape, or says what is wrong with it.
pub(in crate::config) fn shaped(
    inquiry: &mut Inquiry<'_>,
    route: &Route,
    text: Option<&str>,
    check: impl Fn(&str) -> Result<(), Fault>,
) -> Option<String> {
    let text = text?;
    match check(text) {
        Ok(()) => Some(text.to_owned()),
        Err((why, hint)) => {
            inquiry.say(route, format!("{} {why}: {}", name(route), quoted(text)), hint);
            None
        }
    }
}

/// Takes a list of texts that must each have a shape; says what is wrong, also a text that stands there twice.
pub(in crate::config) fn shaped_list(
    inquiry: &mut Inquiry<'_>,
    route: &Route,
    texts: Option<&[String]>,
    check: impl Fn(&str) -> Result<(), Fault>,
) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for (index, text) in texts?.iter().enumerate() {
        let item = route.item(index);
        if found.contains(text) {
            inquiry.say(&item, format!("{} is written twice", quoted(text)), "keep one of the two");
        } else if let Some(text) = shaped(inquiry, &item, Some(text), &check) {
            found.push(text);
        }
    }
    Some(found)
}

/// A region, such as `eu-west-1` or `us-gov-east-1`. One that this release does not know is taken: it may be new. What
/// could never be one, or is a known word with a letter astray, would only be found out after minutes of silence.
pub(in crate::config) fn region(text: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = text.split('-').collect();
    let shaped = match parts.as_slice() {
        [first, middle @ .., last] if !middle.is_empty() => {
            (2..=4).contains(&first.len())
                && letters(first)
                && middle.iter().all(|part| letters(part))
                && (1..=2).contains(&last.len())
                && digits(last)
        }
        _ => false,
    };
    if regions::is_known(text) || (shaped && !regions::misspells_direction(text)) {
        return Ok(());
    }
    let zone = text.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|region| regions::is_known(region));
    let meant = regions::meant(text);
    match (zone, meant.as_slice()) {
        (Some(region), _) => fault("is not a region", format!("it is an availability zone of `{region}`: write that")),
        (None, []) => fault("is not a region", "a region is written as `eu-west-1`"),
        (None, some) => fault("is not a region", format!("did you mean {}?", one_of(some.iter().copied()))),
    }
}

/// A name of a bucket.
pub(in crate::config) fn bucket(text: &str) -> Result<(), Fault> {
    if text.contains("://") || text.contains('/') {
        return fault("is an address, not the name of a bucket", "write the name alone; `prefix` says where in it");
    }
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let address = text.split('.').count() == 4 && text.split('.').all(digits);
    let reserved = ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|start| text.starts_with(start))
        || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|close| text.ends_with(close));
    let legal = (3..=63).contains(&text.len())
        && text.chars().all(inside)
        && end(text.chars().next())
        && end(text.chars().next_back())
        && !text.contains("..")
        && !address
        && !reserved;
    let hint =
        "a bucket has 3 to 63 lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit";
    if legal { Ok(()) } else { fault("cannot be the name of a bucket", hint) }
}

/// The beginning of our keys in a bucket; slashes around it do no harm.
pub(in crate::config) fn prefix(text: &str) -> Result<(), Fault> {
    let inner = text.trim_matches('/');
    let part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let legal = inner.len() <= 128 && inner.split('/').all(part);
    let hint = "a prefix has 1 to 128 letters, digits, `.`, `_`, `-` and single slashes, as in `branchline`";
    if legal { Ok(()) } else { fault("cannot be a prefix", hint) }
}

/// An account id.
pub(in crate::config) fn account(text: &str) -> Result<(), Fault> {
    let hint = "an account has twelve digits; one that begins with 0 is written whole, and a `-` has no place in it";
    if text.len() == 12 && digits(text) { Ok(()) } else { fault("is not the id of an account", hint) }
}

/// The ARN of a role.
pub(in crate::config) fn role(text: &str) -> Result<(), Fault> {
    let hint = "a role is written as `arn:aws:iam::111122223333:role/Name`; `aws iam get-role` shows it";
    match account_of(text) {
        Some(_) if text.len() <= 2048 => Ok(()),
        _ => fault("is not the ARN of a role", hint),
    }
}

/// Returns the account that a role belongs to, if the text is the ARN of a role.
pub(in crate::config) fn account_of(role: &str) -> Option<&str> {
    let mut parts = role.splitn(6, ':');
    let (arn, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (account, resource) = (parts.next()?, parts.next()?);
    let named = resource.strip_prefix("role/")?;
    let inside = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    let legal = arn == "arn"
        && partition.starts_with("aws")
        && partition.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && digits(account)
        && !named.is_empty()
        && !named.ends_with('/')
        && named.chars().all(inside);
    legal.then_some(account)
}

/// A key: an id, an ARN of a key or an alias, or `alias/…`.
pub(in crate::config) fn key(text: &str) -> Result<(), Fault> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let named = |text: &str| !text.is_empty() && text.chars().all(inside);
    let uuid = |text: &str| text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let multi_region = |text: &str| text.strip_prefix("mrk-").is_some_and(|rest| rest.len() == 32);
    let id = |text: &str| uuid(text) || multi_region(text);
    let legal = text.len() <= 2048
        && match text.strip_prefix("arn:aws") {
            Some(arn) => {
                let resource = arn.split_once(":kms:").and_then(|(_, rest)| rest.splitn(3, ':').nth(2));
                resource.is_some_and(|resource| {
                    resource.strip_prefix("key/").is_some_and(id) || resource.strip_prefix("alias/").is_some_and(named)
                })
            }
            None => id(text) || text.strip_prefix("alias/").is_some_and(named),
        };
    let hint = "a key is written as `alias/models`, as its id, or as the ARN of either";
    if legal { Ok(()) } else { fault("is not a key", hint) }
}

/// A machine type, such as `ml.m5.xlarge`.
pub(in crate::config) fn machine(text: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = text.split('.').collect();
    let part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let hint = "SageMaker's machine types are written as `ml.m5.xlarge`";
    match parts.as_slice() {
        ["ml", family, size] if part(family) && part(size) => Ok(()),
        _ => fault("is not a machine type", hint),
    }
}

/// A pattern of machine types, such as `ml.m5.*`.
pub(in crate::config) fn machines(text: &str) -> Result<(), Fault> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '*');
    let begins = text.starts_with("ml.") || text.starts_with('*');
    let hint = "write a type or a pattern with `*`, as in `ml.m5.*`";
    if begins && text.chars().all(inside) { Ok(()) } else { fault("can match no machine type", hint) }
}

/// An id of a subnet or a security group.
pub(in crate::config) fn network_id(text: &str) -> Result<(), Fault> {
    let legal = (1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let hint = "ids are written as `subnet-0a1b2c3d` and `sg-0a1b2c3d`; a name is not an id";
    if legal { Ok(()) } else { fault("is not an id of a network", hint) }
}

/// A key of a tag of a user's own.
pub(in crate::config) fn tag_key(text: &str) -> Result<(), Fault> {
    let reserved = text.to_ascii_lowercase().starts_with("aws:");
    let ours = text.starts_with("branchline:");
    match text.chars().count() {
        _ if reserved => fault("is reserved by Amazon", "choose a key that does not begin with `aws:`"),
        _ if ours => fault("is a tag that branchline sets itself", "choose another key"),
        1..=128 if text.chars().all(in_tags) => Ok(()),
        _ => fault("cannot be the key of a tag", TAG_HINT),
    }
}

/// A value of a tag.
pub(in crate::config) fn tag_value(text: &str) -> Result<(), Fault> {
    let legal = text.chars().count() <= 256 && text.chars().all(in_tags);
    if legal { Ok(()) } else { fault("cannot be the value of a tag", TAG_HINT) }
}

const TAG_HINT: &str = "keys have 1 to 128 and values up to 256 letters, digits, spaces and `_.:/=+-@`";

fn in_tags(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// A prefix in S3.
pub(in crate::config) fn s3_uri(text: &str) -> Result<(), Fault> {
    let held = text.strip_prefix("s3://").and_then(|rest| rest.split('/').next());
    let legal = held.is_some_and(|name| bucket(name).is_ok())
        && text.len() <= 1024
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if legal { Ok(()) } else { fault("is not a place in S3", "write it as `s3://bucket/prefix/`") }
}

/// A folder in a container.
pub(in crate::config) fn folder(text: &str) -> Result<(), Fault> {
    let legal = text.starts_with('/') && text.len() <= 4096 && !text.chars().any(char::is_control);
    if legal {
        Ok(())
    } else {
        fault("is not a folder in the container", "write it whole, as in `/opt/ml/checkpoints`")
    }
}

/// An image.
pub(in crate::config) fn image(text: &str) -> Result<(), Fault> {
    let legal = (1..=255).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let hint = "an image has at most 255 characters and no spaces, as in `111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn:1`";
    if legal { Ok(()) } else { fault("is not an image", hint) }
}

/// A content type, such as `text/csv`.
pub(in crate::config) fn content_type(text: &str) -> Result<(), Fault> {
    let legal =
        (3..=256).contains(&text.len()) && text.contains('/') && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if legal { Ok(()) } else { fault("is not a content type", "write it as `text/csv` or `application/json`") }
}

fn letters(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_names_are_told_from_others() {
        for text in ["eu-west-1", "us-gov-east-1", "ap-southeast-12", "eusc-de-east-1", "eu-alpine-1", "eu-west-9"] {
            assert_eq!(region(text), Ok(()), "{text}");
        }
        for (text, hint) in [
            ("eu-wets-1", "did you mean `eu-west-1`?"),
            ("eu-west-1a", "it is an availability zone of `eu-west-1`: write that"),
            ("EU-WEST-1", "did you mean `eu-west-1`?"),
            ("eu_west_1", "did you mean `eu-west-1`?"),
            ("eu-west", "did you mean `eu-west-1`, `eu-west-2` or `eu-west-3`?"),
            ("Ireland", "a region is written as `eu-west-1`"),
            ("", "a region is written as `eu-west-1`"),
            ("1-1-1", "a region is written as `eu-west-1`"),
            ("eu--1", "a region is written as `eu-west-1`"),
        ] {
            assert_eq!(region(text), fault("is not a region", hint), "{text}");
        }
        for text in ["acme-models", "a.b.c", "123"] {
            assert_eq!(bucket(text), Ok(()), "{text}");
        }
        for text in ["s3://acme", "Acme", "ab", "-acme", "acme-", "10.0.0.1", "a..b", "acme_models", "x-s3alias"] {
            assert!(bucket(text).is_err(), "{text}");
        }
        for text in ["alias/models", "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab"] {
            assert_eq!(key(text), Ok(()), "{text}");
        }
        assert_eq!(key("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"), Ok(()));
        assert_eq!(key("arn:aws-cn:kms:cn-north-1:111122223333:alias/models"), Ok(()));
        for text in ["models", "alias/", "arn:aws:iam::111122223333:role/x", "arn:aws:kms:eu-west-1:1:grant/x"] {
            assert!(key(text).is_err(), "{text}");
        }
        assert_eq!(account_of("arn:aws-us-gov:iam::111122223333:role/a/path/Name"), Some("111122223333"));
        for text in ["arn:aws:iam::1111:role/x", "arn:aws:iam::111122223333:user/x", "arn:aws:iam::111122223333:role/"]
        {
            assert_eq!(account_of(text), None, "{text}");
        }
        for text in ["ml.m5.xlarge", "ml.p6-b200.48xlarge", "ml.u-6tb1.metal"] {
            assert_eq!(machine(text), Ok(()), "{text}");
        }
        for text in ["m5.xlarge", "ml.m5", "ml.M5.xlarge", "ml.m5.*"] {
            assert!(machine(text).is_err(), "{text}");
        }
    }
}
