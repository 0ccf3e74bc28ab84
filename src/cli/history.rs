//! `history`: what a group stood for at any time, and how it came to be.

use crate::cli::args::HistoryArgs;
use crate::cli::args::HistoryFormat;
use crate::cli::block_on;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::read;
use crate::cli::when;
use crate::facts::group::GroupLook;
use crate::model::timeline;
use crate::model::timeline::Period;
use crate::model::version::Version;
use crate::report::history;
use crate::report::history::HistoryJson;
use crate::report::history::HistoryView;
use std::collections::BTreeMap;
use std::path::Path;

/// Shows the history of a group.
pub fn history(directory: Option<&Path>, args: &HistoryArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = read::open(&place)?;
    let (model, _, group) = read::find_group(&composed, &args.group, args.model.as_deref())?;
    let now = composed.drive.ports.clock.now();
    let moment = |text: &Option<String>| text.as_deref().map(|text| when::moment(text, now)).transpose();
    let (at, from, to) = (moment(&args.at)?, moment(&args.from)?, moment(&args.to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Failure::usage(format!("`--from` ({from}) is not before `--to` ({to})")));
    }
    // The whole record is read: what was current in a range was often decided before it.
    let registry = &composed.drive.ports.registry;
    let read = block_on(async {
        let record = registry.history(&group, None, None).await?;
        let periods = timeline::periods(&record);
        let periods: Vec<Period> = match at {
            Some(at) => timeline::at(&periods, at).into_iter().cloned().collect(),
            None => timeline::between(&periods, from, to).cloned().collect(),
        };
        let mut numbers: Vec<_> = periods.iter().map(|period| period.version).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let facts = registry.look(&group, &GroupLook { numbers, ..GroupLook::default() }).await?;
        Ok((record, periods, facts.asked))
    })?;
    let (record, periods, versions) = read.map_err(|error| Failure::port(&error))?;
    let versions: BTreeMap<_, Version> = versions.into_iter().map(|version| (version.number, version)).collect();
    let within = |entry: &crate::model::history::HistoryEntry| match at {
        Some(at) => entry.at <= at,
        None => from.is_none_or(|from| entry.at >= from) && to.is_none_or(|to| entry.at < to),
    };
    let view = HistoryView {
        group: &group,
        model: &model,
        at,
        from,
        to,
        periods: periods
            .into_iter()
            .map(|period| {
                let version = versions.get(&period.version).cloned();
                (period, version)
            })
            .collect(),
        changes: record.into_iter().filter(within).collect(),
        show_changes: args.changes,
    };
    match args.format {
        HistoryFormat::Table | HistoryFormat::Text => print(&history::text(&view)),
        HistoryFormat::Csv => print(&history::csv(&view)),
        HistoryFormat::Md => print(&history::markdown(&view)),
        HistoryFormat::Json => print_json(&HistoryJson::of(&view)),
    }
}
