//! Gates as the rules state them. Whether one passes is decided in `plan::gate`.

use crate::model::metric::MetricName;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// How far a metric may move against the version it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tolerance {
    /// In the metric's own unit.
    Absolute(f64),
    /// As a share of the compared value: 0.01 is one per cent.
    Relative(f64),
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(value) => f.write_str(&crate::model::metric::display_value(*value)),
            Self::Relative(value) => write!(f, "{}%", crate::model::metric::display_value(*value * 100.0)),
        }
    }
}

/// What a relative bound does when the two versions saw different data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDataDiffers {
    /// Compare, and mark the result.
    #[default]
    Mark,
    /// Answer `unknown`, which fails closed.
    Refuse,
}

/// The conditions on one metric. All stated bounds must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The metric.
    pub metric: MetricName,
    /// The value must be at least this.
    pub min: Option<f64>,
    /// The value must be at most this.
    pub max: Option<f64>,
    /// The value may fall at most this much below the compared version's.
    pub max_drop: Option<Tolerance>,
    /// The value may rise at most this much above the compared version's.
    pub max_rise: Option<Tolerance>,
    /// What a relative bound does when the data differ.
    pub when_data_differs: WhenDataDiffers,
}
