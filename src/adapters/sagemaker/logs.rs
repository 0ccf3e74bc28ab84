//! The log of a training job in CloudWatch Logs: one stream for each machine, made when the machine prints its first
//! line. A stream that is not there yet has no lines.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::model::name::TrainingName;
use aws_sdk_cloudwatchlogs::types::OutputLogEvent;
use std::collections::BTreeMap;

const GROUP: &str = "/aws/sagemaker/TrainingJobs";
const READ: &str = "logs:GetLogEvents";
/// Pages of one stream that one look reads: 10,000 lines or 1 MiB each.
const PAGES: usize = 10;
/// Lines of one answer, at most.
const PAGE: usize = 10_000;

/// How far each stream was read.
#[derive(Debug, Clone, Default)]
pub(super) struct LogPlace {
    /// How many lines were given out.
    pub(super) lines: u64,
    streams: BTreeMap<String, Option<String>>,
}

/// Reads what was printed since the last look.
pub(super) async fn since(
    session: &Session,
    name: &TrainingName,
    place: &mut LogPlace,
) -> Result<Vec<String>, Refused> {
    for stream in streams(session, name).await? {
        place.streams.entry(stream).or_default();
    }
    let several = place.streams.len() > 1;
    let mut found: Vec<(i64, String)> = Vec::new();
    for (stream, at) in &mut place.streams {
        for _ in 0..PAGES {
            let page = events(session, stream, at.clone(), None).await?;
            let Some((events, next)) = page else { break };
            let more = events.len() > 1;
            found.extend(events.iter().flat_map(|event| lines(event, stream, several)));
            let moved = next.is_some() && next != *at;
            if next.is_some() {
                *at = next;
            }
            if !moved || !more {
                break;
            }
        }
    }
    if several {
        found.sort_by_key(|(at, _)| *at);
    }
    place.lines += found.len() as u64;
    Ok(found.into_iter().map(|(_, line)| line).collect())
}

/// Reads the last lines.
pub(super) async fn tail(session: &Session, name: &TrainingName, count: usize) -> Result<Vec<String>, Refused> {
    let streams = streams(session, name).await?;
    let several = streams.len() > 1;
    let mut found: Vec<(i64, String)> = Vec::new();
    for stream in &streams {
        let limit = i32::try_from(count.clamp(1, PAGE)).unwrap_or(1);
        if let Some((events, _)) = events(session, stream, None, Some(limit)).await? {
            found.extend(events.iter().flat_map(|event| lines(event, stream, several)));
        }
    }
    if several {
        found.sort_by_key(|(at, _)| *at);
    }
    let cut = found.len().saturating_sub(count);
    Ok(found.into_iter().skip(cut).map(|(_, line)| line).collect())
}

async fn streams(session: &Session, name: &TrainingName) -> Result<Vec<String>, Refused> {
    let prefix = format!("{name}/");
    let answer = session
        .call(Kind::Read, "logs:DescribeLogStreams", || {
            session.logs.describe_log_streams().log_group_name(GROUP).log_stream_name_prefix(&prefix).send()
        })
        .await;
    match answer {
        Ok(page) => {
            let names = page.log_streams().iter().filter_map(|stream| stream.log_stream_name());
            Ok(names.filter(|stream| stream.starts_with(&prefix)).map(str::to_owned).collect())
        }
        Err(refused) if refused.class == Class::NotFound => Ok(Vec::new()),
        Err(refused) => Err(refused),
    }
}

/// Reads a page: from a place on, or from the beginning; with a limit the last ones. `None`: no such stream.
async fn events(
    session: &Session,
    stream: &str,
    at: Option<String>,
    last: Option<i32>,
) -> Result<Option<(Vec<OutputLogEvent>, Option<String>)>, Refused> {
    let answer = session
        .call(Kind::Read, READ, || {
            session
                .logs
                .get_log_events()
                .log_group_name(GROUP)
                .log_stream_name(stream)
                .start_from_head(last.is_none())
                .set_limit(last)
                .set_next_token(at.clone())
                .send()
        })
        .await;
    match answer {
        Ok(page) => {
            let next = page.next_forward_token().map(str::to_owned);
            Ok(Some((page.events.unwrap_or_default(), next)))
        }
        Err(refused) if refused.class == Class::NotFound => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// One event may hold several lines; where several machines train, each line says which.
fn lines(event: &OutputLogEvent, stream: &str, several: bool) -> Vec<(i64, String)> {
    let at = event.timestamp().unwrap_or_default();
    // `<job>/algo-1-1700000000`: the machine is what stands before the time.
    let machine = stream.rsplit_once('/').map_or(stream, |(_, machine)| machine);
    let machine = machine.rsplit_once('-').map_or(machine, |(machine, _)| machine);
    let text = event.message().unwrap_or_default();
    text.lines().map(|line| (at, if several { format!("[{machine}] {line}") } else { line.to_owned() })).collect()
}
