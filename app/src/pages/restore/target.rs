//! The step that chooses the settings of the new instance.

use leptos::prelude::*;

use crate::api::restore::{RestoreView, TargetRequest};
use crate::components::field::TextField;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::target_fields::{ClusterFields, VersionField};
use crate::format;

/// The form.
#[component]
pub(super) fn TargetPanel(view: RestoreView) -> impl IntoView {
    let error = view.error.clone();
    let error = Signal::derive(move || error.clone());
    let back = format!("/images/{}", view.image.image.id);
    let data = view.image.manifest.as_ref().map(|manifest| manifest.source.bytes);
    let volume_hint = volume_hint(data);
    let source = view.image.image.major.map(|major| major.to_string()).unwrap_or_default();
    let TargetRequest { name, major, volume_gib, dns_label, .. } = view.request;
    let major = if major.is_empty() { source } else { major };
    view! {
        <Panel id="target" title="New instance">
            <form method="get" class="body form">
                <FormError error fields=&["name", "major", "volume_gib", "dns_label"]/>
                <TextField
                    name="name"
                    label="Name"
                    error
                    value=name
                    required=true
                    autofocus=true
                    mono=true
                    hint="Lowercase letters, digits and hyphens; starts with a letter."
                />
                {(view.versions.len() > 1)
                    .then(|| {
                        view! {
                            <VersionField versions=view.versions value=major error hint="The version of the source or a newer one. A downgrade is not possible."/>
                        }
                    })}
                <ClusterFields place=view.place volume_gib volume_hint dns_label error/>
                <div class="actions">
                    <button class="btn primary"><Icon name="prove"/>"Run checks"</button>
                    <a class="btn" href=back>"Cancel"</a>
                </div>
            </form>
        </Panel>
    }
    .into_any()
}

fn volume_hint(data: Option<i64>) -> String {
    match data {
        Some(_) => format!(
            "At least the size of the data ({}). The default is 1.5 times that size plus space for the WAL.",
            format::bytes_or_dash(data)
        ),
        None => "At least the size of the data in the image.".to_owned(),
    }
}
