//! SageMaker's model registry: groups, their policies, and versions.

use super::s3;
use super::sagemaker::Answer;
use super::sagemaker::page;
use super::sagemaker::paged;
use super::sagemaker::shown;
use super::sagemaker::tags;
use super::sagemaker::time;
use super::state::Place;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// A model package group.
#[derive(Debug, Clone)]
pub struct Group {
    /// As it was created, with its capitals.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Seconds of the epoch.
    pub created: f64,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its resource policy, JSON.
    pub policy: Option<String>,
}

/// A version.
#[derive(Debug, Clone)]
pub struct Package {
    /// With the group in lower case.
    pub arn: String,
    /// As it was created, with its capitals.
    pub group: String,
    /// From 1; never given again.
    pub version: u64,
    /// Seconds of the epoch.
    pub created: f64,
    /// The request that registered it, as later requests changed it.
    pub request: Value,
    /// `ModelPackageStatus`
    pub status: String,
    /// Describes until it is `Completed`.
    pub polls_left: u32,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Package {
    /// Returns `ModelApprovalStatus`.
    pub fn approval(&self) -> &str {
        self.request["ModelApprovalStatus"].as_str().unwrap_or("PendingManualApproval")
    }

    /// Returns `CustomerMetadataProperties`.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.request["CustomerMetadataProperties"].clone()).unwrap_or_default()
    }

    /// What `DescribeModelPackage` says.
    pub fn described(&self) -> Value {
        let mut answer = Value::Object(shown("DescribeModelPackage", &self.request));
        let name = self.arn.split_once('/').map_or(self.arn.as_str(), |(_, name)| name);
        let failures = self
            .failure
            .iter()
            .map(|why| json!({ "Name": name.replace('/', "-"), "Status": "Failed", "FailureReason": why }));
        answer["ModelPackageStatusDetails"] = json!({ "ValidationStatuses": failures.collect::<Vec<_>>() });
        answer["ModelPackageName"] = json!(name.replace('/', "-"));
        answer["ModelPackageVersion"] = json!(self.version);
        answer["LastModifiedTime"] = time(self.created);
        for (name, value) in self.summary().as_object().into_iter().flatten() {
            answer[name] = value.clone();
        }
        answer
    }

    fn summary(&self) -> Value {
        let mut answer = json!({
            "ModelPackageGroupName": self.group,
            "ModelPackageVersion": self.version,
            "ModelPackageArn": self.arn,
            "CreationTime": time(self.created),
            "ModelPackageStatus": self.status,
            "ModelApprovalStatus": self.approval(),
        });
        if let Some(text) = self.request["ModelPackageDescription"].as_str() {
            answer["ModelPackageDescription"] = json!(text);
        }
        answer
    }

    fn polled(&mut self) {
        if self.status != "Pending" && self.status != "InProgress" {
            return;
        }
        self.polls_left = self.polls_left.saturating_sub(1);
        self.status = match (self.polls_left, &self.failure) {
            (0, None) => "Completed",
            (0, Some(_)) => "Failed",
            _ => "InProgress",
        }
        .to_owned();
    }
}

impl Place {
    /// Keeps what the packages are, for listings that lag.
    pub fn remember(&mut self) {
        const REMEMBERED: usize = 16;
        if self.package_history.len() == REMEMBERED {
            self.package_history.remove(0);
        }
        self.package_history.push(self.packages.clone());
    }
}

/// Account, region and name of a group that is named or given by its ARN.
fn located(request: &Request, named: &str) -> (String, String, String) {
    let parts: Vec<&str> = named.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "sagemaker", region, account, resource] => {
            let name = resource.split_once('/').map_or(*resource, |(_, name)| name);
            ((*account).to_owned(), (*region).to_owned(), name.to_owned())
        }
        _ => (request.account.clone(), request.region.clone(), named.to_owned()),
    }
}

fn group_missing(account: &str, region: &str, name: &str) -> Reply {
    let arn = format!("arn:aws:sagemaker:{region}:{account}:model-package-group/{name}");
    Reply::invalid(&format!("ModelPackageGroup {arn} does not exist."))
}

