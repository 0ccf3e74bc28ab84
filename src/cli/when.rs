//! Points in time as a person types them.

use crate::cli::failure::Failure;
use crate::report::terminal::plain;
use jiff::Span;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads RFC 3339, a date, a date with a time (both UTC), or how long ago it was: `3d`, `2h 30m`.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let trimmed = text.trim();
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let found = trimmed
        .parse::<Timestamp>()
        .ok()
        .or_else(|| trimmed.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| trimmed.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))))
        .or_else(|| ago(trimmed, now));
    found.ok_or_else(|| {
        Failure::usage(format!("`{}` is not a point in time", plain(text)))
            .hint("write it as 2026-11-09, `2026-11-09 14:00` (UTC), 2026-11-09T14:00:00Z, or as how long ago: 3d")
    })
}

fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span: Span = text.strip_suffix("ago").unwrap_or(text).trim().parse().ok()?;
    if span.is_negative() {
        return None;
    }
    now.to_zoned(TimeZone::UTC).checked_sub(span).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        let now: Timestamp = "2026-11-09T14:00:00Z".parse().expect("time");
        moment(text, now).map_or_else(|failure| failure.text, |at| at.to_string())
    }

    #[test]
    fn what_people_type_is_understood() {
        assert_eq!(read("2026-11-09"), "2026-11-09T00:00:00Z");
        assert_eq!(read("2026-11-09 14:00"), "2026-11-09T14:00:00Z");
        assert_eq!(read("2026-11-09T14:00:07"), "2026-11-09T14:00:07Z");
        assert_eq!(read("2026-11-09T14:00:00+02:00"), "2026-11-09T12:00:00Z");
        assert_eq!(read("3d"), "2026-11-06T14:00:00Z");
        assert_eq!(read("2h 30m"), "2026-11-09T11:30:00Z");
        assert_eq!(read("1 month ago"), "2026-10-09T14:00:00Z");
        for wrong in ["", "yesterdayish", "2026-13-01", "-3d", "9999999999y"] {
            assert!(read(wrong).contains("is not a point in time"), "{wrong}: {}", read(wrong));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = read(&text);
        }
    }
}
