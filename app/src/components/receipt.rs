//! The receipt of a restore: the comparison with the image, one block a table up to a wall's size.

use leptos::prelude::*;
use model::run::Receipt;

use super::icon::Icon;
use crate::format;

/// How many blocks a wall has at most.
const BLOCKS: u64 = 480;
/// Rows of blocks.
const HIGH: u64 = 6;

/// The comparison that closed a restore.
#[component]
pub fn ReceiptSlip(
    /// The comparison.
    receipt: Receipt,
) -> impl IntoView {
    let equal = receipt.difference_count == 0;
    let sum = if equal { "All as in the image" } else { "Not as in the image" };
    let text = format!(
        "{} with {}, {} and {} were counted in the restored instance and compared with the image{}",
        format::quantity(receipt.tables, "table", "tables"),
        format::quantity(receipt.rows, "row", "rows"),
        format::quantity(receipt.sequences, "sequence", "sequences"),
        format::quantity(receipt.large_objects, "large object", "large objects"),
        if equal { "; nothing differs." } else { "." }
    );
    let blocks = receipt.tables.min(BLOCKS);
    let columns = blocks.div_ceil(HIGH).max(1);
    let inner: String = (0..blocks)
        .map(|n| {
            let (x, y) = (n / HIGH * 12, n % HIGH * 12);
            let class = if n < receipt.difference_count { "x" } else { "p" };
            format!(r#"<rect class="{class}" x="{x}" y="{y}" width="10" height="10" rx="1.5"/>"#)
        })
        .collect();
    let caption =
        if blocks < receipt.tables { "tables, the first 480 drawn" } else { "tables, a block each" };
    view! {
        <section class=if equal { "receipt ok" } else { "receipt fail" } aria-labelledby="slip-h">
            <h2 class="sum" id="slip-h"><Icon name=if equal { "s-proven" } else { "s-fail" }/>{sum}</h2>
            <p>{text}</p>
            <div class="wall">
                <figure>
                    <svg class="blocks" viewBox=format!("0 0 {} {}", columns * 12, HIGH * 12) role="img" aria-label=format!("{} tables compared", receipt.tables) inner_html=inner></svg>
                    <figcaption>{caption}</figcaption>
                </figure>
            </div>
            {(!receipt.differences.is_empty())
                .then(|| {
                    view! { <ul>{receipt.differences.into_iter().map(|words| view! { <li class="mono">{words}</li> }).collect_view()}</ul> }
                })}
        </section>
    }
    .into_any()
}
