//! The receipt of a restore: the comparison of the restored instance with the image.

use leptos::prelude::*;
use model::run::Receipt;

use super::icon::Icon;
use crate::format;

/// The maximum number of blocks.
const MAX_BLOCKS: u64 = 480;
/// Blocks in a column.
const ROWS: u64 = 6;

/// The comparison that ended a restore: one block a table if everything matches, else the list of differences.
#[component]
pub fn ReceiptSlip(
    /// The comparison.
    receipt: Receipt,
) -> impl IntoView {
    let equal = receipt.difference_count == 0;
    let title = if equal {
        "Matches the image".to_owned()
    } else {
        format!("{} from the image", format::quantity(receipt.difference_count, "difference", "differences"))
    };
    let compared = format!(
        "Compared with the image: {} with {}, {} and {}.",
        format::quantity(receipt.tables, "table", "tables"),
        format::quantity(receipt.rows, "row", "rows"),
        format::quantity(receipt.sequences, "sequence", "sequences"),
        format::quantity(receipt.large_objects, "large object", "large objects"),
    );
    view! {
        <section class=if equal { "receipt ok" } else { "receipt fail" } aria-labelledby="receipt-h">
            <h2 class="sum" id="receipt-h"><Icon name=if equal { "s-proven" } else { "s-fail" }/>{title}</h2>
            <p>{compared}</p>
            {(equal && receipt.tables > 0).then(|| view! { <Wall tables=receipt.tables/> })}
            <Differences differences=receipt.differences total=receipt.difference_count/>
        </section>
    }
    .into_any()
}

/// One block a table. It is drawn only if all of them match, because a receipt does not say which tables differ.
#[component]
fn Wall(tables: u64) -> impl IntoView {
    let blocks = tables.min(MAX_BLOCKS);
    let (width, height) = (blocks.div_ceil(ROWS) * 12, ROWS * 12);
    let inner: String = (0..blocks)
        .map(|n| {
            let (x, y) = (n / ROWS * 12, n % ROWS * 12);
            format!(r#"<rect class="p" x="{x}" y="{y}" width="10" height="10" rx="1.5"/>"#)
        })
        .collect();
    let caption = if blocks < tables { "One square per table, 480 shown" } else { "One square per table" };
    view! {
        <div class="wall">
            <figure>
                <svg class="blocks" viewBox=format!("0 0 {width} {height}") role="img" aria-label=format!("{tables} tables match") inner_html=inner></svg>
                <figcaption>{caption}</figcaption>
            </figure>
        </div>
    }
}

#[component]
fn Differences(differences: Vec<String>, total: u64) -> impl IntoView {
    let more = total.saturating_sub(differences.len() as u64);
    (!differences.is_empty()).then(|| {
        view! {
            <ul class="differences">
                {differences.into_iter().map(|difference| view! { <li class="mono">{difference}</li> }).collect_view()}
                {(more > 0).then(|| view! { <li class="sub">{format!("and {} more", format::count(more))}</li> })}
            </ul>
        }
    })
}
