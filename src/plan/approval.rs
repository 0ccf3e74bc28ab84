//! Does a pull request have the approving review that the rules require?
//!
//! The latest word of each person counts. A comment takes nothing back; a request for changes, a dismissal and an approval
//! of an older commit do. Nobody approves their own. Deliberately absent: how reviews and roles are read (`ports::forge`).

use std::collections::BTreeMap;

/// What a person said in one review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// Their login.
    pub reviewer: &'a str,
    /// Whether it approves the newest commit. `None`: it says neither yes nor no.
    pub verdict: Option<bool>,
}

/// Returns whose latest word approves, in the order of their logins. `authors`: who made the pull request.
pub fn approving<'a>(reviews: impl IntoIterator<Item = Said<'a>>, authors: &[String]) -> Vec<&'a str> {
    let mut latest: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for Said { reviewer, verdict } in reviews {
        if let Some(approves) = verdict {
            latest.insert(reviewer.to_ascii_lowercase(), (reviewer, approves));
        }
    }
    let is_author = |login: &str| authors.iter().any(|author| author.eq_ignore_ascii_case(login));
    latest.into_values().filter(|(login, approves)| *approves && !is_author(login)).map(|(login, _)| login).collect()
}

/// Refuses a draft: whoever approved it approved something unfinished.
pub fn of_draft(pull_request: u64, draft: bool) -> Result<(), String> {
    if draft { Err(format!("pull request #{pull_request} is a draft")) } else { Ok(()) }
}

/// Says that nobody's approval counts. `without_role`: who approved, and may not write to the repository.
pub fn nobody(pull_request: u64, head: &str, without_role: &[&str]) -> String {
    let but = match without_role {
        [] => String::new(),
        logins => format!(" ({} approved, without write permission)", logins.join(", ")),
    };
    format!("nobody but its author approved pull request #{pull_request} at its head {head}{but}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>(reviews: &[(&'a str, Option<bool>)]) -> Vec<&'a str> {
        let reviews = reviews.iter().map(|(reviewer, verdict)| Said { reviewer, verdict: *verdict });
        approving(reviews, &["ana".to_owned()])
    }

    #[test]
    fn the_latest_word_of_each_person_counts() {
        assert!(said(&[]).is_empty());
        assert_eq!(said(&[("bob", Some(true))]), ["bob"]);
        assert!(said(&[("bob", Some(true)), ("Bob", Some(false))]).is_empty());
        assert_eq!(said(&[("bob", Some(false)), ("bob", Some(true))]), ["bob"]);
        assert_eq!(said(&[("bob", Some(true)), ("bob", None), ("carl", Some(false))]), ["bob"]);
    }

    #[test]
    fn nobody_approves_their_own() {
        assert!(said(&[("ANA", Some(true))]).is_empty());
        assert_eq!(said(&[("ana", Some(true)), ("carl", Some(true))]), ["carl"]);
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        assert_eq!(
            nobody(7, "1a2b3c4", &["eve"]),
            "nobody but its author approved pull request #7 at its head 1a2b3c4 (eve approved, without write permission)"
        );
        assert_eq!(of_draft(7, true), Err("pull request #7 is a draft".to_owned()));
        assert_eq!(of_draft(7, false), Ok(()));
    }
}
