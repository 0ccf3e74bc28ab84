//! Lengths of time as people write them: `45s`, `30m`, `2h`, `1h30m`, `30d`, `0`.

use std::time::Duration;

/// Longest length that is read: ten years, far from any overflow.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// Text that is not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationError {
    /// A number alone.
    NoUnit,
    /// Anything else.
    Unreadable,
    /// More than ten years.
    TooLong,
}

/// Reads a length of time. Units go down: days, hours, minutes, seconds, each at most once.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DurationError::NoUnit);
    }
    let mut seconds: u64 = 0;
    let mut units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)].into_iter();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError::Unreadable)?;
        let (digits, tail) = rest.split_at(end);
        let unit = tail.chars().next().ok_or(DurationError::Unreadable)?;
        let (_, factor) = units.find(|(letter, _)| *letter == unit).ok_or(DurationError::Unreadable)?;
        if digits.is_empty() {
            return Err(DurationError::Unreadable);
        }
        let count: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        seconds = count.checked_mul(factor).and_then(|more| seconds.checked_add(more)).ok_or(DurationError::TooLong)?;
        rest = &tail[unit.len_utf8()..];
    }
    match seconds {
        _ if text.is_empty() => Err(DurationError::Unreadable),
        seconds if seconds > LONGEST => Err(DurationError::TooLong),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// Writes a length of time the way it is read; parts of a second are dropped.
pub fn display(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (letter, factor) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        if rest >= factor {
            text.push_str(&format!("{}{letter}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_read_with_their_units() {
        for (text, seconds) in [("0", 0), ("45s", 45), ("30m", 1800), ("1h30m", 5400), ("30d", 2_592_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("30"), Err(DurationError::NoUnit));
        for text in ["", "m", "1x", "30m1h", "1h1h", "-1h", "1.5h", "1h ", "٣h", "1h30"] {
            assert_eq!(parse(text), Err(DurationError::Unreadable), "{text:?}");
        }
        assert_eq!(parse("99999999999999999999d"), Err(DurationError::TooLong));
        assert_eq!(parse("99999999999999d"), Err(DurationError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0u64..=LONGEST) {
            let length = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&display(length)), Ok(length));
        }
    }
}
