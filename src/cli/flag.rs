//! What is typed after a flag, checked before anything is opened.

use crate::model::git::BranchName;
use crate::model::text::is_invisible;

/// Takes a login: foreign text that stands in histories for ever, so it is short and has nothing that hides.
pub fn actor(text: &str) -> Result<String, String> {
    let hides = |c: char| c.is_control() || is_invisible(c);
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(hides) {
        return Err("a login has 1 to 100 visible characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Takes the address of a page.
pub fn run_url(text: &str) -> Result<String, String> {
    let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = text.len() <= 2000 && text.chars().all(|c| c.is_ascii_graphic() && !"<>\"`\\^{|}".contains(c));
    if web.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || !plain {
        return Err("write an address that begins with http:// or https://, without spaces".to_owned());
    }
    Ok(text.to_owned())
}

/// Takes the name of a branch.
pub fn branch(text: &str) -> Result<BranchName, String> {
    BranchName::parse(text).map_err(|error| error.to_string())
}
