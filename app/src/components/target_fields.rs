//! Form fields for the settings of a new instance: version, volume size, DNS label.

use leptos::prelude::*;
use model::PlatformInfo;

use super::field::{ActionError, SelectField, TextField};

/// The PostgreSQL version.
#[component]
pub fn VersionField(
    /// The major and the full version of each installation.
    versions: Vec<(i32, String)>,
    /// The initial value.
    #[prop(into)]
    value: String,
    /// The form's error.
    #[prop(into)]
    error: ActionError,
    /// The hint below the field.
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

/// The volume size and the DNS label. Renders nothing on the local platform, where all instances share a disk and an address.
#[component]
pub fn ClusterFields(
    /// The platform of the instance.
    place: PlatformInfo,
    /// The initial size, in GiB.
    #[prop(into)]
    volume_gib: String,
    /// The hint below the size.
    #[prop(into)]
    volume_hint: String,
    /// The initial DNS label.
    #[prop(optional, into)]
    dns_label: Option<String>,
    /// The form's error.
    #[prop(into)]
    error: ActionError,
) -> impl IntoView {
    place.is_kubernetes().then(|| {
        view! {
            <TextField name="volume_gib" label="Volume size (GiB)" error value=volume_gib mono=true hint=volume_hint/>
            <TextField
                name="dns_label"
                label="DNS label"
                error
                value=dns_label.unwrap_or_default()
                mono=true
                hint="Leave empty to make the instance reachable only inside the cluster. A label creates a public load balancer with that name, reachable from the internet."
            />
        }
    })
}