/// Finds a group that the caller may use: its own, or one whose policy names the caller's account.
fn group<'a>(state: &'a mut State, request: &Request, named: &str) -> Result<(&'a mut Place, String), Reply> {
    let (account, region, name) = located(request, named);
    let place = state.place(&account, &region);
    let found = place.groups.get(&name).ok_or_else(|| group_missing(&account, &region, &name))?;
    let invited = found.policy.as_ref().is_some_and(|policy| policy.contains(&request.account));
    if account != request.account && !invited {
        let message = format!("User: {} is not authorized to perform: sagemaker:{}", request.arn, request.operation);
        return Err(Reply::refused(400, "AccessDeniedException", &message));
    }
    Ok((place, name))
}

/// Finds a version that the caller may use, by its ARN.
fn package<'a>(state: &'a mut State, request: &Request, arn: &str) -> Result<&'a mut Package, Reply> {
    let missing = || Reply::invalid(&format!("ModelPackage {arn} does not exist."));
    let (account, region, _) = located(request, arn);
    let name = state.place(&account, &region).packages.get(arn).map(|found| found.group.clone()).ok_or_else(missing)?;
    let of_group = format!("arn:aws:sagemaker:{region}:{account}:model-package-group/{name}");
    let (place, _) = group(state, request, &of_group)?;
    place.packages.get_mut(arn).ok_or_else(missing)
}

/// `CreateModelPackageGroup`
pub fn create_group(state: &mut State, request: &Request) -> Answer {
    let name = request.text("ModelPackageGroupName").to_owned();
    let arn = format!("arn:aws:sagemaker:{}:{}:model-package-group/{name}", request.region, request.account);
    let new = Group {
        name: name.clone(),
        arn: arn.clone(),
        created: state.now(),
        description: request.json["ModelPackageGroupDescription"].as_str().map(str::to_owned),
        tags: tags(&request.json["Tags"])?,
        policy: None,
    };
    let place = state.place(&request.account, &request.region);
    if place.groups.contains_key(&name) {
        return Err(Reply::invalid(&format!("Cannot create already existing model package group: {arn}")));
    }
    place.groups.insert(name, new);
    Ok(json!({ "ModelPackageGroupArn": arn }))
}

fn group_summary(group: &Group) -> Value {
    let mut answer = json!({
        "ModelPackageGroupName": group.name,
        "ModelPackageGroupArn": group.arn,
        "CreationTime": time(group.created),
        "ModelPackageGroupStatus": "Completed",
    });
    if let Some(text) = &group.description {
        answer["ModelPackageGroupDescription"] = json!(text);
    }
    answer
}

/// `DescribeModelPackageGroup`
pub fn describe_group(state: &mut State, request: &Request) -> Answer {
    let (place, name) = group(state, request, request.text("ModelPackageGroupName"))?;
    let mut answer = group_summary(&place.groups[&name]);
    answer["CreatedBy"] = json!({});
    Ok(answer)
}

/// `ListModelPackageGroups`
pub fn list_groups(state: &mut State, request: &Request) -> Answer {
    let place = state.place(&request.account, &request.region);
    let of = |group: &Group| (group.created, group.name.clone(), group_summary(group));
    let items = place.groups.values().map(of).collect();
    Ok(paged("ModelPackageGroupSummaryList", page(state, request, items)?))
}

/// `DeleteModelPackageGroup`
pub fn delete_group(state: &mut State, request: &Request) -> Answer {
    let (place, name) = group(state, request, request.text("ModelPackageGroupName"))?;
    if place.packages.values().any(|package| package.group == name) {
        let message = format!("Cannot delete ModelPackageGroup {name} because it still has model packages.");
        return Err(Reply::refused(400, "ConflictException", &message));
    }
    place.groups.remove(&name);
    Ok(Value::Null)
}

/// `PutModelPackageGroupPolicy`
pub fn put_policy(state: &mut State, request: &Request) -> Answer {
    let (place, name) = group(state, request, request.text("ModelPackageGroupName"))?;
    let found = place.groups.get_mut(&name).expect("it was found");
    found.policy = Some(request.text("ResourcePolicy").to_owned());
    Ok(json!({ "ModelPackageGroupArn": found.arn }))
}

