//! What a push to a branch would come to under the rules: the answer to `check --explain-branch`.

use crate::model::approval::ApprovalRule;
use crate::model::git::BranchName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::stage::BranchPatterns;
use crate::model::stage::Does;
use crate::model::stage::OnNewerPush;
use crate::model::stage::Stage;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::lines;
use crate::report::terminal::plain;
use crate::report::terminal::table;
use serde::Serialize;

/// The answer; also what `--format json` prints.
#[derive(Debug, Serialize)]
pub struct BranchJson {
    schema: u32,
    branch: BranchName,
    stage: Option<StageName>,
    pattern: Option<String>,
    does: Option<String>,
    groups: Vec<FedJson>,
    compare_with: Option<TargetName>,
    compared: Vec<String>,
    on_newer_push: Option<&'static str>,
    also_matched_by: Vec<StageName>,
    excluded_by: Vec<ExcludedJson>,
    nearest: Vec<NearJson>,
    stages: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FedJson {
    model: String,
    group: String,
    target: TargetName,
    approval: &'static str,
}

#[derive(Debug, Serialize)]
struct ExcludedJson {
    stage: StageName,
    pattern: String,
}

#[derive(Debug, Serialize)]
struct NearJson {
    stage: StageName,
    pattern: String,
}

impl BranchJson {
    /// Answers from the stages and the one that the rules chose. `groups` are model, target and name of every
    /// group.
    pub fn of(
        branch: &BranchName,
        stages: &[Stage],
        chosen: Option<&Stage>,
        groups: &[(String, TargetName, String)],
    ) -> Self {
        let fed = |stage: &Stage| {
            groups
                .iter()
                .filter_map(|(model, target, group)| {
                    let approval = match stage.groups.get(target)? {
                        ApprovalRule::Auto => "auto",
                        ApprovalRule::Manual => "manual",
                    };
                    Some(FedJson { model: model.clone(), group: group.clone(), target: target.clone(), approval })
                })
                .collect()
        };
        let compared = |target: &TargetName| {
            groups.iter().filter(|(_, other, _)| other == target).map(|(_, _, group)| group.clone()).collect()
        };
        let compare_with = chosen.and_then(|stage| stage.compare_with.clone());
        let others = stages.iter().filter(|stage| Some(&stage.name) != chosen.map(|chosen| &chosen.name));
        let mut answer = Self {
            schema: JSON_SCHEMA,
            branch: branch.clone(),
            stage: chosen.map(|stage| stage.name.clone()),
            pattern: chosen.and_then(|stage| deciding(&stage.branches, branch)),
            does: chosen.map(does),
            groups: chosen.map(fed).unwrap_or_default(),
            compared: compare_with.as_ref().map(compared).unwrap_or_default(),
            compare_with,
            on_newer_push: chosen.and_then(|stage| match (&stage.does, stage.on_newer_push) {
                (Does::Promote { .. }, _) => None,
                (Does::Train { .. }, OnNewerPush::Stop) => Some("stop"),
                (Does::Train { .. }, OnNewerPush::Keep) => Some("keep"),
            }),
            also_matched_by: others.filter(|s| s.branches.matches(branch)).map(|s| s.name.clone()).collect(),
            excluded_by: stages
                .iter()
                .filter(|stage| !stage.branches.matches(branch))
                .filter_map(|stage| {
                    Some(ExcludedJson { stage: stage.name.clone(), pattern: excluding(&stage.branches, branch)? })
                })
                .collect(),
            nearest: Vec::new(),
            stages: stages.iter().map(|stage| format!("{} ({})", stage.name, stage.branches)).collect(),
        };
        // Who was taken out on purpose did not misspell anything.
        if chosen.is_none() && answer.excluded_by.is_empty() {
            answer.nearest = nearest(stages, branch);
        }
        answer
    }

