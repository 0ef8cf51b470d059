//! What one chooses for an instance to be, as far as the place has it: version, volume, name in DNS.

use leptos::prelude::*;
use model::Place;

use super::field::{ActionError, SelectField, TextField};

/// The version. The first is chosen unless something was typed before.
#[component]
pub fn VersionField(
    /// Major version and the full one, as the place knows them.
    versions: Vec<(i32, String)>,
    /// What stands in it at first.
    #[prop(into)]
    value: String,
    /// The form's refusal.
    #[prop(into)]
    error: ActionError,
    /// What it means, under it.
    #[prop(optional, into)]
    hint: Option<String>,
) -> impl IntoView {
    let options: Vec<(String, String)> = versions
        .into_iter()
        .map(|(major, version)| (major.to_string(), format!("PostgreSQL {version}")))
        .collect();
    let hint = hint.unwrap_or_default();
    view! { <SelectField name="major" label="Version" error options value hint/> }
}

/// The volume and the name in DNS; nothing on one machine, where all share a disk and an address.
#[component]
pub fn ClusterFields(
    /// Where the instance will live.
    place: Place,
    /// The size that stands there at first, in GiB.
    #[prop(into)]
    volume_gib: String,
    /// What the size is made from.
    #[prop(into)]
    volume_hint: String,
    /// The DNS label that stands there at first.
    #[prop(optional, into)]
    dns_label: Option<String>,
    /// The form's refusal.
    #[prop(into)]
    error: ActionError,
) -> impl IntoView {
    place.is_kubernetes().then(|| {
        view! {
            <TextField name="volume_gib" label="Volume in GiB" error value=volume_gib mono=true hint=volume_hint/>
            <TextField
                name="dns_label"
                label="DNS label"
                error
                value=dns_label.unwrap_or_default()
                mono=true
                hint="Left empty, the instance is reached from inside the cluster only. A label makes a public load balancer with that name: the internet can reach it."
            />
        }
    })
}
