//! May this person do this by hand? The rules' answer, from the person's role and who made what is judged.
//!
//! Deliberately absent: how the role is found out (`ports::forge`). What only the cloud's own permissions can
//! enforce stands in `docs/security.md`: whoever may push a workflow may dispatch it.

use crate::config::Config;
use crate::config::resolved::Action as RuleAction;
use crate::config::resolved::Role;
use crate::event::Action;
use crate::plan::reason::Reason;

/// Who asks, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker<'a> {
    /// Their login. `None`: the host did not say.
    pub login: Option<&'a str>,
    /// Their role in the repository. `None`: they have none.
    pub role: Option<Role>,
    /// Who made what is judged: the author of the training run, and of the pull request.
    pub authors: &'a [String],
}

/// Judges a command by hand under the rules. `None`: it may go on.
pub fn refuse(config: &Config, action: Action, asker: &Asker<'_>) -> Option<Reason> {
    let rule = rule_of(action);
    let no = |why: String| {
        let actor = asker.login.unwrap_or("somebody whom the host does not name").to_owned();
        Some(Reason::NotPermitted { actor, action: action.as_str().to_owned(), why })
    };
    let needed = config.permissions.get(&rule).copied().unwrap_or_else(|| rule.default_role());
    if asker.role.is_none_or(|role| role < needed) {
        let has = asker.role.map_or("has no role in this repository", Role::as_str);
        let has = if asker.role.is_some() { format!("has the role {has}") } else { has.to_owned() };
        return no(format!("{has}, and the rules ask for {}", needed.as_str()));
    }
    if !matches!(rule, RuleAction::Approve | RuleAction::Promote) {
        return None;
    }
    let Some(login) = asker.login else { return no("the rules look at who asks".to_owned()) };
    let is = |other: &String| other.eq_ignore_ascii_case(login);
    if rule == RuleAction::Approve && !config.approvers.is_empty() && !config.approvers.iter().any(is) {
        return no(format!("the rules name who may: {}", config.approvers.join(", ")));
    }
    if config.not_author && asker.authors.iter().any(is) {
        return no("the rules ask for somebody else than its author".to_owned());
    }
    None
}

/// The rule that judges an action: `run` is what a push would do.
fn rule_of(action: Action) -> RuleAction {
    match action {
        Action::Run | Action::Train => RuleAction::Train,
        Action::Promote => RuleAction::Promote,
        Action::Approve => RuleAction::Approve,
        Action::Reject => RuleAction::Reject,
        Action::Rollback => RuleAction::Rollback,
        Action::Freeze => RuleAction::Freeze,
        Action::Unfreeze => RuleAction::Unfreeze,
        Action::Repin => RuleAction::Repin,
        Action::Reconcile => RuleAction::Reconcile,
        Action::Prune => RuleAction::Prune,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceText;

    fn config(rules: &str) -> Config {
        let text = format!(
            "version: 1\nproject: churn\nmodels:\n  churn:\n    paths: [train.py]\n    train: {{ command: python3 train.py, data: none }}\n{rules}"
        );
        let source = SourceText::new("branchline.yaml", text);
        crate::config::load(&source, &source).expect("a legal file")
    }

    fn answer(rules: &str, action: Action, login: &str, role: Option<Role>, authors: &[&str]) -> Option<String> {
        let authors: Vec<String> = authors.iter().map(ToString::to_string).collect();
        let asker = Asker { login: Some(login), role, authors: &authors };
        refuse(&config(rules), action, &asker).map(|reason| reason.message())
    }

    #[test]
    fn the_rules_ask_for_a_role() {
        assert_eq!(
            answer("permissions: { promote: admin }\n", Action::Promote, "ada", Some(Role::Maintain), &[]).as_deref(),
            Some("ada may not promote: has the role maintain, and the rules ask for admin")
        );
        assert_eq!(answer("permissions: { promote: admin }\n", Action::Promote, "ada", Some(Role::Admin), &[]), None);
        assert_eq!(
            answer("", Action::Freeze, "eve", None, &[]).as_deref(),
            Some("eve may not freeze: has no role in this repository, and the rules ask for write")
        );
        assert_eq!(answer("", Action::Run, "ada", Some(Role::Write), &[]), None);
        assert!(answer("", Action::Run, "ada", Some(Role::Read), &[]).is_some());
    }

    #[test]
    fn approvers_and_authors_are_looked_at_for_what_moves_a_version() {
        let rules = "approvers: [bob]\nnot_author: true\n";
        let admin = Some(Role::Admin);
        assert!(answer(rules, Action::Approve, "ada", admin, &[]).is_some_and(|text| text.contains("bob")));
        assert_eq!(answer(rules, Action::Approve, "Bob", admin, &["ada"]), None);
        assert!(answer(rules, Action::Approve, "bob", admin, &["BOB"]).is_some_and(|text| text.contains("author")));
        assert!(answer(rules, Action::Promote, "ada", admin, &["ada"]).is_some());
        assert_eq!(answer(rules, Action::Freeze, "ada", admin, &["ada"]), None);
    }
}
