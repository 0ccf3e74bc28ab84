//! Between rows and values: one place for each direction.
//!
//! What is compared or sorted by has a column; everything else of a version is one JSON text that says which
//! schema it follows. Readers accept every older schema.

use crate::model::approval::Approval;
use crate::model::name::GroupName;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::error::Error;
use std::fmt::Write as _;

/// The schema of the JSON that is written.
const CONTENT_SCHEMA: u32 = 1;

/// A row that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// A newer release wrote it.
    #[error("{what} was written by a newer Branchline (schema {schema}; this one knows up to {CONTENT_SCHEMA})")]
    Newer {
        /// Which row.
        what: String,
        /// The schema found.
        schema: u32,
    },
    /// It is not what is written here.
    #[error("cannot understand {what}")]
    Unreadable {
        /// Which row, and what of it.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RowError {
    /// Wraps why `what` cannot be understood.
    pub(super) fn unreadable(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreadable { what: what.into(), source: source.into() }
    }

    /// Turns it into what functions on rows must return; `failure` takes it out again.
    pub(super) fn into_sqlite(self) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(self))
    }
}

/// The stored form of what was registered, as it is read: without a tree of values on the way, for a plan of a
/// thousand models reads some thousand of them.
#[derive(Deserialize)]
struct Readable {
    schema: u32,
    content: VersionContent,
}

/// The one thing that every schema has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// The stored form of what was registered, as it is written.
#[derive(Serialize)]
struct Stored {
    schema: u32,
    content: Value,
}

/// Writes what is registered as JSON.
///
/// Metrics are written as text: `serde_json` reads one number in ten back with another last bit (its
/// `float_roundtrip` feature is off), and a gate that compares a metric with itself must find it equal.
pub(super) fn content_to_json(content: &VersionContent) -> rusqlite::Result<String> {
    let unwritable = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    if let Some((name, value)) = content.metrics.iter().find(|(_, value)| !value.is_finite()) {
        // It could never be read again.
        return Err(rusqlite::Error::ToSqlConversionFailure(format!("the metric {name} is {value}").into()));
    }
    let mut value = serde_json::to_value(content).map_err(unwritable)?;
    let metrics = content.metrics.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_string().into()));
    value["metrics"] = Value::Object(metrics.collect());
    serde_json::to_string(&Stored { schema: CONTENT_SCHEMA, content: value }).map_err(unwritable)
}

/// Reads what was registered, from any schema up to the present one.
pub(super) fn content_from_json(what: &str, text: &str) -> Result<VersionContent, RowError> {
    match serde_json::from_str::<Readable>(text) {
        Ok(stored) if stored.schema <= CONTENT_SCHEMA => Ok(stored.content),
        Ok(Readable { schema, .. }) => Err(RowError::Newer { what: what.to_owned(), schema }),
        // A newer form need not look like ours at all.
        Err(error) => match serde_json::from_str::<Schema>(text) {
            Ok(Schema { schema }) if schema > CONTENT_SCHEMA => Err(RowError::Newer { what: what.to_owned(), schema }),
            Ok(_) | Err(_) => Err(RowError::unreadable(what, error)),
        },
    }
}

/// Writes any other value as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Reads any other value from JSON.
pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| RowError::unreadable(what, error).into_sqlite())
}

/// Reads a time.
pub(super) fn time(what: &str, microseconds: i64) -> rusqlite::Result<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(microseconds).map_err(|error| RowError::unreadable(what, error).into_sqlite())
}

/// Reads a version from the columns that `read` selects for it.
pub(super) fn version(group: &GroupName, row: &Row<'_>) -> rusqlite::Result<Version> {
    let number = VersionNumber(row.get("number")?);
    let what = format!("{group} {number}");
    let approval: String = row.get("approval")?;
    let rejection: Option<String> = row.get("rejection")?;
    let content: String = row.get("content")?;
    let bad = |word: String| RowError::unreadable(what.as_str(), format!("unknown word `{word}`")).into_sqlite();
    Ok(Version {
        group: group.clone(),
        number,
        registered_at: time(&what, row.get("registered_at")?)?,
        approval: Approval::parse(&approval).ok_or_else(|| bad(approval))?,
        rejection: match rejection {
            Some(word) => Some(rejection_from_word(&word).ok_or_else(|| bad(word))?),
            None => None,
        },
        superseded: row.get("superseded")?,
        once_approved: row.get("once_approved")?,
        content: content_from_json(&what, &content).map_err(RowError::into_sqlite)?,
    })
}

