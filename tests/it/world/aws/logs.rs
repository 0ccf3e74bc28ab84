//! CloudWatch Logs: streams and their lines.

use super::sagemaker::Answer;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

type Streams = BTreeMap<String, Vec<(i64, String)>>;

fn missing(what: &str) -> Reply {
    Reply::refused(400, "ResourceNotFoundException", &format!("The specified log {what} does not exist."))
}

/// Answers.
pub fn answer(state: &mut State, request: &Request) -> Answer {
    let page = state.page.get(&request.operation).copied();
    let place = state.place(&request.account, &request.region);
    let streams = place.logs.get(request.text("logGroupName")).ok_or_else(|| missing("group"))?;
    match request.operation.as_str() {
        "DescribeLogStreams" => describe(streams, request),
        "GetLogEvents" => get(streams, request, page),
        _ => filter(streams, request, page),
    }
}

fn describe(streams: &Streams, request: &Request) -> Answer {
    let prefix = request.text("logStreamNamePrefix");
    let mut found: Vec<(&String, &Vec<(i64, String)>)> =
        streams.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    if request.text("orderBy") == "LastEventTime" {
        found.sort_by_key(|(_, lines)| lines.last().map(|(at, _)| *at));
    }
    if request.json["descending"] == true {
        found.reverse();
    }
    let from: usize = request.text("nextToken").parse().unwrap_or(0);
    let limit = request.json["limit"].as_u64().unwrap_or(50) as usize;
    let of = |(name, lines): &(&String, &Vec<(i64, String)>)| {
        let mut shown = json!({ "logStreamName": name, "storedBytes": 0 });
        if let (Some((first, _)), Some((last, _))) = (lines.first(), lines.last()) {
            shown["firstEventTimestamp"] = json!(first);
            shown["lastEventTimestamp"] = json!(last);
        }
        shown
    };
    let mut answer = json!({ "logStreams": found.iter().skip(from).take(limit).map(of).collect::<Vec<Value>>() });
    if found.len() > from + limit {
        answer["nextToken"] = json!((from + limit).to_string());
    }
    Ok(answer)
}

/// Within the times that are asked for.
fn within(lines: &[(i64, String)], request: &Request) -> Vec<(i64, String)> {
    let (from, to) = (request.json["startTime"].as_i64(), request.json["endTime"].as_i64());
    let fits = |at: i64| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to);
    lines.iter().filter(|(at, _)| fits(*at)).cloned().collect()
}

/// At the end the same token comes back, and an empty page.
fn get(streams: &Streams, request: &Request, page: Option<usize>) -> Answer {
    let lines = streams.get(request.text("logStreamName")).ok_or_else(|| missing("stream"))?;
    let lines = within(lines, request);
    let limit = request.json["limit"].as_u64().unwrap_or(10_000) as usize;
    let limit = page.map_or(limit, |page| limit.min(page));
    let token = request.json["nextToken"].as_str();
    let at = token.and_then(|token| token.get(2..)).and_then(|at| at.parse::<usize>().ok());
    let (from, to) = match (token.map(|token| token.starts_with("b/")), at) {
        (Some(true), Some(at)) => (at.saturating_sub(limit), at),
        (Some(false), Some(at)) => (at, (at + limit).min(lines.len())),
        (Some(_), None) => {
            return Err(Reply::refused(400, "InvalidParameterException", "The specified nextToken is invalid."));
        }
        (None, _) if request.json["startFromHead"] == true => (0, limit.min(lines.len())),
        (None, _) => (lines.len().saturating_sub(limit), lines.len()),
    };
    let of = |(at, line): &(i64, String)| json!({ "timestamp": at, "message": line, "ingestionTime": at });
    let events: Vec<Value> = lines.get(from..to).unwrap_or_default().iter().map(of).collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": format!("f/{to}"),
        "nextBackwardToken": format!("b/{from}"),
    }))
}

fn filter(streams: &Streams, request: &Request, page: Option<usize>) -> Answer {
    let pattern = request.text("filterPattern").trim_matches('"').to_owned();
    let prefix = request.text("logStreamNamePrefix");
    let names = request.json["logStreamNames"].as_array();
    let wanted = |name: &String| {
        name.starts_with(prefix) && names.is_none_or(|names| names.iter().any(|one| one.as_str() == Some(name)))
    };
    let mut events = Vec::new();
    for (name, lines) in streams.iter().filter(|(name, _)| wanted(name)) {
        for (at, line) in within(lines, request).into_iter().filter(|(_, line)| line.contains(&pattern)) {
            let id = format!("{:056}", events.len());
            let event =
                json!({ "logStreamName": name, "timestamp": at, "message": line, "ingestionTime": at, "eventId": id });
            events.push((at, event));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    let from: usize = request.text("nextToken").parse().unwrap_or(0);
    let limit = request.json["limit"].as_u64().unwrap_or(10_000) as usize;
    let limit = page.map_or(limit, |page| limit.min(page));
    let shown: Vec<Value> = events.iter().skip(from).take(limit).map(|(_, event)| event.clone()).collect();
    let mut answer = json!({ "events": shown });
    if events.len() > from + limit {
        answer["nextToken"] = json!((from + limit).to_string());
    }
    Ok(answer)
}
