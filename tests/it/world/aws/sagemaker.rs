//! SageMaker: which operation is answered where, tags, search, and what listings share.

use super::checksum;
use super::contract::contract;
use super::jobs;
use super::registry;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// What a JSON operation comes to.
pub type Answer = Result<Value, Reply>;

/// Answers.
pub fn answer(state: &mut State, request: &Request) -> Answer {
    match request.operation.as_str() {
        "CreateTrainingJob" => jobs::create(state, request),
        "DescribeTrainingJob" => jobs::describe(state, request),
        "StopTrainingJob" => jobs::stop(state, request),
        "ListTrainingJobs" => jobs::list(state, request),
        "DeleteTrainingJob" => jobs::delete(state, request),
        "CreateModelPackageGroup" => registry::create_group(state, request),
        "DescribeModelPackageGroup" => registry::describe_group(state, request),
        "ListModelPackageGroups" => registry::list_groups(state, request),
        "DeleteModelPackageGroup" => registry::delete_group(state, request),
        "PutModelPackageGroupPolicy" => registry::put_policy(state, request),
        "GetModelPackageGroupPolicy" => registry::get_policy(state, request),
        "CreateModelPackage" => registry::create(state, request),
        "DescribeModelPackage" => registry::describe(state, request),
        "UpdateModelPackage" => registry::update(state, request),
        "ListModelPackages" => registry::list(state, request),
        "BatchDescribeModelPackage" => registry::batch(state, request),
        "DeleteModelPackage" => registry::delete(state, request),
        "AddTags" => add_tags(state, request),
        "DeleteTags" => delete_tags(state, request),
        "ListTags" => list_tags(state, request),
        "Search" => search(state, request),
        other => {
            state.violations.push(format!("SageMaker {other} is not played"));
            Err(Reply::refused(501, "UnknownOperationException", "this World does not play the operation"))
        }
    }
}

/// Writes a time as the wire has it.
pub fn time(seconds: f64) -> Value {
    json!((seconds * 1000.0).round() / 1000.0)
}

/// The members of a request that the answer of an operation shows again.
pub fn shown(operation: &str, request: &Value) -> Map<String, Value> {
    let of = |member: &str| request.get(member).map(|value| (member.to_owned(), value.clone()));
    contract().members_of_answer("SageMaker", operation).into_iter().filter_map(of).collect()
}