/// Returns the stored word.
pub(super) fn rejection_word(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::Person => "person",
        Rejection::RolledBack => "rolled-back",
        Rejection::Duplicate => "duplicate",
    }
}

fn rejection_from_word(word: &str) -> Option<Rejection> {
    [Rejection::Person, Rejection::RolledBack, Rejection::Duplicate].into_iter().find(|r| rejection_word(*r) == word)
}

/// Writes a semantic version as text whose byte order is the order of precedence (semver.org, 11).
///
/// Numbers are padded, or led by their length where they have no limit; `!` (a number) sorts before `#` (a
/// word), both before `~` (no pre-release). Build metadata has no precedence and is left out.
pub(super) fn semver_key(version: &semver::Version) -> String {
    let mut key = format!("{:020}.{:020}.{:020}", version.major, version.minor, version.patch);
    if version.pre.is_empty() {
        key.push('~');
        return key;
    }
    for part in version.pre.split('.') {
        let numeric = part.bytes().all(|b| b.is_ascii_digit());
        // Writing to a string cannot fail.
        let _ = if numeric { write!(key, "!{:010}:{part}", part.len()) } else { write!(key, "#{part}") };
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::metric::MetricName;
    use proptest::prelude::*;

    const FIXTURE: &str = include_str!("../../../../fixtures/registry/version-1.json");

    #[test]
    fn what_schema_1_wrote_is_read_for_ever() {
        let content = content_from_json("fixture", FIXTURE).expect("schema 1 is readable");
        assert_eq!(content.semver, semver::Version::new(0, 4, 0));
        assert_eq!(content.model.as_str(), "churn");
        assert_eq!(content.metrics.values().copied().collect::<Vec<_>>(), [0.9073038322028689, 12.0]);
        assert_eq!(content.artifacts.len(), 2);
        assert_eq!(content.source.as_ref().map(ToString::to_string).as_deref(), Some("churn-dev v12"));
        assert_eq!(content.lineage.datasets.len(), 1);
        assert_eq!(content.lineage.attempt, Some(1));
        // Nothing of it is lost on the way back; holds until a schema 2 is written.
        let again = content_to_json(&content).expect("writable");
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value(&again), value(FIXTURE));
    }

    #[test]
    fn a_newer_schema_is_named() {
        let text = FIXTURE.replacen("\"schema\": 1", "\"schema\": 2", 1);
        let error = content_from_json("churn-dev v3", &text).expect_err("schema 2 is unknown");
        assert_eq!(
            error.to_string(),
            "churn-dev v3 was written by a newer Branchline (schema 2; this one knows up to 1)"
        );
    }

    #[test]
    fn hostile_text_is_an_error_and_no_panic() {
        for text in ["", "{}", "[]", "{\"schema\":1,\"content\":null}", "{\"schema\":1,\"content\":{\"metrics\":3}}"] {
            assert!(matches!(content_from_json("x", text), Err(RowError::Unreadable { .. })), "{text}");
        }
    }

    fn any_semver() -> impl Strategy<Value = semver::Version> {
        let pre = prop_oneof![Just(String::new()), "(0|[1-9][0-9]{0,11}|[a-c-]{1,3})(\\.(0|[1-9][0-9]?|[a-c]))?"];
        let number = prop_oneof![0_u64..12, any::<u64>()];
        (number.clone(), 0_u64..12, number, pre).prop_map(|(major, minor, patch, pre)| {
            let dash = if pre.is_empty() { "" } else { "-" };
            semver::Version::parse(&format!("{major}.{minor}.{patch}{dash}{pre}")).expect("legal")
        })
    }

    proptest! {
        #[test]
        fn the_key_sorts_like_the_version(a in any_semver(), b in any_semver(), c in any_semver()) {
            let same_core = semver::Version { pre: c.pre, ..a.clone() };
            prop_assert_eq!(semver_key(&a).cmp(&semver_key(&b)), a.cmp_precedence(&b));
            prop_assert_eq!(semver_key(&a).cmp(&semver_key(&same_core)), a.cmp_precedence(&same_core));
        }

        #[test]
        fn metrics_are_read_back_to_the_last_bit(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let mut content = content_from_json("fixture", FIXTURE).expect("fixture");
            content.metrics = [(MetricName::parse("m").expect("name"), value)].into();
            let text = content_to_json(&content).expect("writable");
            prop_assert_eq!(content_from_json("x", &text).expect("readable").metrics, content.metrics);
        }
    }
}
