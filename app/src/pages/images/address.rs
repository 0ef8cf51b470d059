//! The address of a filtered, ordered page of images.

use leptos_router::params::ParamsMap;

use crate::api::images::ImageFilter;
use crate::url;

/// The filter of an address.
pub(super) fn from_query(query: &ParamsMap) -> ImageFilter {
    let text = |name: &str| query.get_str(name).unwrap_or_default().to_owned();
    ImageFilter {
        search: text("q"),
        status: text("status"),
        instance: text("instance"),
        sort: text("sort"),
        page: text("page").parse().unwrap_or(1),
    }
}

/// The address of a filter.
pub(super) fn address(filter: &ImageFilter) -> String {
    let pairs = [
        ("q", &filter.search),
        ("status", &filter.status),
        ("instance", &filter.instance),
        ("sort", &filter.sort),
    ];
    let mut query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", url::encode(value)))
        .collect();
    if filter.page > 1 {
        query.push(format!("page={}", filter.page));
    }
    if query.is_empty() { "/images".to_owned() } else { format!("/images?{}", query.join("&")) }
}
