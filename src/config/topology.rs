//! The stages that a configuration begins with, and how written stages are laid over them.

use crate::config::raw::RawApproval;
use crate::config::raw::RawDoes;
use crate::config::raw::RawGroup;
use crate::config::raw::RawOnNewerPush;
use crate::config::raw::RawStage;
use crate::config::resolved::Topology;
use std::collections::BTreeMap;

/// Returns the stages of a topology, low to high.
pub(in crate::config) fn preset(topology: Topology) -> Vec<(&'static str, RawStage)> {
    let (prod_groups, compared): (&[&str], &str) = match topology {
        Topology::None => return Vec::new(),
        Topology::Baseline => (&["prod"], "prod"),
        Topology::Advanced => (&["champion", "challenger"], "champion"),
    };
    vec![
        (
            "feature",
            RawStage {
                branches: Some(vec!["feature-*".to_owned(), "feature/**".to_owned()]),
                does: Some(RawDoes::Train),
                groups: Some(groups(&["feature"], RawApproval::Manual)),
                compare_with: Some("dev".to_owned()),
                on_newer_push: Some(RawOnNewerPush::Stop),
                ..RawStage::default()
            },
        ),
        (
            "dev",
            RawStage {
                branches: Some(vec!["dev".to_owned()]),
                does: Some(RawDoes::Train),
                groups: Some(groups(&["dev"], RawApproval::Auto)),
                compare_with: Some(compared.to_owned()),
                ..RawStage::default()
            },
        ),
        (
            "prod",
            RawStage {
                branches: Some(vec!["prod".to_owned()]),
                does: Some(RawDoes::Promote),
                promote_from: Some(vec!["dev".to_owned()]),
                groups: Some(groups(prod_groups, RawApproval::Manual)),
                ..RawStage::default()
            },
        ),
    ]
}

fn groups(targets: &[&str], approval: RawApproval) -> BTreeMap<String, RawGroup> {
    targets.iter().map(|target| ((*target).to_owned(), RawGroup { approval: Some(approval) })).collect()
}

/// Lays a written stage over a preset one: keys replace, lists replace, groups are added or changed one by one.
///
/// A stage that is made to do something else keeps nothing that only made sense for what it did before.
pub(in crate::config) fn laid_over(base: RawStage, over: &RawStage) -> RawStage {
    let over = over.clone();
    let changes_trade = over.does.is_some() && over.does != base.does;
    let base = if changes_trade {
        RawStage { branches: base.branches, groups: base.groups, ..RawStage::default() }
    } else {
        base
    };
    let groups = match (base.groups, over.groups) {
        (Some(mut groups), Some(written)) => {
            for (target, group) in written {
                let before = groups.entry(target).or_default();
                before.approval = group.approval.or(before.approval);
            }
            Some(groups)
        }
        (base, over) => over.or(base),
    };
    RawStage {
        branches: over.branches.or(base.branches),
        does: over.does.or(base.does),
        groups,
        compare_with: over.compare_with.or(base.compare_with),
        on_newer_push: over.on_newer_push.or(base.on_newer_push),
        reuse_from: over.reuse_from.or(base.reuse_from),
        promote_from: over.promote_from.or(base.promote_from),
    }
}
