//! Looks at a place without spending anything: `branchline doctor`. And the one thing that must exist before the first
//! version: its group, made by `branchline bootstrap`.
//!
//! What is written is one small object under our own prefix, which is removed again. Deliberately absent: starting
//! anything to see whether it would start.

use crate::adapters::aws::pace::Kind;
use crate::adapters::aws::refused::Class;
use crate::adapters::aws::refused::Refused;
use crate::adapters::aws::session::Session;
use crate::model::finding::Finding;
use crate::model::finding::Standing;
use crate::model::name::GroupName;
use crate::model::region as regions;
use crate::ports::PortError;
use aws_sdk_ecr::types::ImageIdentifier;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::BucketVersioningStatus;
use aws_sdk_s3::types::ServerSideEncryption;
use aws_sdk_sagemaker::types::Tag;

/// What became of a group that must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was there.
    Found,
    /// It was made now.
    Made,
    /// It would be made.
    Needed,
}

/// Says where a region is not one that this release knows: it may be new, and it may be misspelled.
pub fn region(session: &Session, place: &str) -> Option<Finding> {
    let region = &session.place.region;
    if regions::is_known(region) {
        return None;
    }
    let fix = match regions::meant(region).as_slice() {
        [] => "is it spelled right in branchline.yaml?".to_owned(),
        some => format!("is it spelled right, or is {} meant?", regions::listed(some)),
    };
    Some(Finding::new(place, format!("region {region}"), Standing::Advice, "is not known to this release").fix(fix))
}

/// Tells whose credentials these are, and whether they are the configured account's.
pub async fn account(session: &Session, place: &str) -> Finding {
    let finding = |standing, seen: String| Finding::new(place, "credentials", standing, seen);
    match session.identity().await {
        Ok(identity) => match &session.place.account_id {
            Some(wanted) if wanted != &identity.account => {
                let seen =
                    format!("{} of account {}, and the configuration says {wanted}", identity.arn, identity.account);
                finding(Standing::Missing, seen).fix("use credentials of that account, or correct `account_id`")
            }
            Some(_) | None => finding(Standing::Ok, format!("{} of account {}", identity.arn, identity.account)),
        },
        Err(refused) => failed(place, "credentials", &refused),
    }
}

/// Looks at the bucket: that it is there and in its region, and how it keeps what is in it.
pub async fn bucket(session: &Session, place: &str) -> Vec<Finding> {
    let name = &session.place.bucket;
    let what = format!("bucket {name}");
    let mut findings = Vec::new();
    let located =
        session.call(Kind::Read, "s3:GetBucketLocation", || session.s3.get_bucket_location().bucket(name).send()).await;
    match located {
        Ok(answer) => {
            let region = match answer.location_constraint().map(|region| region.as_str().to_owned()).as_deref() {
                None | Some("") => "us-east-1".to_owned(),
                Some("EU") => "eu-west-1".to_owned(),
                Some(region) => region.to_owned(),
            };
            findings.push(if region == session.place.region {
                Finding::new(place, what, Standing::Ok, format!("is there, in {region}"))
            } else {
                let seen = format!("is in {region}, and the configuration says {}", session.place.region);
                Finding::new(place, what, Standing::Missing, seen)
                    .fix("SageMaker reads models of its own region only: name a bucket there, or correct `region`")
            });
        }
        Err(refused) => {
            let missing = refused.class == Class::NotFound;
            findings.push(failed(place, &what, &refused));
            if missing {
                return findings;
            }
        }
    }
    findings.push(versioning(session, place).await);
    findings.push(encryption(session, place).await);
    findings.push(stale_uploads(session, place).await);
    findings
}

async fn versioning(session: &Session, place: &str) -> Finding {
    let name = &session.place.bucket;
    let what = "bucket versioning";
    let answer = session
        .call(Kind::Read, "s3:GetBucketVersioning", || session.s3.get_bucket_versioning().bucket(name).send())
        .await;
    match answer {
        Ok(answer) if answer.status() == Some(&BucketVersioningStatus::Enabled) => {
            Finding::new(place, what, Standing::Ok, "is on")
        }
        Ok(_) => Finding::new(place, what, Standing::Advice, "is off: what somebody deletes is gone")
            .fix(format!("aws s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled")),
        Err(refused) => failed(place, what, &refused),
    }
}

async fn encryption(session: &Session, place: &str) -> Finding {
    let name = &session.place.bucket;
    let what = "bucket encryption";
    let answer = session
        .call(Kind::Read, "s3:GetEncryptionConfiguration", || session.s3.get_bucket_encryption().bucket(name).send())
        .await;
    match answer {
        Ok(answer) => {
            let rules = answer.server_side_encryption_configuration().map(|all| all.rules()).unwrap_or_default();
            let default = rules.iter().find_map(|rule| rule.apply_server_side_encryption_by_default());
            let how = default.map(|by| by.sse_algorithm().as_str().to_owned());
            Finding::new(
                place,
                what,
                Standing::Ok,
                how.map_or("as Amazon does it".to_owned(), |how| format!("is {how}")),
            )
        }
        Err(refused) if refused.code.as_deref() == Some("ServerSideEncryptionConfigurationNotFoundError") => {
            Finding::new(place, what, Standing::Ok, "as Amazon does it")
        }
        Err(refused) => failed(place, what, &refused),
    }
}

