//! Settings: what everybody did.

use leptos::either::Either;
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

/// What everybody did.
#[component]
pub fn Audit() -> impl IntoView {
    let query = use_query_map();
    let page = Memo::new(move |_| {
        query.read().get("page").and_then(|page| page.parse().ok()).unwrap_or(1_i64).max(1)
    });
    let rows = Resource::new(move || page.get(), list_audit);
    view! {
        <Panel id="audit" title="Audit" note=|| "what was done and what was refused; rows are only ever added">
            <Transition>
                {move || Suspend::new(async move {
                    view_or_error(
                        rows.await,
                        |rows| {
                            if rows.rows.is_empty() {
                                Either::Left(view! { <EmptyState title="Nothing yet" text="Every change anybody makes is written here."/> })
                            } else {
                                Either::Right(view! { <AuditTable rows/> })
                            }
                        },
                    )
                })}
            </Transition>
        </Panel>
    }
    .into_any()
}

#[component]
fn AuditTable(rows: Page<AuditRow>) -> impl IntoView {
    let (page, pages, total) = (rows.page, rows.pages(), rows.total);
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Audit, the newest first"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"What"</th>
                        <th scope="col" role="columnheader">"Outcome"</th>
                        <th scope="col" role="columnheader">"To what"</th>
                        <th scope="col" role="columnheader">"Who"</th>
                        <th scope="col" role="columnheader">"When"</th>
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
    let style = if row.outcome == "ok" {
        StatusStyle::new("ok", "s-ok", "done")
    } else {
        StatusStyle::new("warn", "s-cancel", row.outcome.replace('_', " "))
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader" class="mono">{row.action}</th>
            <td role="cell" data-k="Outcome"><StatusBadge style/></td>
            <td role="cell" data-k="To">{row.subject}</td>
            <td role="cell" data-k="By">{row.actor}</td>
            <td role="cell" data-k="When"><Ago at=row.at/></td>
            <td role="cell" data-k="Run">{row.run.map(|run| view! { <a class="mono" href=format!("/runs/{run}")>{run.short()}</a> })}</td>
        </tr>
    }
    .into_any()
}
