//! ECR: images by tag and by digest.

use super::sagemaker::Answer;
use super::state::Place;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use md5::Digest;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// A repository of images.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    /// Digests by tag.
    pub tags: BTreeMap<String, String>,
    /// Manifests by digest.
    pub images: BTreeMap<String, String>,
}

impl Place {
    /// Pushes an image and moves the tag to it. Returns its digest.
    pub fn push_image(&mut self, repository: &str, tag: &str, content: &str) -> String {
        let manifest = json!({ "schemaVersion": 2, "content": content }).to_string();
        let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(manifest.as_bytes())));
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.images.insert(digest.clone(), manifest);
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }
}

/// Answers.
pub fn answer(state: &mut State, request: &Request) -> Answer {
    let account = request.json["registryId"].as_str().unwrap_or(&request.account).to_owned();
    let name = request.text("repositoryName").to_owned();
    let Some(repository) = state.place(&account, &request.region).repositories.get(&name) else {
        let message = format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
        return Err(Reply::refused(400, "RepositoryNotFoundException", &message));
    };
    let mut images = Vec::new();
    let mut failures = Vec::new();
    let asked: Vec<Value> = match request.json["imageIds"].as_array() {
        Some(ids) => ids.clone(),
        None => repository.images.keys().map(|digest| json!({ "imageDigest": digest })).collect(),
    };
    for id in asked {
        let tag = id["imageTag"].as_str();
        let by_tag = tag.and_then(|tag| repository.tags.get(tag)).map(String::as_str);
        let digest = if tag.is_some() { by_tag } else { id["imageDigest"].as_str() };
        match digest.and_then(|digest| repository.images.get_key_value(digest)) {
            Some((digest, manifest)) => {
                let tags: Vec<&String> =
                    repository.tags.iter().filter(|(_, of)| *of == digest).map(|(tag, _)| tag).collect();
                images.push(if request.operation == "DescribeImages" {
                    json!({ "registryId": account, "repositoryName": name, "imageDigest": digest, "imageTags": tags })
                } else {
                    let mut image_id = json!({ "imageDigest": digest });
                    if let Some(tag) = tag {
                        image_id["imageTag"] = json!(tag);
                    }
                    json!({ "registryId": account, "repositoryName": name, "imageId": image_id, "imageManifest": manifest })
                });
            }
            None => failures.push(id),
        }
    }
    if request.operation == "DescribeImages" {
        return match failures.first() {
            None => Ok(json!({ "imageDetails": images })),
            Some(id) => {
                let of = |member: &str| id[member].as_str().unwrap_or("null").to_owned();
                let message = format!(
                    "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository \
                     with name '{name}' in the registry with id '{account}'",
                    of("imageDigest"),
                    of("imageTag")
                );
                Err(Reply::refused(400, "ImageNotFoundException", &message))
            }
        };
    }
    let failure =
        |id| json!({ "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found" });
    Ok(json!({ "images": images, "failures": failures.into_iter().map(failure).collect::<Vec<Value>>() }))
}