async fn stale_uploads(session: &Session, place: &str) -> Finding {
    let name = &session.place.bucket;
    let what = "rule that aborts stale uploads";
    let answer = session
        .call(Kind::Read, "s3:GetLifecycleConfiguration", || {
            session.s3.get_bucket_lifecycle_configuration().bucket(name).send()
        })
        .await;
    let found = match answer {
        Ok(answer) => answer.rules().iter().any(|rule| rule.abort_incomplete_multipart_upload().is_some()),
        Err(refused) if refused.class == Class::NotFound => false,
        Err(refused) => return failed(place, what, &refused),
    };
    if found {
        return Finding::new(place, what, Standing::Ok, "is there");
    }
    Finding::new(
        place,
        what,
        Standing::Advice,
        "is missing: an upload that was cut off is paid for until somebody ends it",
    )
    .fix(format!(
        "add a lifecycle rule with AbortIncompleteMultipartUpload (DaysAfterInitiation: 7) to the bucket {name}"
    ))
}

/// Writes a small object where nothing may be overwritten, tries to overwrite it, and takes it away.
///
/// `key`: below our prefix, and never used before.
pub async fn write(session: &Session, place: &str, key: &str) -> Vec<Finding> {
    let (bucket, key) = (&session.place.bucket, session.key(key));
    let what = format!("writing to s3://{bucket}/{key}");
    let put = || {
        let encrypted = session.place.kms_key.clone().map(|id| (ServerSideEncryption::AwsKms, id));
        let (how, id) = encrypted.unzip();
        session
            .s3
            .put_object()
            .bucket(bucket)
            .key(&key)
            .if_none_match("*")
            .set_server_side_encryption(how)
            .set_ssekms_key_id(id)
            .body(ByteStream::from_static(b"branchline doctor\n"))
            .send()
    };
    let mut findings = Vec::new();
    match session.call(Kind::Change, "s3:PutObject", put).await {
        Ok(_) => findings.push(Finding::new(place, &what, Standing::Ok, "works")),
        Err(refused) => {
            findings.push(failed(place, &what, &refused));
            return findings;
        }
    }
    findings.push(match session.call(Kind::Change, "s3:PutObject", put).await {
        Err(refused) if refused.class == Class::Precondition => {
            Finding::new(place, "conditional writes", Standing::Ok, "nothing is overwritten")
        }
        Ok(_) => Finding::new(place, "conditional writes", Standing::Missing, "this store overwrote what was there")
            .fix("use Amazon S3, or a store that honours `If-None-Match: *`"),
        Err(refused) => failed(place, "conditional writes", &refused),
    });
    let deleted = session
        .call(Kind::Repeatable, "s3:DeleteObject", || session.s3.delete_object().bucket(bucket).key(&key).send())
        .await;
    findings.push(match deleted {
        Ok(_) => Finding::new(place, "taking it away again", Standing::Ok, "works"),
        Err(refused) => failed(place, "taking it away again", &refused),
    });
    findings
}

/// Looks whether a group exists.
pub async fn group(session: &Session, place: &str, group: &GroupName) -> Finding {
    let what = format!("group {group}");
    match look(session, group).await {
        Ok(true) => Finding::new(place, what, Standing::Ok, "is there"),
        Ok(false) => Finding::new(place, what, Standing::Missing, "does not exist").fix("branchline bootstrap"),
        Err(refused) => failed(place, &what, &refused),
    }
}

async fn look(session: &Session, group: &GroupName) -> Result<bool, Refused> {
    let answer = session
        .call(Kind::Read, "sagemaker:DescribeModelPackageGroup", || {
            session.sagemaker.describe_model_package_group().model_package_group_name(group.as_str()).send()
        })
        .await;
    match answer {
        Ok(_) => Ok(true),
        Err(refused) if refused.class == Class::NotFound => Ok(false),
        Err(refused) => Err(refused),
    }
}

/// Makes a group that does not exist. Doing it twice is the same as once.
pub async fn make_group(
    session: &Session,
    group: &GroupName,
    description: &str,
    tags: &[(&str, String)],
    dry_run: bool,
) -> Result<Made, PortError> {
    let doing = format!("make the group {group}");
    if look(session, group).await.map_err(|refused| refused.into_port(doing.clone()))? {
        return Ok(Made::Found);
    }
    if dry_run {
        return Ok(Made::Needed);
    }
    let tags: Vec<Tag> =
        tags.iter().filter_map(|(key, value)| Tag::builder().key(*key).value(value).build().into()).collect();
    let answer = session
        .call(Kind::Create, "sagemaker:CreateModelPackageGroup", || {
            session
                .sagemaker
                .create_model_package_group()
                .model_package_group_name(group.as_str())
                .model_package_group_description(description)
                .set_tags((!tags.is_empty()).then(|| tags.clone()))
                .send()
        })
        .await;
    match answer {
        Ok(_) => Ok(Made::Made),
        Err(refused) if refused.class == Class::Exists => Ok(Made::Found),
        // Somebody may have made it, and that may have been us: only a look can tell.
        Err(refused) if !refused.changed_nothing() && look(session, group).await == Ok(true) => Ok(Made::Made),
        Err(refused) => Err(refused.into_port(doing)),
    }
}