/// Reads tags. Refuses doubles and the prefix that Amazon keeps for itself.
pub fn tags(value: &Value) -> Result<BTreeMap<String, String>, Reply> {
    let mut tags = BTreeMap::new();
    for tag in value.as_array().into_iter().flatten() {
        let of = |name: &str| tag[name].as_str().unwrap_or_default().to_owned();
        if of("Key").to_ascii_lowercase().starts_with("aws:") {
            return Err(Reply::invalid("aws: prefixed tag key names are not allowed for external use."));
        }
        if tags.insert(of("Key"), of("Value")).is_some() {
            return Err(Reply::invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
    }
    Ok(tags)
}

/// An item of a listing: when it was created, its name or ARN, and what is shown.
pub type Item = (f64, String, Value);

/// Filters by creation and name, sorts, and cuts out a page: the items, and the token of the next page.
pub fn page(state: &State, request: &Request, mut items: Vec<Item>) -> Result<(Vec<Value>, Value), Reply> {
    let asked = &request.json;
    let bound = |name: &str| asked[name].as_f64();
    items.retain(|(created, name, _)| {
        bound("CreationTimeAfter").is_none_or(|after| *created > after)
            && bound("CreationTimeBefore").is_none_or(|before| *created < before)
            && asked["NameContains"].as_str().is_none_or(|part| name.contains(part))
    });
    if asked["SortBy"] == "Name" {
        items.sort_by(|a, b| a.1.cmp(&b.1));
    } else {
        items.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    if asked["SortOrder"] == "Descending" {
        items.reverse();
    }
    let size = asked["MaxResults"].as_u64().unwrap_or(10) as usize;
    let size = state.page.get(&request.operation).map_or(size, |page| size.min(*page));
    let from = match asked["NextToken"].as_str() {
        None => 0,
        Some(token) => {
            let name = checksum::decode(token).and_then(|bytes| String::from_utf8(bytes).ok());
            let at = items.iter().position(|(_, found, _)| Some(found) == name.as_ref());
            at.ok_or_else(|| Reply::invalid("Invalid NextToken"))? + 1
        }
    };
    let more = items.len() > from + size;
    let token = items.get(from + size - 1).filter(|_| more).map(|(_, name, _)| checksum::encode(name.as_bytes()));
    let page = items.into_iter().skip(from).take(size).map(|(_, _, shown)| shown).collect();
    Ok((page, token.map_or(Value::Null, Value::from)))
}

/// Makes an answer of a page.
pub fn paged(name: &str, (items, token): (Vec<Value>, Value)) -> Value {
    let mut answer = json!({ name: items });
    if !token.is_null() {
        answer["NextToken"] = token;
    }
    answer
}

/// The tags of what an ARN names.
fn tags_of<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut BTreeMap<String, String>, Reply> {
    let parts: Vec<String> = arn.splitn(6, ':').map(str::to_owned).collect();
    let missing = || Reply::invalid(&format!("Requested resource not found: {arn}"));
    let [_, _, _, region, account, resource] = parts.as_slice() else { return Err(missing()) };
    let place = state.place(account, region);
    match resource.split_once('/') {
        Some(("training-job", name)) => place.jobs.get_mut(name).map(|job| &mut job.tags),
        Some(("model-package-group", name)) => place.groups.get_mut(name).map(|group| &mut group.tags),
        Some(("model-package", _)) => {
            return Err(Reply::invalid("Tags of a versioned model package are those of its group"));
        }
        _ => None,
    }
    .ok_or_else(missing)
}

fn told(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

fn add_tags(state: &mut State, request: &Request) -> Answer {
    let added = tags(&request.json["Tags"])?;
    let known = tags_of(state, request.text("ResourceArn"))?;
    known.extend(added);
    if known.len() > 50 {
        return Err(Reply::invalid("The number of tags exceeds the limit of 50"));
    }
    Ok(json!({ "Tags": told(known) }))
}

fn delete_tags(state: &mut State, request: &Request) -> Answer {
    let known = tags_of(state, request.text("ResourceArn"))?;
    for key in request.json["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        known.remove(key);
    }
    Ok(json!({}))
}

fn list_tags(state: &mut State, request: &Request) -> Answer {
    let known = tags_of(state, request.text("ResourceArn"))?.clone();
    let size = request.json["MaxResults"].as_u64().unwrap_or(50) as usize;
    let from: usize = request.json["NextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
    let all = told(&known);
    let mut answer = json!({ "Tags": all.iter().skip(from).take(size).collect::<Vec<_>>() });
    if all.len() > from + size {
        answer["NextToken"] = json!((from + size).to_string());
    }
    Ok(answer)
}

/// Only what a look by tags and by one's own metadata needs.
fn search(state: &mut State, request: &Request) -> Answer {
    if state.search_off {
        let message = format!("User: {} is not authorized to perform: sagemaker:Search", request.arn);
        return Err(Reply::refused(400, "AccessDeniedException", &message));
    }
    let behind = state.lag.get("Search").copied().unwrap_or_default();
    let place = state.place(&request.account, &request.region);
    let mut found: Vec<(f64, Value)> = match request.text("Resource") {
        "TrainingJob" => {
            let of = |job: &jobs::Job| {
                let mut record = job.described();
                record["Tags"] = json!(told(&job.tags));
                (job.created, json!({ "TrainingJob": record }))
            };
            place.jobs.values().map(of).collect()
        }
        "ModelPackage" => {
            let of = |package: &registry::Package| (package.created, json!({ "ModelPackage": package.described() }));
            place.packages.values().map(of).collect()
        }
        other => return Err(Reply::invalid(&format!("Search of {other} is not played"))),
    };
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.truncate(found.len().saturating_sub(behind));
    let filters = request.json["SearchExpression"]["Filters"].as_array().cloned().unwrap_or_default();
    let size = request.json["MaxResults"].as_u64().unwrap_or(10) as usize;
    let matches = |record: &Value| filters.iter().all(|filter| matches_filter(record, filter));
    let results: Vec<Value> =
        found.into_iter().rev().map(|(_, record)| record).filter(|record| matches(record)).take(size).collect();
    Ok(json!({ "Results": results }))
}

fn matches_filter(record: &Value, filter: &Value) -> bool {
    let Some(record) = record.as_object().and_then(|kinds| kinds.values().next()) else { return false };
    let name = filter["Name"].as_str().unwrap_or_default();
    let actual = match name.split_once('.') {
        Some(("Tags", key)) => record["Tags"]
            .as_array()
            .and_then(|tags| tags.iter().find(|tag| tag["Key"] == key))
            .map(|tag| &tag["Value"]),
        Some((member, key)) => record[member].get(key),
        None => record.get(name),
    };
    let (actual, wanted) = (actual.and_then(Value::as_str), filter["Value"].as_str());
    match filter["Operator"].as_str() {
        Some("Exists") => actual.is_some(),
        Some("NotExists") => actual.is_none(),
        Some("Contains") => actual.zip(wanted).is_some_and(|(actual, wanted)| actual.contains(wanted)),
        Some("NotEquals") => actual != wanted,
        _ => actual == wanted,
    }
}
