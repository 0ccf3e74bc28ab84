//! Amazon's regions, as far as this release knows them: what a misspelled one may mean.
//!
//! Not the judge of what exists: Amazon opens regions faster than anybody updates a program, and one that is missing
//! here works like any other.

/// The regions of all partitions, as of 2026. Source: `partitions.json` of Amazon's SDKs.
const KNOWN: &[&str] = &[
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ap-south-1",
    "ap-south-2",
    "ap-east-1",
    "ap-east-2",
    "ca-central-1",
    "ca-west-1",
    "sa-east-1",
    "sa-west-1",
    "mx-central-1",
    "af-south-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "me-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "eu-isoe-west-1",
    "eusc-de-east-1",
];

/// Returns the address that the pages of Amazon's console begin with, for a region of any partition.
pub fn console(region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "console.amazonaws.cn"
    } else if region.starts_with("us-gov-") {
        "console.amazonaws-us-gov.com"
    } else {
        "console.aws.amazon.com"
    };
    format!("https://{region}.{domain}")
}

/// The directions that regions are named after.
const DIRECTIONS: &[&str] =
    &["north", "south", "east", "west", "central", "northeast", "northwest", "southeast", "southwest"];

/// How many letters of a misspelled name may be wrong.
const WRONG_LETTERS: usize = 2;

/// Longest name that is compared, in characters.
const LONGEST: usize = 40;

/// Tells whether this release knows a region.
pub fn is_known(region: &str) -> bool {
    KNOWN.contains(&region)
}

/// Returns the known regions that a text may mean: the nearest ones, at most three. Empty: none is near.
pub fn meant(text: &str) -> Vec<&'static str> {
    if text.chars().count() > LONGEST {
        return Vec::new();
    }
    let text = text.to_lowercase().replace(['_', ' '], "-");
    let distances = KNOWN.iter().map(|known| (strsim::damerau_levenshtein(&text, known), *known));
    let near: Vec<(usize, &str)> = distances.filter(|(distance, _)| *distance <= WRONG_LETTERS).collect();
    let least = near.iter().map(|(distance, _)| *distance).min();
    near.iter().filter(|(distance, _)| Some(*distance) == least).map(|(_, known)| *known).take(3).collect()
}

/// Writes regions one may mean: `a, b or c`.
pub fn listed(regions: &[&str]) -> String {
    match regions.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Tells whether a region is named after a direction that there is not, and that one letter or two would make one:
/// `eu-wets-1`. Another word, as in `eu-alpine-1`, is Amazon's to choose.
pub fn misspells_direction(region: &str) -> bool {
    let Some(word) = region.rsplit('-').nth(1).filter(|word| word.len() >= 4 && word.len() <= LONGEST) else {
        return false;
    };
    !DIRECTIONS.contains(&word)
        && DIRECTIONS.iter().any(|known| {
            let allowed = if known.len() > 4 { WRONG_LETTERS } else { 1 };
            strsim::damerau_levenshtein(word, known) <= allowed
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_region_means_the_nearest() {
        for (text, regions) in [
            ("eu-wets-1", &["eu-west-1"][..]),
            ("EU-WEST-1", &["eu-west-1"]),
            ("eu_central_1", &["eu-central-1"]),
            ("eu-west-1a", &["eu-west-1"]),
            ("eu-west-4", &["eu-west-1", "eu-west-2", "eu-west-3"]),
            ("ue-west-1", &["us-west-1", "eu-west-1", "me-west-1"]),
            ("frankfurt", &[]),
            ("", &[]),
        ] {
            assert_eq!(meant(text), regions, "{text}");
        }
    }

    #[test]
    fn a_new_word_is_no_misspelling() {
        for text in ["eu-wets-1", "eu-weast-1", "eu-centrel-1", "ap-sotheast-2", "us-gov-esat-1", "eu-nort-1"] {
            assert!(misspells_direction(text), "{text}");
        }
        for text in KNOWN.iter().chain(&["eu-alpine-1", "ap-mars-1", "us-gov-1", "xx-southwest-12", "eu-asia-1", "x"]) {
            assert!(!misspells_direction(text), "{text}");
        }
    }
}
