//! The objects of the stores that no image uses.

use leptos::prelude::*;
use model::{Seal, UnusedPrefix};

use crate::components::panel::Panel;
use crate::components::time::Ago;
use crate::format;

/// The list of unused objects; nothing if there are none.
#[component]
pub fn UnusedObjectsView(
    /// The prefixes, the largest first.
    prefixes: Vec<UnusedPrefix>,
) -> impl IntoView {
    (!prefixes.is_empty()).then(|| {
        view! {
            <Panel id="unused" title="Unused objects" note=|| "Objects that no image in this catalogue uses">
                <p class="body sub">
                    "Toygres does not delete these objects. They may belong to another Toygres, or to images that were created after the backup from which the state database was restored. If they do not, delete them with the tools of the store. The seal tells an image of this Toygres from a changed one."
                </p>
                <div class="wrap">
                    <table class="cards" role="table">
                        <caption class="vh">"Unused objects"</caption>
                        <thead role="rowgroup">
                            <tr role="row">
                                <th scope="col" role="columnheader">"Prefix"</th>
                                <th scope="col" role="columnheader">"Store"</th>
                                <th scope="col" role="columnheader">"Seal"</th>
                                <th scope="col" role="columnheader">"First seen"</th>
                                <th scope="col" role="columnheader" class="num">"Objects"</th>
                                <th scope="col" role="columnheader" class="num">"Size"</th>
                            </tr>
                        </thead>
                        <tbody role="rowgroup">
                            {prefixes.into_iter().map(|prefix| view! { <PrefixRow prefix/> }).collect_view()}
                        </tbody>
                    </table>
                </div>
            </Panel>
        }
    })
}

#[component]
fn PrefixRow(prefix: UnusedPrefix) -> impl IntoView {
    view! {
        <tr role="row">
            <th scope="row" role="rowheader" class="mono">{prefix.prefix}</th>
            <td role="cell" data-k="Store">{prefix.store}</td>
            <td role="cell" data-k="Seal">{prefix.seal.map(seal_text)}</td>
            <td role="cell" data-k="First seen"><Ago at=prefix.first_seen/></td>
            <td role="cell" class="num" data-k="Objects">{format::count(prefix.objects)}</td>
            <td role="cell" class="num" data-k="Size">{format::bytes(prefix.bytes.unsigned_abs())}</td>
        </tr>
    }
}

/// What the seal of a complete image says.
fn seal_text(seal: Seal) -> &'static str {
    match seal {
        Seal::Original => "Original of this Toygres",
        Seal::Missing => "No seal",
        Seal::Mismatch => "Does not match: changed",
        Seal::OtherKey => "Another key",
    }
}
