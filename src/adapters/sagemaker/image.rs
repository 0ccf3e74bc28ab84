//! Which digest does an image have now? Asked of ECR, so that a tag that moves later changes nothing.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Session;
use crate::ports::PortError;
use aws_sdk_ecr::types::ImageIdentifier;

/// An image in ECR, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EcrImage<'a> {
    account: &'a str,
    region: &'a str,
    repository: &'a str,
    tag: &'a str,
}

/// Finds the digest.
///
/// A reference that names a digest is taken at its word. An image that is not in ECR (SageMaker can reach other
/// registries through a private network) has no digest that we could ask for: `Ok(Ok(None))`, and the job names it as
/// it is written.
pub(super) async fn digest(session: &Session, image: &str) -> Result<Result<Option<String>, String>, PortError> {
    if let Some((_, digest)) = image.split_once('@') {
        let legal = digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex));
        return Ok(if legal {
            Ok(Some(digest.to_owned()))
        } else {
            Err(format!("image {image} names no digest after the @: sha256: and 64 digits"))
        });
    }
    let Some(found) = parse(image) else { return Ok(Ok(None)) };
    let here = &session.place.region;
    if found.region != here {
        let there = found.region;
        return Ok(Err(format!(
            "image {image} is in region {there}, and training runs in {here}: SageMaker takes images of its own region \
             only. Copy it there (`docker push`, or replication in ECR)"
        )));
    }
    let asked = session
        .call(Kind::Read, "ecr:DescribeImages", || {
            session
                .ecr
                .describe_images()
                .registry_id(found.account)
                .repository_name(found.repository)
                .image_ids(ImageIdentifier::builder().image_tag(found.tag).build())
                .send()
        })
        .await;
    match asked {
        Ok(answer) => match answer.image_details().iter().find_map(|details| details.image_digest()) {
            Some(digest) => Ok(Ok(Some(digest.to_owned()))),
            None => Ok(Err(missing(&found, image))),
        },
        Err(refused) if refused.class == Class::NotFound => {
            let repository = refused.code.as_deref() == Some("RepositoryNotFoundException");
            Ok(Err(if repository {
                let EcrImage { account, region, repository, .. } = found;
                format!(
                    "image {image}: there is no repository {repository} in ECR of account {account}, region {region}"
                )
            } else {
                missing(&found, image)
            }))
        }
        Err(refused) => {
            let denied = refused.class == Class::Denied;
            let error = refused.into_port(format!("find the digest of image {image}"));
            let (ours, theirs) = (session.place.account_id.as_deref(), found.account);
            Err(if denied && ours != Some(theirs) {
                error.hint(format!(
                    "The image belongs to account {theirs}: its repository needs a policy that lets this role do \
                     ecr:DescribeImages and ecr:BatchGetImage."
                ))
            } else {
                error
            })
        }
    }
}

fn missing(found: &EcrImage<'_>, image: &str) -> String {
    format!("there is no image {image}: repository {} has no tag {}", found.repository, found.tag)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Takes `<account>.dkr.ecr.<region>.amazonaws.com/<repository>[:<tag>]` apart.
fn parse(image: &str) -> Option<EcrImage<'_>> {
    let (host, rest) = image.split_once('/')?;
    let (account, host) = host.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let region = host.strip_prefix("dkr.ecr.").or_else(|| host.strip_prefix("dkr.ecr-fips."))?;
    let region = region.strip_suffix(".amazonaws.com").or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
    let (repository, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
    (is_account && !repository.is_empty() && !tag.is_empty()).then_some(EcrImage { account, region, repository, tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_in_ecr_is_taken_apart() {
        let image = parse("111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/churn:2026.11").expect("it is in ECR");
        assert_eq!(
            image,
            EcrImage { account: "111122223333", region: "eu-west-1", repository: "team/churn", tag: "2026.11" }
        );
        assert_eq!(parse("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/x").expect("it is in ECR").tag, "latest");
        for elsewhere in ["python:3.13", "docker.io/library/python:3.13", "1.dkr.ecr.eu-west-1.amazonaws.com/x", "x"] {
            assert_eq!(parse(elsewhere), None, "{elsewhere}");
        }
    }
}
