//! Stages: the topology with the written stages laid over it, checked one by one and against each other.

use crate::config::problem::all_of;
use crate::config::problem::nearest;
use crate::config::problem::quoted;
use crate::config::raw::RawApproval;
use crate::config::raw::RawDoes;
use crate::config::raw::RawFile;
use crate::config::raw::RawOnNewerPush;
use crate::config::raw::RawStage;
use crate::config::resolve::Inquiry;
use crate::config::resolved::Topology;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::config::topology;
use crate::model::approval::ApprovalRule;
use crate::model::git::BranchName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::stage::BranchPatterns;
use crate::model::stage::Does;
use crate::model::stage::OnNewerPush;
use crate::model::stage::Stage;
use std::collections::BTreeMap;

/// The stages in order, and the branches that they write out.
#[derive(Debug, Default)]
pub(in crate::config) struct Stages {
    pub(in crate::config) list: Vec<Stage>,
    pub(in crate::config) literal_branches: BTreeMap<BranchName, StageName>,
    pub(in crate::config) names: Names,
}

/// Everything that other parts of the file may refer to: also what has problems of its own.
#[derive(Debug, Default)]
pub(in crate::config) struct Names {
    /// Stages that promote for certain; a model cannot be trained there.
    pub(in crate::config) promoting: Vec<String>,
    /// All other stages.
    pub(in crate::config) training: Vec<String>,
    pub(in crate::config) targets: Vec<String>,
}

/// A stage that is not yet ordered.
struct Draft {
    stage: Stage,
    raw: RawStage,
    preset: bool,
}

/// Resolves all stages. What is unsound is said and left out.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, raw: &RawFile, topology: Topology) -> Stages {
    let route = Route::of(&["stages"]);
    let written = raw.stages.clone().unwrap_or_default();
    let presets = topology::preset(topology);
    let mut merged: Vec<(String, RawStage, bool)> = Vec::new();
    for (name, base) in presets {
        let stage = written.get(name).map_or_else(|| base.clone(), |over| topology::laid_over(base.clone(), over));
        merged.push((name.to_owned(), stage, true));
    }
    for name in inquiry.tree.keys(&route) {
        if let Some(stage) = written.get(name).filter(|_| merged.iter().all(|(known, _, _)| known != name)) {
            merged.push((name.to_owned(), stage.clone(), false));
        }
    }
    if merged.is_empty() {
        if !inquiry.is_damaged(&route) {
            let message = "with `topology: none` there are no stages but those under `stages`, and there are none";
            inquiry.say(&Route::of(&["topology"]), message, "write the stages, or take `topology: none` away");
        }
        return Stages::default();
    }

    let names: Vec<&str> = merged.iter().map(|(name, _, _)| name.as_str()).collect();
    let targets: Vec<&str> = merged
        .iter()
        .flat_map(|(_, stage, _)| stage.groups.iter().flatten())
        .map(|(target, _)| target.as_str())
        .collect();
    let mut drafts = Vec::new();
    for (name, stage, preset) in &merged {
        let known = Known { names: &names, targets: &targets, topology };
        if let Some(resolved) = one(inquiry, name, stage, written.get(name.as_str()), &known) {
            drafts.push(Draft { stage: resolved, raw: stage.clone(), preset: *preset });
        }
    }
    say_shared_targets(inquiry, &drafts);
    let literal_branches = say_shared_branches(inquiry, &drafts);
    let list = in_order(inquiry, drafts);
    let complete = list.len() == merged.len();
    if complete && !list.iter().any(|stage| matches!(stage.does, Does::Train { .. })) {
        inquiry.say_of_key(&route, "no stage trains, so there is nothing to promote", "give one of them `does: train`");
    }
    let (promoting, training): (Vec<_>, Vec<_>) =
        merged.iter().partition(|(_, stage, _)| stage.does == Some(RawDoes::Promote));
    let owned = |stages: Vec<&(String, RawStage, bool)>| stages.into_iter().map(|(name, _, _)| name.clone()).collect();
    let names = Names {
        promoting: owned(promoting),
        training: owned(training),
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
    };
    Stages { list, literal_branches, names }
}

