//! May this person give this command? The rules' answer, from the person's role, their name, and who made what is judged.
//!
//! Deliberately absent: how the role is found out (`ports::forge`). What only the cloud's own permissions can
//! enforce stands in `docs/security.md`: whoever may push a workflow may dispatch it.

use crate::config::Config;
use crate::config::resolved::Action as RuleAction;
use crate::config::resolved::Role;
use crate::event::Action;
use crate::model::approval::Approval;
use crate::model::approval::ApprovalRule;
use crate::plan::goal::Aim;
use crate::plan::goal::ModelRules;
use crate::plan::reason::Reason;

/// What is known of a person's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The host says that they have this role.
    Role(Role),
    /// The host says that they have none.
    NoRole,
    /// There is no host to ask: at a desk, and in another CI. Their name is not verified either.
    NotAsked,
}

/// Who asks, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker<'a> {
    /// Their login. `None`: nobody said.
    pub login: Option<&'a str>,
    /// Their role in the repository.
    pub standing: Standing,
    /// Who made what is judged: whoever caused its training run, and the authors of its commits and pull requests.
    pub authors: &'a [String],
}

/// What is asked for, as far as people's rules go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The rule whose role is required.
    pub rule: RuleAction,
    /// The word of the command.
    pub word: &'static str,
    /// Whether it decides which version is current: then `approvers` binds it.
    pub decides: bool,
    /// Whether it says that a version is good: then `not_author` binds it.
    pub judges: bool,
}

impl Request {
    /// What a command asks for that is about no version.
    pub fn of(action: Action) -> Self {
        Self { rule: rule_of(action), word: action.as_str(), decides: false, judges: false }
    }

    /// What a command asks for that is about one group. `None`: everybody may who may push.
    pub fn of_aim(rules: &ModelRules, aim: &Aim) -> Option<Self> {
        let request = |rule, word, decides, judges| Some(Self { rule, word, decides, judges });
        match aim {
            Aim::Approve { .. } => request(RuleAction::Approve, "approve", true, true),
            Aim::Reject { .. } => request(RuleAction::Reject, "reject", true, false),
            Aim::Rollback { .. } => request(RuleAction::Rollback, "rollback", true, false),
            Aim::Freeze { .. } => request(RuleAction::Freeze, "freeze", false, false),
            Aim::Unfreeze { .. } => request(RuleAction::Unfreeze, "unfreeze", false, false),
            // What enters pending is decided by its approval; what enters approved is decided here.
            Aim::PromoteByHand { to, .. } => {
                let rule = rules.stage_of_target(to).and_then(|stage| stage.groups.get(to));
                request(RuleAction::Promote, "promote", rule == Some(&ApprovalRule::Auto), true)
            }
            Aim::Import { version, .. } => {
                request(RuleAction::Promote, "import", version.approval == Approval::Approved, true)
            }
            // Where other stages promote from it, what enters is a training run's result, which a promotion decides over.
            Aim::RegisterElsewhere { target, .. } => {
                let stage = rules.stage_of_target(target);
                let enters_approved = stage.and_then(|stage| stage.groups.get(target)) == Some(&ApprovalRule::Auto);
                let is_last = stage.is_some_and(|stage| !rules.is_promoted_from(&stage.name));
                (enters_approved && is_last).then_some(Self {
                    rule: RuleAction::Promote,
                    word: "register",
                    decides: true,
                    judges: false,
                })
            }
            Aim::Train { .. } | Aim::Abandon { .. } | Aim::Promote { .. } => None,
        }
    }

    /// Tells whether the rules look at who asks, beyond the role that every command requires.
    pub fn is_guarded(&self, config: &Config) -> bool {
        (self.decides && !config.approvers.is_empty()) || (self.judges && config.not_author)
    }
}

