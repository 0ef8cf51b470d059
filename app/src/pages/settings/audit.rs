//! Settings: the audit log.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::page::Page;
use model::user::AuditRow;

use crate::api::settings::list_audit;
use crate::components::empty_state::EmptyState;
use crate::components::pager::Pager;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::components::time::Ago;
use crate::labels;

/// The section of the audit log.
#[component]
pub(super) fn Audit() -> impl IntoView {
    let query = use_query_map();
    let page = Memo::new(move |_| {
        query.read().get("page").and_then(|page| page.parse().ok()).unwrap_or(1_i64).max(1)
    });
    let rows = Resource::new(move || page.get(), list_audit);
    view! {
        <Panel id="audit" title="Audit log" note=|| "Every change and every denied request. Append-only.">
            <Transition>
                {move || Suspend::new(async move { view_or_error(rows.await, |rows| view! { <AuditView rows/> }) })}
            </Transition>
        </Panel>
    }
    .into_any()
}

/// The view of one page of the audit log.
#[component]
pub fn AuditView(
    /// The rows.
    rows: Page<AuditRow>,
) -> impl IntoView {
    let (page, pages, total) = (rows.page, rows.pages(), rows.total);
    if rows.rows.is_empty() {
        return view! { <EmptyState title="No entries yet" text="Every change and every denied request is recorded here."/> }
            .into_any();
    }
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Audit log, newest first"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Action"</th>
                        <th scope="col" role="columnheader">"Result"</th>
                        <th scope="col" role="columnheader">"Target"</th>
                        <th scope="col" role="columnheader">"User"</th>
                        <th scope="col" role="columnheader">"Time"</th>
                        <th scope="col" role="columnheader">"Run"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows.rows.into_iter().map(|row| view! { <AuditTableRow row/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager page pages total href=|page: i64| format!("/settings?at=audit&page={page}")/>
    }
    .into_any()
}

#[component]
fn AuditTableRow(row: AuditRow) -> impl IntoView {
    let (tone, icon) = if row.outcome == "ok" { ("ok", "s-ok") } else { ("warn", "s-cancel") };
    let style = StatusStyle::new(tone, icon, labels::outcome(&row.outcome));
    view! {
        <tr role="row">
            <th scope="row" role="rowheader" class="mono">{row.action}</th>
            <td role="cell" data-k="Result"><StatusBadge style/></td>
            <td role="cell" data-k="Target">{row.subject}</td>
            <td role="cell" data-k="User">{row.actor}</td>
            <td role="cell" data-k="Time"><Ago at=row.at/></td>
            <td role="cell" data-k="Run">{row.run.map(|run| view! { <a class="mono" href=format!("/runs/{run}")>{run.short()}</a> })}</td>
        </tr>
    }
    .into_any()
}