struct Known<'a> {
    names: &'a [&'a str],
    targets: &'a [&'a str],
    topology: Topology,
}

fn one(
    inquiry: &mut Inquiry<'_>,
    text: &str,
    stage: &RawStage,
    written: Option<&RawStage>,
    known: &Known<'_>,
) -> Option<Stage> {
    let route = Route::of(&["stages", text]);
    let name = inquiry.name(&route, "stage", text, StageName::parse);
    let branches = branches(inquiry, &route, stage, known);
    let groups = groups(inquiry, &route, stage);
    let Some(does) = stage.does else {
        let hint = stage_hint(text, known);
        inquiry.say_missing(&route, "does", format!("the stage {} has no `does`", quoted(text)), hint);
        return None;
    };
    if let Some(written) = written {
        say_foreign_keys(inquiry, &route, text, does, written);
    }
    let does = match does {
        RawDoes::Train => Does::Train {
            reuse_from: references(inquiry, &route.key("reuse_from"), stage.reuse_from.as_deref(), text, known),
        },
        RawDoes::Promote => {
            let from = stage.promote_from.as_deref();
            if from.is_none_or(<[String]>::is_empty) {
                inquiry.say_missing(
                    &route,
                    "promote_from",
                    format!("the stage {} promotes, but does not say from where", quoted(text)),
                    "name the stages, as in `promote_from: [dev]`",
                );
            }
            Does::Promote { from: references(inquiry, &route.key("promote_from"), from, text, known) }
        }
    };
    let compare_with = stage.compare_with.as_deref().and_then(|target| compared(inquiry, &route, target, known));
    Some(Stage {
        name: name?,
        branches: branches?,
        does,
        groups,
        compare_with,
        on_newer_push: match stage.on_newer_push {
            Some(RawOnNewerPush::Stop) => OnNewerPush::Stop,
            Some(RawOnNewerPush::Keep) | None => OnNewerPush::Keep,
        },
    })
}

fn stage_hint(text: &str, known: &Known<'_>) -> String {
    let presets = topology::preset(known.topology);
    let presets: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
    let own = "a stage of your own needs `branches`, `does` (`train` or `promote`) and `groups`";
    match nearest(text, presets.iter().copied()).or(presets.iter().copied().find(|name| text.starts_with(name))) {
        Some(name) => format!("did you mean {}, a stage of the topology? {own}", quoted(name)),
        None => own.to_owned(),
    }
}

fn branches(inquiry: &mut Inquiry<'_>, route: &Route, stage: &RawStage, known: &Known<'_>) -> Option<BranchPatterns> {
    let text = route.last_key().unwrap_or_default();
    let at = route.key("branches");
    let Some(texts) = &stage.branches else {
        let message = format!("the stage {} has no `branches`", quoted(text));
        // Without `does` as well, the stage is not one of the topology's, and one problem says so.
        if stage.does.is_some() {
            inquiry.say_missing(route, "branches", message, stage_hint(text, known));
        }
        return None;
    };
    let mut sound = !inquiry.is_damaged(&at);
    for (index, pattern) in texts.iter().enumerate() {
        let item = at.item(index);
        if let Err(error) = BranchPatterns::parse(std::slice::from_ref(pattern)) {
            inquiry.say(
                &item,
                error.to_string(),
                "patterns have the meaning of GitHub's workflow filters; `\\` quotes a special character",
            );
            sound = false;
        } else if let Some(short) = pattern.strip_prefix("refs/heads/") {
            inquiry.say(
                &item,
                format!("{} is a full reference, not a branch", quoted(pattern)),
                format!("write {}", quoted(short)),
            );
            sound = false;
        } else if literal(pattern).is_some_and(|name| BranchName::parse(name).is_err()) {
            inquiry.say(
                &item,
                format!("{} cannot be the name of a branch", quoted(pattern)),
                "compare with `git branch --list`",
            );
            sound = false;
        } else if texts[..index].contains(pattern) {
            inquiry.say(&item, format!("{} is written twice", quoted(pattern)), "keep one of the two");
            sound = false;
        }
    }
    if sound && texts.iter().all(|pattern| pattern.starts_with('!')) {
        let message = format!("{} matches no branch", name(&at));
        inquiry.say(
            &at,
            message,
            "name a branch or a pattern, as in `[dev]`; `!` only excludes from what stands before it",
        );
        sound = false;
    }
    BranchPatterns::parse(texts).ok().filter(|_| sound)
}

