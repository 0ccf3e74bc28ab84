//! Does a candidate pass its gates?

use crate::model::gate::Gate;
use crate::model::gate::Tolerance;
use crate::model::gate::WhenDataDiffers;
use crate::model::lineage::Lineage;
use crate::model::metric::MetricName;
use crate::model::metric::Metrics;
use crate::model::metric::display_value;
use crate::model::name::GroupName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use serde::Deserialize;
use serde::Serialize;

/// What one bound answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It cannot be told. This fails closed.
    Unknown,
}

/// One bound of one gate, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The metric.
    pub metric: MetricName,
    /// The candidate's value.
    pub value: Option<f64>,
    /// The bound as people write it: `>= 0.8`, `drop <= 0.01 against churn-dev v3 (0.87)`.
    pub bound: String,
    /// Which bound: `min`, `max`, `max_drop`, `max_rise`.
    pub key: String,
    /// The group and version that it was compared with.
    pub compared_with: Option<(GroupName, VersionNumber)>,
    /// The value that it was compared with.
    pub compared_value: Option<f64>,
    /// The answer.
    pub answer: Answer,
    /// What else should be known: nothing to compare with yet, other data.
    pub note: Option<String>,
}

impl GateResult {
    /// Says it in a line: `accuracy 0.62 < 0.85 (min)`.
    pub fn sentence(&self) -> String {
        let value = self.value.map_or_else(|| "missing".to_owned(), display_value);
        let mut text = format!("{} {value}, required {}", self.metric, self.bound);
        if let Some(note) = &self.note {
            text.push_str(&format!(" ({note})"));
        }
        text
    }
}

/// What a relative bound compares with.
#[derive(Debug, Clone, Copy)]
pub enum Baseline<'a> {
    /// No relative comparison is configured for this stage.
    NotConfigured,
    /// The group has no current version yet.
    NoneYet(&'a GroupName),
    /// The current version.
    Current(&'a Version),
}

/// Judges every bound of every gate.
pub fn judge(gates: &[Gate], metrics: &Metrics, lineage: &Lineage, baseline: Baseline<'_>) -> Vec<GateResult> {
    let mut results = Vec::new();
    for gate in gates {
        let value = metrics.get(&gate.metric).copied();
        let absolute = [
            ("min", ">=", gate.min, value.zip(gate.min).map(|(v, bound)| v >= bound)),
            ("max", "<=", gate.max, value.zip(gate.max).map(|(v, bound)| v <= bound)),
        ];
        for (key, sign, bound, holds) in absolute {
            let Some(bound) = bound else { continue };
            results.push(GateResult {
                metric: gate.metric.clone(),
                value,
                bound: format!("{sign} {}", display_value(bound)),
                key: key.to_owned(),
                compared_with: None,
                compared_value: None,
                answer: answer(holds),
                note: None,
            });
        }
        if let Some(tolerance) = gate.max_drop {
            results.push(relative(gate, "max_drop", "drop", tolerance, value, lineage, baseline));
        }
        if let Some(tolerance) = gate.max_rise {
            results.push(relative(gate, "max_rise", "rise", tolerance, value, lineage, baseline));
        }
    }
    results
}

/// Tells whether all bounds hold.
pub fn all_pass(results: &[GateResult]) -> bool {
    results.iter().all(|result| result.answer == Answer::Pass)
}

fn answer(holds: Option<bool>) -> Answer {
    match holds {
        Some(true) => Answer::Pass,
        Some(false) => Answer::Fail,
        None => Answer::Unknown,
    }
}

fn relative(
    gate: &Gate,
    key: &str,
    word: &str,
    tolerance: Tolerance,
    value: Option<f64>,
    lineage: &Lineage,
    baseline: Baseline<'_>,
) -> GateResult {
    let mut result = GateResult {
        metric: gate.metric.clone(),
        value,
        bound: format!("{word} <= {tolerance}"),
        key: key.to_owned(),
        compared_with: None,
        compared_value: None,
        answer: Answer::Pass,
        note: None,
    };
    let version = match baseline {
        Baseline::NotConfigured => {
            result.note = Some("this stage compares with no group".to_owned());
            return result;
        }
        Baseline::NoneYet(group) => {
            result.note = Some(format!("{group} has no current version yet: nothing to compare with"));
            if value.is_none() {
                result.answer = Answer::Unknown;
            }
            return result;
        }
        Baseline::Current(version) => version,
    };
    result.compared_with = Some((version.group.clone(), version.number));
    result.compared_value = version.content.metrics.get(&gate.metric).copied();
    let Some(base) = result.compared_value else {
        result.answer = Answer::Unknown;
        result.note = Some(format!("{} has no {}", version.reference(), gate.metric));
        return result;
    };
    result.bound = format!("{word} <= {tolerance} against {} ({})", version.reference(), display_value(base));
    if data_differ(lineage, &version.content.lineage) {
        match gate.when_data_differs {
            WhenDataDiffers::Mark => result.note = Some("trained on other data".to_owned()),
            WhenDataDiffers::Refuse => {
                result.answer = Answer::Unknown;
                result.note = Some("trained on other data, and this gate refuses to compare then".to_owned());
                return result;
            }
        }
    }
    let allowed = match tolerance {
        Tolerance::Absolute(amount) => amount,
        Tolerance::Relative(share) => share * base.abs(),
    };
    let moved = value.map(|value| if key == "max_drop" { base - value } else { value - base });
    // Metrics are printed decimals: without a hair of slack, 0.87 - 0.86 would "drop" by more than 0.01.
    let slack = f64::EPSILON * 4.0 * base.abs().max(1.0);
    result.answer = answer(moved.map(|moved| moved <= allowed + slack));
    result
}

fn data_differ(one: &Lineage, other: &Lineage) -> bool {
    let digests = |lineage: &Lineage| -> Vec<(String, String)> {
        lineage.datasets.iter().map(|(channel, data)| (channel.to_string(), data.digest.clone())).collect()
    };
    digests(one) != digests(other)
}