/// `GetModelPackageGroupPolicy`
pub fn get_policy(state: &mut State, request: &Request) -> Answer {
    let (place, name) = group(state, request, request.text("ModelPackageGroupName"))?;
    match &place.groups[&name].policy {
        Some(policy) => Ok(json!({ "ResourcePolicy": policy })),
        None => Err(Reply::invalid(&format!("Cannot find resource policy for {name}"))),
    }
}

/// Refuses a model archive that a bucket of this World does not have. Returns its ETag.
fn model_data(state: &State, url: &str) -> Result<Option<String>, Reply> {
    let Some(path) = url.strip_prefix("s3://") else {
        return Err(Reply::invalid(&format!("ModelDataUrl {url} is not an address in S3")));
    };
    let (bucket, key) = s3::place(path);
    let Some(found) = state.buckets.get(bucket) else { return Ok(None) };
    match found.current(key) {
        Some(stored) => Ok(Some(stored.etag.clone())),
        None => Err(Reply::invalid(&format!(
            "Could not access model data at {url}. Please ensure that the object exists and that it can be read."
        ))),
    }
}

/// `CreateModelPackage`
pub fn create(state: &mut State, request: &Request) -> Answer {
    let asked = &request.json;
    let Some(named) = asked["ModelPackageGroupName"].as_str() else {
        state.violations.push("CreateModelPackage without a group is not played".to_owned());
        return Err(Reply::refused(501, "UnknownOperationException", "unversioned packages are not played"));
    };
    if !asked["ModelPackageName"].is_null() {
        return Err(Reply::invalid("ModelPackageName and ModelPackageGroupName cannot both be given."));
    }
    if !asked["Tags"].is_null() {
        return Err(Reply::invalid("Tags cannot be given for a model package in a group."));
    }
    if !asked["SourceUri"].is_null() && !asked["InferenceSpecification"].is_null() {
        return Err(Reply::invalid("SourceUri and InferenceSpecification cannot both be given."));
    }
    let mut kept = asked.clone();
    let token = asked["ClientToken"].as_str().filter(|_| !state.forgets_tokens);
    if let Some(containers) = kept.pointer_mut("/InferenceSpecification/Containers").and_then(Value::as_array_mut) {
        for container in containers {
            if let Some(url) = container["ModelDataUrl"].as_str()
                && let Some(etag) = model_data(state, url)?
            {
                container["ModelDataETag"] = json!(etag);
            }
        }
    }
    let (now, polls) = (state.now(), state.package_polls);
    let (account, region, _) = located(request, named);
    let failure = group(state, request, named).is_ok().then(|| state.next_version_fails.take()).flatten();
    let (place, name) = group(state, request, named)?;
    let same = |found: &&Package| found.group == name && found.request["ClientToken"].as_str() == token;
    if token.is_some()
        && let Some(found) = place.packages.values().find(same)
    {
        return Ok(json!({ "ModelPackageArn": found.arn }));
    }
    let lower = name.to_ascii_lowercase();
    let number = place.numbers.entry(lower.clone()).or_default();
    *number += 1;
    let arn = format!("arn:aws:sagemaker:{region}:{account}:model-package/{lower}/{number}");
    let package = Package {
        arn: arn.clone(),
        group: name,
        version: *number,
        created: now,
        request: kept,
        status: match (polls, &failure) {
            (0, None) => "Completed",
            (0, Some(_)) => "Failed",
            _ => "Pending",
        }
        .to_owned(),
        polls_left: polls,
        failure,
    };
    place.packages.insert(arn.clone(), package);
    place.remember();
    Ok(json!({ "ModelPackageArn": arn }))
}

/// `DescribeModelPackage`
pub fn describe(state: &mut State, request: &Request) -> Answer {
    let found = package(state, request, request.text("ModelPackageName"))?;
    found.polled();
    Ok(found.described())
}