/// Returns the branch that a pattern names, if it has no special character.
fn literal(pattern: &str) -> Option<&str> {
    (!pattern.contains(['*', '?', '+', '[', '\\', '!'])).then_some(pattern)
}

fn groups(inquiry: &mut Inquiry<'_>, route: &Route, stage: &RawStage) -> BTreeMap<TargetName, ApprovalRule> {
    let at = route.key("groups");
    let raw = stage.groups.clone().unwrap_or_default();
    if raw.is_empty() && stage.does.is_some() {
        let text = route.last_key().unwrap_or_default();
        inquiry.say_missing(
            route,
            "groups",
            format!("the stage {} feeds no group", quoted(text)),
            format!("name one, as in {}", quoted(&format!("groups: {{ {text}: {{ approval: manual }} }}"))),
        );
    }
    let mut groups = BTreeMap::new();
    for (text, group) in raw {
        let below = at.key(&text);
        if text == "none" {
            inquiry.say_of_key(
                &below,
                "`none` cannot be the name of a target: `compare_with: none` means no target",
                "choose another name",
            );
        } else if let Some(target) = inquiry.name(&below, "target", &text, TargetName::parse) {
            let approval = match group.approval {
                Some(RawApproval::Auto) => ApprovalRule::Auto,
                Some(RawApproval::Manual) | None => ApprovalRule::Manual,
            };
            groups.insert(target, approval);
        }
    }
    groups
}

/// Says which written keys belong to stages that do something else.
fn say_foreign_keys(inquiry: &mut Inquiry<'_>, route: &Route, text: &str, does: RawDoes, written: &RawStage) {
    let (verb, foreign): (&str, Vec<(&str, bool)>) = match does {
        RawDoes::Train => ("trains", vec![("promote_from", written.promote_from.is_some())]),
        RawDoes::Promote => (
            "promotes",
            vec![
                ("reuse_from", written.reuse_from.is_some()),
                ("compare_with", written.compare_with.is_some()),
                ("on_newer_push", written.on_newer_push.is_some()),
            ],
        ),
    };
    for (key, _) in foreign.into_iter().filter(|(_, written)| *written) {
        let hint = match (does, key) {
            (RawDoes::Train, _) => "take it away, or write `does: promote`",
            (RawDoes::Promote, "compare_with") => {
                "take it away: a promotion is compared with each group that it enters"
            }
            (RawDoes::Promote, _) => "take it away; it is for stages that train",
        };
        inquiry.say_of_key(
            &route.key(key),
            format!("{} has no meaning here: the stage {} {verb}", quoted(key), quoted(text)),
            hint,
        );
    }
}

/// Reads a list of stages.
fn references(
    inquiry: &mut Inquiry<'_>,
    at: &Route,
    texts: Option<&[String]>,
    own: &str,
    known: &Known<'_>,
) -> Vec<StageName> {
    let mut found: Vec<StageName> = Vec::new();
    for (index, text) in texts.unwrap_or_default().iter().enumerate() {
        let item = at.item(index);
        if text == own {
            inquiry.say(&item, format!("the stage {} names itself", quoted(own)), "name a lower stage");
        } else if !known.names.contains(&text.as_str()) {
            let message = format!("there is no stage {}", quoted(text));
            inquiry.say(&item, message, meant(text, "stages", known.names));
        } else if let Ok(stage) = StageName::parse(text) {
            if found.contains(&stage) {
                inquiry.say(&item, format!("{} is written twice", quoted(text)), "keep one of the two");
            } else {
                found.push(stage);
            }
        }
    }
    found
}

