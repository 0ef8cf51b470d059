//! What an image lacks, or restores in another way than the source has it.

use leptos::prelude::*;
use model::{Manifest, Remark};

use crate::components::icon::Icon;

/// The remarks; nothing for an image without any.
#[component]
pub(super) fn Remarks(manifest: Option<Manifest>) -> impl IntoView {
    let remarks = manifest.map(|manifest| manifest.remarks()).unwrap_or_default();
    (!remarks.is_empty()).then(|| {
        view! {
            <section class="alert warn">
                <h2><Icon name="s-warn"/>"Differences from the source"</h2>
                <dl>{remarks.iter().map(difference).collect_view()}</dl>
            </section>
        }
    })
}

/// The fact and what to do.
fn difference(remark: &Remark) -> impl IntoView + use<> {
    view! {
        <dt>"Difference"</dt>
        <dd>{remark.text()}</dd>
        {remark.fix().map(|fix| view! { <dt>"Fix"</dt> <dd>{fix}</dd> })}
    }
}