/// `UpdateModelPackage`: metadata merges.
pub fn update(state: &mut State, request: &Request) -> Answer {
    let asked = &request.json;
    let found = package(state, request, request.text("ModelPackageArn"))?;
    let arn = found.arn.clone();
    let mut metadata = found.metadata();
    let added: BTreeMap<String, String> =
        serde_json::from_value(asked["CustomerMetadataProperties"].clone()).unwrap_or_default();
    metadata.extend(added);
    for key in asked["CustomerMetadataPropertiesToRemove"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        metadata.remove(key);
    }
    if metadata.len() > 50 {
        return Err(Reply::invalid("CustomerMetadataProperties cannot have more than 50 entries."));
    }
    let kept = found.request.as_object_mut().expect("a request");
    if metadata.is_empty() {
        kept.remove("CustomerMetadataProperties");
    } else {
        kept.insert("CustomerMetadataProperties".to_owned(), json!(metadata));
    }
    for name in ["ModelApprovalStatus", "ApprovalDescription", "ModelCard", "ModelLifeCycle", "InferenceSpecification"]
    {
        if let Some(value) = asked.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    let (account, region, _) = located(request, &arn);
    state.place(&account, &region).remember();
    Ok(json!({ "ModelPackageArn": arn }))
}

/// `ListModelPackages`
pub fn list(state: &mut State, request: &Request) -> Answer {
    let behind = state.lag.get("ListModelPackages").copied().unwrap_or_default();
    let asked = &request.json;
    let named = asked["ModelPackageGroupName"].as_str();
    if named.is_none() && asked["ModelPackageType"] != "Versioned" && asked["ModelPackageType"] != "Both" {
        return Ok(json!({ "ModelPackageSummaryList": [] }));
    }
    let (place, name) = match named {
        Some(named) => {
            let (account, region, name) = located(request, named);
            if state.lists_missing_groups && !state.place(&account, &region).groups.contains_key(&name) {
                return Ok(json!({ "ModelPackageSummaryList": [] }));
            }
            let (place, name) = group(state, request, named)?;
            (place, Some(name))
        }
        None => (state.place(&request.account, &request.region), None),
    };
    let nothing = BTreeMap::new();
    let packages = match behind {
        0 => &place.packages,
        _ => place.package_history.iter().rev().nth(behind).unwrap_or(&nothing),
    };
    let wanted = asked["ModelApprovalStatus"].as_str();
    let items = packages
        .values()
        .filter(|package| name.as_ref().is_none_or(|name| *name == package.group))
        .filter(|package| wanted.is_none_or(|wanted| wanted == package.approval()))
        .map(|package| (package.created + package.version as f64 / 1e6, package.arn.clone(), package.summary()))
        .collect();
    Ok(paged("ModelPackageSummaryList", page(state, request, items)?))
}

/// `BatchDescribeModelPackage`: what is there, without metadata, and an error for each that is not.
pub fn batch(state: &mut State, request: &Request) -> Answer {
    let mut answer = json!({ "ModelPackageSummaries": {}, "BatchDescribeModelPackageErrorMap": {} });
    for arn in request.json["ModelPackageArnList"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        match package(state, request, arn) {
            Ok(found) => {
                found.polled();
                let mut summary = found.summary();
                let specification = &found.request["InferenceSpecification"];
                summary["InferenceSpecification"] =
                    if specification.is_null() { json!({ "Containers": [{}] }) } else { specification.clone() };
                answer["ModelPackageSummaries"][arn] = summary;
            }
            Err(refusal) => {
                let said: Value = serde_json::from_slice(&refusal.body).unwrap_or_default();
                answer["BatchDescribeModelPackageErrorMap"][arn] =
                    json!({ "ErrorCode": said["__type"], "ErrorResponse": said["message"] });
            }
        }
    }
    Ok(answer)
}

/// `DeleteModelPackage`
pub fn delete(state: &mut State, request: &Request) -> Answer {
    let arn = package(state, request, request.text("ModelPackageName"))?.arn.clone();
    let (account, region, _) = located(request, &arn);
    let place = state.place(&account, &region);
    place.packages.remove(&arn);
    place.remember();
    Ok(Value::Null)
}