fn compared(inquiry: &mut Inquiry<'_>, route: &Route, text: &str, known: &Known<'_>) -> Option<TargetName> {
    if text == "none" {
        return None;
    }
    let at = route.key("compare_with");
    if known.targets.contains(&text) {
        return TargetName::parse(text).ok();
    }
    // The stage's own groups may have been left out because of a problem that was said.
    if !inquiry.is_damaged(&at) {
        let own = route.last_key().unwrap_or_default();
        let inherited = if inquiry.is_written(&at) {
            String::new()
        } else {
            format!(" (stage {} of the topology compares with it)", quoted(own))
        };
        inquiry.say(
            &at,
            format!("there is no target {}{inherited}", quoted(text)),
            meant(text, "targets", known.targets),
        );
    }
    None
}

/// Says which of the known words may be meant.
pub(in crate::config) fn meant<S: AsRef<str>>(text: &str, what: &str, known: &[S]) -> String {
    let known = || known.iter().map(AsRef::as_ref);
    match nearest(text, known()) {
        Some(word) => format!("did you mean {}?", quoted(word)),
        None => format!("known {what}: {}", all_of(known())),
    }
}

/// A target belongs to one stage only: else two stages would decide over one group.
fn say_shared_targets(inquiry: &mut Inquiry<'_>, drafts: &[Draft]) {
    let mut owners: BTreeMap<&TargetName, &StageName> = BTreeMap::new();
    for draft in drafts {
        for target in draft.stage.groups.keys() {
            let Some(other) = owners.insert(target, &draft.stage.name) else { continue };
            let route = |stage: &StageName| Route::stage(stage).key("groups").key(target.as_str());
            let mine = route(&draft.stage.name);
            let at = if inquiry.is_written(&mine) { mine } else { route(other) };
            inquiry.say_of_key(
                &at,
                format!(
                    "the stages {} and {} both feed the target {}",
                    quoted(other.as_str()),
                    quoted(draft.stage.name.as_str()),
                    quoted(target.as_str())
                ),
                "a target belongs to one stage: give the group of one of them another name",
            );
        }
    }
}

/// A branch or a pattern may be written for one stage only. Returns the branches that are written out.
fn say_shared_branches(inquiry: &mut Inquiry<'_>, drafts: &[Draft]) -> BTreeMap<BranchName, StageName> {
    let mut owners: BTreeMap<&str, &StageName> = BTreeMap::new();
    let mut literals = BTreeMap::new();
    for draft in drafts {
        let texts = draft.raw.branches.as_deref().unwrap_or_default();
        for (index, text) in texts.iter().enumerate().filter(|(_, text)| !text.starts_with('!')) {
            if let Some(branch) = literal(text).and_then(|text| BranchName::parse(text).ok()) {
                literals.entry(branch).or_insert_with(|| draft.stage.name.clone());
            }
            let Some(other) = owners.insert(text, &draft.stage.name).filter(|other| **other != draft.stage.name) else {
                continue;
            };
            let mine = Route::stage(&draft.stage.name).key("branches").item(index);
            let at = if inquiry.is_written(&mine) { mine } else { Route::stage(other).key("branches") };
            inquiry.say(
                &at,
                format!(
                    "{} already belongs to the stage {}",
                    quoted(text),
                    quoted(if at_is(&at, other) { draft.stage.name.as_str() } else { other.as_str() })
                ),
                "a branch belongs to one stage: take it out of one of them",
            );
        }
    }
    literals
}