    /// Renders it for people.
    pub fn text(&self) -> String {
        let branch = plain(self.branch.as_str());
        let (Some(stage), Some(does)) = (&self.stage, &self.does) else {
            let mut text = format!("no stage has the branch {branch}: a push to it is skipped\n");
            for excluded in &self.excluded_by {
                text.push_str(&format!("  {} takes it out again by `{}`\n", excluded.stage, plain(&excluded.pattern)));
            }
            let near: Vec<String> =
                self.nearest.iter().map(|near| format!("`{}` ({})", plain(&near.pattern), near.stage)).collect();
            if !near.is_empty() {
                text.push_str(&format!("  nearest patterns: {}\n", near.join(", ")));
            }
            text.push_str(&format!("  the stages are: {}\n", plain(&self.stages.join(", "))));
            return text;
        };
        let pattern = self.pattern.as_ref().map_or_else(String::new, |pattern| format!(" by `{}`", plain(pattern)));
        let mut text = format!("{branch} reaches the stage {stage}{pattern}\na push to it {does}\n");
        let mut table = table();
        for fed in &self.groups {
            let approval = match fed.approval {
                "auto" => "approved by the rule as it enters",
                _ => "awaits the approval of a person",
            };
            table.add_row(vec![String::new(), fed.group.clone(), fed.model.clone(), approval.to_owned()]);
        }
        text.push_str(&lines(&table));
        match &self.compare_with {
            Some(target) => text.push_str(&format!(
                "relative gates compare with the current version of {target}: {}\n",
                self.compared.join(", ")
            )),
            None if self.on_newer_push.is_none() => {
                text.push_str("relative gates compare with the current version of each group that it enters\n");
            }
            None => text.push_str("relative gates compare with nothing\n"),
        }
        match self.on_newer_push {
            Some("stop") => text.push_str("a newer push to the branch stops its older open training\n"),
            Some(_) => text.push_str("a newer push to the branch lets its older open training finish\n"),
            None => {}
        }
        for other in &self.also_matched_by {
            text.push_str(&format!(
                "{other} would match it too: a name written out goes first, then the lowest stage\n"
            ));
        }
        text
    }
}

fn does(stage: &Stage) -> String {
    match &stage.does {
        Does::Train { reuse_from } if reuse_from.is_empty() => "trains, unless the same was trained before".to_owned(),
        Does::Train { reuse_from } => {
            let names: Vec<&str> = reuse_from.iter().map(StageName::as_str).collect();
            format!("trains, unless the same was trained before, here or in {}", names.join(", "))
        }
        Does::Promote { from } => {
            let names: Vec<&str> = from.iter().map(StageName::as_str).collect();
            format!("promotes the version of its content from {}; it never trains", names.join(", then "))
        }
    }
}

fn alone(pattern: &str, branch: &BranchName) -> bool {
    BranchPatterns::parse(&[pattern.to_owned()]).is_ok_and(|patterns| patterns.matches(branch))
}

/// The last pattern that takes the branch in.
fn deciding(patterns: &BranchPatterns, branch: &BranchName) -> Option<String> {
    Vec::<String>::from(patterns.clone()).into_iter().rev().find(|pattern| alone(pattern, branch))
}

/// The last pattern that takes the branch out again.
fn excluding(patterns: &BranchPatterns, branch: &BranchName) -> Option<String> {
    let texts = Vec::<String>::from(patterns.clone());
    texts.into_iter().rev().find(|text| text.strip_prefix('!').is_some_and(|body| alone(body, branch)))
}

/// Patterns whose fixed beginning resembles that of the branch, best first.
fn nearest(stages: &[Stage], branch: &BranchName) -> Vec<NearJson> {
    let name: String = branch.as_str().chars().take(60).collect::<String>().to_lowercase();
    let mut scored: Vec<(f64, NearJson)> = Vec::new();
    for stage in stages {
        for pattern in Vec::<String>::from(stage.branches.clone()) {
            if pattern.starts_with('!') {
                continue;
            }
            let fixed: String = pattern.split(['*', '?', '+', '[', '\\']).next().unwrap_or_default().to_lowercase();
            let open = fixed.len() < pattern.len();
            // Of an open pattern, only as much of the name as the pattern fixes can be compared, give or take one.
            let length = fixed.chars().count();
            let lengths = if open { length.saturating_sub(1)..=length + 1 } else { usize::MAX..=usize::MAX };
            let score = lengths
                .map(|length| name.chars().take(length).collect::<String>())
                .map(|begin| strsim::normalized_damerau_levenshtein(&begin, &fixed))
                .fold(0.0, f64::max);
            if score >= 0.6 && !fixed.is_empty() {
                scored.push((score, NearJson { stage: stage.name.clone(), pattern }));
            }
        }
    }
    scored.sort_by(|one, two| two.0.total_cmp(&one.0));
    scored.into_iter().take(3).map(|(_, near)| near).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn stage(name: &str, patterns: &[&str], does: Does) -> Stage {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        Stage {
            name: StageName::parse(name).expect("name"),
            branches: BranchPatterns::parse(&patterns).expect("patterns"),
            does,
            groups: BTreeMap::from([(TargetName::parse(name).expect("name"), ApprovalRule::Manual)]),
            compare_with: None,
            on_newer_push: OnNewerPush::Keep,
        }
    }

    fn answer(branch: &str) -> BranchJson {
        let train = || Does::Train { reuse_from: Vec::new() };
        let stages = [
            stage("feature", &["feature-*", "feature/**", "!feature/old-*"], train()),
            stage("dev", &["dev", "feature/long"], train()),
        ];
        let branch = BranchName::parse(branch).expect("name");
        let chosen = stages.iter().find(|stage| stage.branches.matches(&branch));
        BranchJson::of(&branch, &stages, chosen, &[])
    }

    #[test]
    fn the_deciding_pattern_is_named() {
        assert_eq!(answer("feature/a/b").pattern.as_deref(), Some("feature/**"));
        let both = answer("feature/long");
        assert_eq!(both.also_matched_by.len(), 1);
        assert!(both.text().contains("dev would match it too"), "{}", both.text());
    }

    #[test]
    fn a_branch_of_no_stage_hears_why() {
        assert_eq!(
            answer("feature/old-1").text(),
            "no stage has the branch feature/old-1: a push to it is skipped\n  \
             feature takes it out again by `!feature/old-*`\n  \
             the stages are: feature (feature-*, feature/**, !feature/old-*), dev (dev, feature/long)\n"
        );
        let near = |branch: &str| answer(branch).nearest.into_iter().map(|n| n.pattern).collect::<Vec<_>>();
        assert_eq!(near("featrue-x"), ["feature-*", "feature/**"]);
        assert_eq!(near("deb"), ["dev"]);
        assert!(near("zzz\";echo${IFS}\"x\";#").is_empty());
    }
}
