//! Metrics: names, values, and where training says them.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::Visitor;
use std::collections::BTreeMap;
use std::fmt;

/// The name of a metric, as the training script writes it. Any text without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricName(String);

impl MetricName {
    /// Takes a name: 1 to 128 characters, none of them a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = !text.is_empty() && text.chars().count() <= 128 && !text.chars().any(char::is_control);
        legal.then(|| Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Metric values by name; every value is finite.
pub type Metrics = BTreeMap<MetricName, f64>;

/// Something that stands beside the metrics and is not a finite number: a text, a list, NaN, a file that is not JSON.
/// It is kept for people, and decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricNote {
    /// Its name, nested names joined by dots; untrusted text.
    pub name: String,
    /// What it is, as the end of a sentence: `a list of 4`, `the text "xgboost"`; untrusted text.
    pub value: String,
}

/// Most notes that are kept of one training run.
pub const METRIC_NOTES: usize = 50;

/// Reads metric values that are numbers or text that spells one: a registry keeps them as text, to the last bit.
pub fn numbers_or_texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
    let values = BTreeMap::<MetricName, NumberOrText>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, NumberOrText(value))| (name, value)).collect())
}

struct NumberOrText(f64);

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTextVisitor)
    }
}

struct NumberOrTextVisitor;

impl Visitor<'_> for NumberOrTextVisitor {
    type Value = NumberOrText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or text that spells one")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<NumberOrText, E> {
        Ok(NumberOrText(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<NumberOrText, E> {
        Ok(NumberOrText(value as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<NumberOrText, E> {
        Ok(NumberOrText(value as f64))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<NumberOrText, E> {
        text.parse().map(NumberOrText).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

/// Writes a metric value the way people read it: at most six significant decimals, no trailing zeros.
pub fn display_value(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e15) {
        return format!("{value:e}");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        assert_eq!(display_value(0.87), "0.87");
        assert_eq!(display_value(12.0), "12");
        assert_eq!(display_value(0.1 + 0.2), "0.3");
        assert_eq!(display_value(0.000012), "1.2e-5");
        assert_eq!(display_value(-0.0000001), "-1e-7");
        assert_eq!(display_value(0.0), "0");
    }
}