fn at_is(route: &Route, stage: &StageName) -> bool {
    route.to_string().starts_with(&format!("stages.{stage}.branches")) && Route::stage(stage).key("branches") == *route
}

/// Orders stages low to high: whatever a stage takes from is below it, and else the written order holds, the
/// topology's stages first.
fn in_order(inquiry: &mut Inquiry<'_>, drafts: Vec<Draft>) -> Vec<Stage> {
    let position = |name: &StageName| drafts.iter().position(|draft| draft.stage.name == *name);
    let last_preset = drafts.iter().rposition(|draft| draft.preset);
    // For each stage, the ones that must be below it.
    let below: Vec<Vec<usize>> = drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| {
            let mut below: Vec<usize> = match &draft.stage.does {
                Does::Promote { from } => from.iter().filter_map(position).collect(),
                Does::Train { reuse_from } => reuse_from
                    .iter()
                    .filter_map(position)
                    // Between two stages of the topology its own order holds; see below.
                    .filter(|other| !(draft.preset && drafts[*other].preset))
                    .collect(),
            };
            if index > 0 && last_preset.is_some_and(|last| index <= last) {
                below.push(index - 1);
            }
            below
        })
        .collect();
    let mut order: Vec<usize> = Vec::new();
    while let Some(next) = (0..drafts.len()).find(|i| !order.contains(i) && below[*i].iter().all(|b| order.contains(b)))
    {
        order.push(next);
    }
    if order.len() < drafts.len() {
        say_circle(inquiry, &drafts, &below, &order);
        return drafts.into_iter().map(|draft| draft.stage).collect();
    }
    let rank = |name: &StageName| order.iter().position(|index| drafts[*index].stage.name == *name);
    for draft in &drafts {
        let Does::Train { reuse_from } = &draft.stage.does else { continue };
        for other in reuse_from {
            let at = Route::stage(&draft.stage.name).key("reuse_from");
            let trains = drafts.iter().any(|d| d.stage.name == *other && matches!(d.stage.does, Does::Train { .. }));
            if !trains {
                inquiry.say(
                    &at,
                    format!("the stage {} does not train, so there is nothing to reuse", quoted(other.as_str())),
                    "name stages with `does: train`",
                );
            } else if rank(other) > rank(&draft.stage.name) {
                inquiry.say(
                    &at,
                    format!(
                        "the stage {} is above {}, not below it",
                        quoted(other.as_str()),
                        quoted(draft.stage.name.as_str())
                    ),
                    "take it away: what a higher stage has trained is reused without asking",
                );
            }
        }
    }
    let mut stages: Vec<Option<Stage>> = drafts.into_iter().map(|draft| Some(draft.stage)).collect();
    order.into_iter().filter_map(|index| stages[index].take()).collect()
}

fn say_circle(inquiry: &mut Inquiry<'_>, drafts: &[Draft], below: &[Vec<usize>], order: &[usize]) {
    // Every stage that is left has one below it that is left, so walking down must come round.
    let mut path: Vec<usize> = Vec::new();
    let mut current = (0..drafts.len()).find(|index| !order.contains(index));
    while let Some(index) = current {
        if let Some(start) = path.iter().position(|seen| *seen == index) {
            path.drain(..start);
            path.push(index);
            break;
        }
        path.push(index);
        current = below[index].iter().copied().find(|b| !order.contains(b));
    }
    let names: Vec<&str> = path.iter().map(|index| drafts[*index].stage.name.as_str()).collect();
    let routes = path.iter().flat_map(|index| {
        let stage = Route::stage(&drafts[*index].stage.name);
        [stage.key("promote_from"), stage.key("reuse_from")]
    });
    let at = routes.into_iter().find(|route| inquiry.is_written(route)).unwrap_or_else(|| Route::of(&["stages"]));
    inquiry.say(
        &at,
        format!("the stages stand above each other in a circle: {}", quoted(&names.join(" > "))),
        "versions only go up: let each stage take from lower ones only",
    );
}
