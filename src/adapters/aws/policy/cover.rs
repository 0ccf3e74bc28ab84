//! Many names as few patterns of a policy. A pattern stands for names of its own stage alone: where it would also match
//! one of another stage, that one is denied, and where even that is not possible, the names are listed. Pure.

use std::collections::BTreeMap;

/// How many names are listed one by one: a policy has room for 10,240 characters.
pub(super) const LISTED: usize = 5;

/// How many characters a pattern must have beside its `*`: a shorter one says too little.
const LEAST: usize = 4;

/// Patterns for names, and what they must not match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cover {
    pub(super) allow: Vec<String>,
    /// Names of others that `allow` matches.
    pub(super) deny: Vec<String>,
}

/// Covers names, and none of the others.
pub(super) fn cover(own: &[String], others: &[String]) -> Cover {
    let listed = Cover { allow: own.to_vec(), deny: Vec::new() };
    if own.len() <= LISTED {
        return listed;
    }
    let allow = patterns(own);
    let hit: Vec<String> = others.iter().filter(|name| matches_any(&allow, name)).cloned().collect();
    let deny = if hit.len() <= LISTED { hit } else { patterns(&hit) };
    if own.iter().any(|name| matches_any(&deny, name)) { listed } else { Cover { allow, deny } }
}

/// Writes names by few patterns, without a look at anybody else's.
pub(super) fn patterns(names: &[String]) -> Vec<String> {
    if names.len() <= LISTED {
        return names.to_vec();
    }
    // Names of one target end alike.
    let mut alike: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        alike.entry(name.rsplit('-').next().unwrap_or(name)).or_default().push(name);
    }
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for cluster in alike.into_values() {
        match pattern(&cluster).filter(|_| cluster.len() > 1) {
            Some(pattern) => found.push(pattern),
            None => rest.extend(cluster),
        }
    }
    match pattern(&rest).filter(|_| rest.len() > LISTED) {
        Some(pattern) => found.push(pattern),
        None => found.extend(rest.into_iter().map(str::to_owned)),
    }
    found
}

/// What the second parts begin with, for each first part.
pub(super) fn beginnings<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, &'a str> {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for (first, second) in pairs {
        let common = found.get(first).map_or(second, |known| {
            let same = known.char_indices().zip(second.chars()).find(|((_, a), b)| a != b);
            let length = same.map_or(known.len().min(second.len()), |((at, _), _)| at);
            known.get(..length).unwrap_or_default()
        });
        found.insert(first, common);
    }
    found
}

/// What names begin and end with, and `*` between.
fn pattern(names: &[&str]) -> Option<String> {
    let first = *names.first()?;
    let shortest = names.iter().map(|name| name.len()).min()?;
    let common = |same: &dyn Fn(&str, &str) -> usize| names.iter().map(|name| same(first, name)).min().unwrap_or(0);
    let ending = common(&|a, b| a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count());
    let beginning = common(&|a, b| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count());
    let beginning = beginning.min(shortest - ending);
    let (head, tail) = (first.get(..beginning)?, first.get(first.len() - ending..)?);
    (head.len() + tail.len() >= LEAST).then(|| format!("{head}*{tail}"))
}

fn matches_any(patterns: &[String], name: &str) -> bool {
    // The service writes names in lower case in the addresses of versions.
    let name = name.to_lowercase();
    patterns.iter().any(|pattern| overlap(&pattern.to_lowercase(), &name))
}

/// Tells whether some text matches both patterns, in which `*` stands for any text and `?` for one character.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // `row[j]`: whether what is left of `a` and `b[j..]` have a text in common. From the end to the beginning.
    let mut row: Vec<bool> = Vec::new();
    for i in (0..=a.len()).rev() {
        let mut next = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            let below = |j: usize| row.get(j).copied().unwrap_or(false);
            let beside = next.get(j + 1).copied().unwrap_or(false);
            let meets = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(b'*'), None) => below(j),
                (None, Some(b'*')) => beside,
                (Some(b'*'), Some(_)) | (Some(_), Some(b'*')) => below(j) || beside,
                (Some(x), Some(y)) => (x == y || *x == b'?' || *y == b'?') && below(j + 1),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if let Some(cell) = next.get_mut(j) {
                *cell = meets;
            }
        }
        row = next;
    }
    row.first().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(target: &str, count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("risk-model{number}-{target}")).collect()
    }

    #[test]
    fn few_names_are_listed_and_many_are_one_pattern() {
        assert_eq!(cover(&names("dev", 5), &names("prod", 5)).allow, names("dev", 5));
        let many = cover(&names("dev", 100), &names("prod", 100));
        assert_eq!(many, Cover { allow: vec!["risk-model*-dev".to_owned()], deny: Vec::new() });
    }

    #[test]
    fn what_a_pattern_matches_of_others_is_denied_or_nothing_is_a_pattern() {
        let own_dev = cover(&names("dev", 9), &names("own-dev", 9));
        assert_eq!(own_dev.allow, ["risk-model*-dev"]);
        assert_eq!(own_dev.deny, ["risk-model*-own-dev"]);
        // A model whose name ends as another stage is called leaves no pattern.
        let mut own = names("dev", 9);
        own.push("risk-model77-own-dev".to_owned());
        assert_eq!(cover(&own, &names("own-dev", 9)), Cover { allow: own, deny: Vec::new() });
        // A version's address is in lower case.
        let shouting: Vec<String> = names("dev", 6).iter().map(|name| name.to_uppercase()).collect();
        assert_eq!(cover(&names("dev", 6), &shouting).allow, names("dev", 6));
    }

    #[test]
    fn names_of_ones_own_choice_are_listed_unless_they_are_alike() {
        let mut own = names("prod", 20);
        own.extend(["ChurnModelGroup".to_owned(), "FraudModelGroup".to_owned()]);
        assert_eq!(cover(&own, &[]).allow, ["risk-model*-prod", "ChurnModelGroup", "FraudModelGroup"]);
        let chosen: Vec<String> = (10..20).map(|number| format!("Model{number}Group")).collect();
        assert_eq!(cover(&chosen, &[]).allow, ["Model1*Group"]);
        let strange: Vec<String> = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec();
        assert_eq!(cover(&strange, &[]).allow, strange);
    }

    #[test]
    fn patterns_overlap_where_a_text_matches_both() {
        for (a, b, expected) in [
            ("risk-*-dev", "risk-x-dev", true),
            ("risk-*-dev", "risk-dev", false),
            ("release/*", "release/*", true),
            ("v*", "*", true),
            ("main", "*", true),
            ("feature-*", "release-*", false),
            ("*-dev", "risk-*", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "*", true),
            ("", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
        ] {
            assert_eq!(overlap(a, b), expected, "{a} {b}");
            assert_eq!(overlap(b, a), expected, "{b} {a}");
        }
    }
}
