//! The address of a wizard step, which holds the settings of the new instance.

use leptos_router::params::ParamsMap;

use crate::api::restore::TargetRequest;
use crate::url;

/// The settings in an address.
pub(super) fn from_query(query: &ParamsMap) -> TargetRequest {
    let text = |name| query.get(name).unwrap_or_default().trim().to_owned();
    TargetRequest {
        name: text("name"),
        major: text("major"),
        volume_gib: text("volume_gib"),
        dns_label: text("dns_label"),
        change: query.get("change").is_some(),
    }
}

/// The query that opens the form with these settings.
pub(super) fn edit_query(request: &TargetRequest) -> String {
    let pairs = [
        ("name", &request.name),
        ("major", &request.major),
        ("volume_gib", &request.volume_gib),
        ("dns_label", &request.dns_label),
    ];
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let settings: String = pairs.map(|(name, value)| format!("&{name}={}", url::encode(value))).collect();
    format!("change=1{settings}")
}
