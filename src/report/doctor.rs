//! What `doctor` found, for people and for programs: one line for each thing, and what to do.

use crate::model::finding::Finding;
use crate::model::finding::Standing;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::BOLD;
use crate::report::terminal::plain;
use serde::Serialize;

/// What was found, as JSON.
#[derive(Debug, Serialize)]
pub struct DoctorJson<'a> {
    schema: u32,
    findings: &'a [Finding],
}

impl<'a> DoctorJson<'a> {
    /// Takes what was found.
    pub fn of(findings: &'a [Finding]) -> Self {
        Self { schema: JSON_SCHEMA, findings }
    }
}

/// Writes what was found, place by place.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut place = None;
    for finding in findings {
        if place != Some(&finding.place) {
            text.push_str(&format!("{}{}{}\n", BOLD.render(), plain(&finding.place), BOLD.render_reset()));
            place = Some(&finding.place);
        }
        let mark = match finding.standing {
            Standing::Ok => "ok       ",
            Standing::Missing => "missing  ",
            Standing::Advice => "advice   ",
            Standing::Unchecked => "unchecked",
            Standing::Unknown => "unknown  ",
        };
        text.push_str(&format!("  {mark}  {}: {}\n", plain(&finding.what), plain(&finding.seen)));
        if let Some(fix) = finding.fix.as_deref().filter(|_| finding.standing != Standing::Ok) {
            text.push_str(&format!("             -> {}\n", plain(fix)));
        }
    }
    let count = |standing| findings.iter().filter(|finding| finding.standing == standing).count();
    text.push_str(&format!(
        "{} ok, {} missing, {} advice, {} unchecked, {} unknown\n",
        count(Standing::Ok),
        count(Standing::Missing),
        count(Standing::Advice),
        count(Standing::Unchecked),
        count(Standing::Unknown)
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_what_to_do() {
        let findings = [
            Finding::new("account 1", "credentials", Standing::Ok, "role/x").fix("never shown"),
            Finding::new("account 1", "bucket b", Standing::Missing, "does not exist").fix("make it"),
        ];
        let said = anstream::adapter::strip_str(&text(&findings)).to_string();
        assert_eq!(
            said,
            "account 1\n  ok         credentials: role/x\n  missing    bucket b: does not exist\n             -> make it\n\
             1 ok, 1 missing, 0 advice, 0 unchecked, 0 unknown\n"
        );
    }
}