/// Looks whether an image of ECR can be read, and which digest it has. Images from elsewhere are not looked at.
pub async fn image(session: &Session, place: &str, image: &str) -> Finding {
    let what = format!("image {image}");
    let Some(parts) = in_ecr(image) else {
        return Finding::new(place, what, Standing::Unchecked, "is not in Amazon ECR").fix(
            "copy it into ECR: training jobs pull from there, and only there it has a digest that can be asked for",
        );
    };
    let id = match parts.digest {
        Some(digest) => ImageIdentifier::builder().image_digest(digest).build(),
        None => ImageIdentifier::builder().image_tag(parts.tag).build(),
    };
    let answer = session
        .call(Kind::Read, "ecr:DescribeImages", || {
            session
                .ecr
                .describe_images()
                .registry_id(parts.account)
                .repository_name(parts.name)
                .image_ids(id.clone())
                .send()
        })
        .await;
    match answer {
        Ok(answer) => match answer.image_details().iter().find_map(|details| details.image_digest()) {
            Some(digest) => Finding::new(place, what, Standing::Ok, format!("has the digest {digest}")),
            None => Finding::new(place, what, Standing::Missing, "does not exist").fix("push it, or correct `image:`"),
        },
        Err(refused) if refused.class == Class::NotFound => {
            Finding::new(place, what, Standing::Missing, "does not exist").fix("push it, or correct `image:`")
        }
        Err(refused) => failed(place, &what, &refused),
    }
}

struct EcrImage<'a> {
    account: &'a str,
    name: &'a str,
    tag: &'a str,
    digest: Option<&'a str>,
}

fn in_ecr(image: &str) -> Option<EcrImage<'_>> {
    let (host, rest) = image.split_once('/')?;
    let (account, of) = host.split_once('.')?;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) || !of.starts_with("dkr.ecr.") {
        return None;
    }
    let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
    let (name, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
    Some(EcrImage { account, name, tag, digest })
}

fn failed(place: &str, what: &str, refused: &Refused) -> Finding {
    let (standing, fix) = match refused.class {
        Class::Denied => {
            (Standing::Missing, format!("allow {}: `branchline iam` prints the policy of each role", refused.action))
        }
        Class::Credentials | Class::Expired => (
            Standing::Missing,
            "give the job `permissions: id-token: write` and a role, or log in with the AWS command line".to_owned(),
        ),
        Class::NotFound => (Standing::Missing, "make it, or correct its name in branchline.yaml".to_owned()),
        Class::WrongRegion | Class::UnknownRegion => {
            (Standing::Missing, "correct `region` in branchline.yaml".to_owned())
        }
        Class::ClockSkew => (Standing::Missing, "set this machine's clock".to_owned()),
        Class::Quota => (Standing::Missing, "ask for more in Service Quotas".to_owned()),
        Class::Exists
        | Class::Precondition
        | Class::Conflict
        | Class::Throttled
        | Class::Invalid
        | Class::Unreachable
        | Class::Lost
        | Class::Other => (Standing::Unknown, "try again; can this machine reach Amazon in that region?".to_owned()),
    };
    let mut finding = Finding::new(place, what, standing, refused.to_string()).fix(fix);
    finding.action = (refused.class == Class::Denied).then(|| refused.action.clone());
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_ecr_are_taken_apart() {
        let parts = in_ecr("111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/churn:2026.11").expect("in ECR");
        assert_eq!(
            (parts.account, parts.name, parts.tag, parts.digest),
            ("111122223333", "team/churn", "2026.11", None)
        );
        let pinned = in_ecr("111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn@sha256:00").expect("in ECR");
        assert_eq!((pinned.name, pinned.digest), ("churn", Some("sha256:00")));
        assert!(in_ecr("python:3.12").is_none() && in_ecr("docker.io/library/python:3").is_none());
    }

    #[test]
    fn a_refusal_names_the_action_and_what_to_do() {
        let refused = Refused::said("s3:PutObject", "AccessDenied", "no identity-based policy allows it", 403);
        let finding = failed("account 111122223333", "writing", &refused);
        assert_eq!(finding.standing, Standing::Missing);
        assert_eq!(finding.action.as_deref(), Some("s3:PutObject"));
        assert!(finding.fix.expect("a fix").starts_with("allow s3:PutObject"));
    }
}