/// Judges a command under the rules. `None`: the person may give it.
///
/// A login that nobody said passes only where no rule looks at it.
pub fn refuse(config: &Config, request: &Request, asker: &Asker<'_>) -> Option<Reason> {
    let no = |why: String| {
        let actor = asker.login.unwrap_or("a person whom nobody names").to_owned();
        Some(Reason::NotPermitted { actor, action: request.word.to_owned(), why })
    };
    let needed = config.permissions.get(&request.rule).copied().unwrap_or_else(|| request.rule.default_role());
    match asker.standing {
        Standing::Role(role) if role < needed => {
            return no(format!("has the role {}, and the rules ask for {}", role.as_str(), needed.as_str()));
        }
        Standing::NoRole => {
            return no(format!("has no role in this repository, and the rules ask for {}", needed.as_str()));
        }
        Standing::Role(_) | Standing::NotAsked => {}
    }
    if !request.is_guarded(config) {
        return None;
    }
    let Some(login) = asker.login else {
        return no("`approvers` and `not_author` look at who asks; name the person with --actor LOGIN".to_owned());
    };
    let is = |other: &String| other.eq_ignore_ascii_case(login);
    if request.decides && !config.approvers.is_empty() && !config.approvers.iter().any(is) {
        return no(format!("the rules name who may: {}", config.approvers.join(", ")));
    }
    if request.judges && config.not_author && asker.authors.iter().any(is) {
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

    const APPROVE: Request = Request { rule: RuleAction::Approve, word: "approve", decides: true, judges: true };
    const REJECT: Request = Request { rule: RuleAction::Reject, word: "reject", decides: true, judges: false };
    const ROLLBACK: Request = Request { rule: RuleAction::Rollback, word: "rollback", decides: true, judges: false };
    const PROMOTE: Request = Request { rule: RuleAction::Promote, word: "promote", decides: false, judges: true };

    fn config(rules: &str) -> Config {
        let text = format!(
            "version: 1\nproject: churn\nmodels:\n  churn:\n    paths: [train.py]\n    train: {{ command: python3 train.py, data: none }}\n{rules}"
        );
        let source = SourceText::new("branchline.yaml", text);
        crate::config::load(&source, &source).expect("a legal file")
    }

    fn answer(rules: &str, request: Request, login: &str, standing: Standing, authors: &[&str]) -> Option<String> {
        let authors: Vec<String> = authors.iter().map(ToString::to_string).collect();
        let login = Some(login).filter(|login| !login.is_empty());
        let asker = Asker { login, standing, authors: &authors };
        refuse(&config(rules), &request, &asker).map(|reason| reason.message())
    }

    fn role(role: Role) -> Standing {
        Standing::Role(role)
    }

    #[test]
    fn the_rules_ask_for_a_role() {
        let (freeze, run) = (Request::of(Action::Freeze), Request::of(Action::Run));
        assert_eq!(
            answer("permissions: { promote: admin }\n", PROMOTE, "ada", role(Role::Maintain), &[]).as_deref(),
            Some("ada may not promote: has the role maintain, and the rules ask for admin")
        );
        assert_eq!(answer("permissions: { promote: admin }\n", PROMOTE, "ada", role(Role::Admin), &[]), None);
        assert_eq!(
            answer("", freeze, "eve", Standing::NoRole, &[]).as_deref(),
            Some("eve may not freeze: has no role in this repository, and the rules ask for write")
        );
        assert_eq!(answer("", run, "ada", role(Role::Write), &[]), None);
        assert!(answer("", run, "ada", role(Role::Read), &[]).is_some());
    }

    #[test]
    fn approvers_bind_whatever_decides_which_version_is_current() {
        let promotes_to_auto = Request { decides: true, ..PROMOTE };
        for standing in [role(Role::Admin), Standing::NotAsked] {
            for request in [APPROVE, REJECT, ROLLBACK, promotes_to_auto] {
                let said = answer("approvers: [bob]\n", request, "ada", standing, &[]);
                assert!(said.is_some_and(|text| text.contains("the rules name who may: bob")), "{request:?}");
                assert_eq!(answer("approvers: [bob]\n", request, "Bob", standing, &[]), None, "{request:?}");
            }
            for request in [PROMOTE, Request::of(Action::Freeze), Request::of(Action::Reconcile)] {
                assert_eq!(answer("approvers: [bob]\n", request, "ada", standing, &[]), None, "{request:?}");
            }
        }
    }

    #[test]
    fn an_author_judges_nothing_of_their_own() {
        let (rules, admin) = ("not_author: true\n", role(Role::Admin));
        for request in [APPROVE, PROMOTE] {
            let said = answer(rules, request, "bob", admin, &["ada", "BOB"]);
            assert!(said.is_some_and(|text| text.contains("author")), "{request:?}");
            assert_eq!(answer(rules, request, "mia", admin, &["ada", "bob"]), None, "{request:?}");
        }
        for request in [REJECT, ROLLBACK, Request::of(Action::Freeze)] {
            assert_eq!(answer(rules, request, "ada", admin, &["ada"]), None, "{request:?}");
        }
    }

    #[test]
    fn whom_nobody_names_passes_only_where_no_rule_looks_at_the_name() {
        assert_eq!(answer("", APPROVE, "", Standing::NotAsked, &[]), None);
        for rules in ["approvers: [bob]\n", "not_author: true\n"] {
            let said = answer(rules, APPROVE, "", Standing::NotAsked, &[]).expect("a refusal");
            assert!(said.contains("--actor LOGIN"), "{said}");
        }
        assert!(answer("", APPROVE, "", Standing::NoRole, &[]).is_some());
    }
}
