//! What the rules demand of every training in the cloud.

use crate::config::cloud::names;
use crate::config::cloud::names::shaped_list;
use crate::config::raw::RawLimits;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::model::cloud::CloudLimits;

/// Resolves the keys of `limits` that only matter in the cloud.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, raw: Option<&RawLimits>) -> CloudLimits {
    let Some(raw) = raw else { return CloudLimits::default() };
    let at = Route::of(&["limits"]);
    let types = at.key("instance_types");
    if raw.instance_types.as_ref().is_some_and(Vec::is_empty) && !inquiry.is_damaged(&types) {
        let message = format!("{} allows no machine type, so nothing could be trained", name(&types));
        inquiry.say(&types, message, "name types or patterns, as in `[\"ml.m5.*\"]`, or take the line away");
    }
    let listed = shaped_list(inquiry, &types, raw.instance_types.as_deref(), names::machines);
    let tags = shaped_list(inquiry, &at.key("required_tags"), raw.required_tags.as_deref(), names::tag_key);
    CloudLimits {
        instance_types: listed.unwrap_or_default(),
        max_instances: raw.max_instances,
        max_hours: raw.max_hours.map(u64::from),
        required_tags: tags.unwrap_or_default(),
        require_vpc: raw.require_vpc.unwrap_or(false),
        require_kms: raw.require_kms.unwrap_or(false),
    }
}
