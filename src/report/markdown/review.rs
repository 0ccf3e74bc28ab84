//! What the pull request's review pins, and what is newer and not in it.

use crate::outcome::ModelOutcome;
use crate::plan::reason::Reason;
use crate::report::escape::code_span;
use crate::report::markdown::Context;
use crate::report::markdown::words::known_name;
use crate::report::markdown::words::pull_request;
use crate::report::markdown::words::short_digest;
use crate::report::markdown::words::version_name;

/// Says which version is pinned, and what merging does with it.
pub(super) fn review(model: &ModelOutcome, context: &Context) -> Option<String> {
    let record = context.review.as_ref()?;
    let pinned = record.of(&model.model)?;
    let name = version_name(model, &pinned.version);
    let digests: Vec<String> = pinned.digests.iter().map(|digest| code_span(&short_digest(digest))).collect();
    let digests = if digests.is_empty() { String::new() } else { format!(", {}", digests.join(", ")) };
    let mut text = format!(
        "**Review** of {}: {name} is pinned{digests}. Merging promotes exactly that, or says what moved.",
        pull_request(context, record.pull_request)
    );
    let told = model.reasons.iter().any(|reason| matches!(reason, Reason::NewerThanReview { .. }));
    let shown = model.candidate.as_ref().and_then(|candidate| candidate.version.as_ref());
    let newer = shown
        .filter(|known| known.version.group == pinned.version.group && known.version.number > pinned.version.number);
    if let (Some(newer), false) = (newer, told) {
        text.push_str(&format!(
            "\n\nNewer, not in this review: {}. **Next:** to take it, run the workflow manually with the action `repin` \
             before merging.",
            known_name(model, newer)
        ));
    }
    Some(text)
}
