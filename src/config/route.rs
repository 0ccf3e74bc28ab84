//! Symbolic places in the file: `models.churn.gates.accuracy`. A route outlives the text; the tree turns it
//! into a line and a column.

use crate::model::metric::MetricName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Into the value of a key.
    Key(String),
    /// Into an item of a list, counted from 0.
    Item(usize),
}

/// A path from the root of the file. The empty route is the file itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(Vec<Segment>);

impl Route {
    /// Returns the route of the file itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the route through these keys.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())
    }

    /// Returns the route of a model.
    pub fn model(model: &ModelName) -> Self {
        Self::of(&["models", model.as_str()])
    }

    /// Returns the route of a model's watched paths.
    pub fn paths(model: &ModelName) -> Self {
        Self::model(model).key("paths")
    }

    /// Returns the route of a gate.
    pub fn gate(model: &ModelName, metric: &MetricName) -> Self {
        Self::model(model).key("gates").key(metric.as_str())
    }

    /// Returns the route of a stage.
    pub fn stage(stage: &StageName) -> Self {
        Self::of(&["stages", stage.as_str()])
    }

    /// Returns the route of a key below this one.
    pub fn key(&self, key: &str) -> Self {
        let mut route = self.clone();
        route.0.push(Segment::Key(key.to_owned()));
        route
    }

    /// Returns the route of a list item below this one.
    pub fn item(&self, index: usize) -> Self {
        let mut route = self.clone();
        route.0.push(Segment::Item(index));
        route
    }

    /// Returns the steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Returns the route one step up; `None` for the file itself.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    /// Returns the last key, if the route ends with one.
    pub fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Segment::Key(key)) => Some(key),
            Some(Segment::Item(_)) | None => None,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if index == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_read_like_paths() {
        let route = Route::of(&["models", "churn"]).key("paths").item(2);
        assert_eq!(route.to_string(), "models.churn.paths[2]");
        assert_eq!(route.parent().map(|r| r.to_string()), Some("models.churn.paths".to_owned()));
        assert_eq!(Route::root().parent(), None);
    }
}
