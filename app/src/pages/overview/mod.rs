//! The overview: what needs attention, what runs, how well the instances are protected, and the recent runs.

mod first_start;
mod summary;
#[cfg(all(test, feature = "ssr"))]
mod tests;

use leptos::either::Either;
use leptos::prelude::*;
use model::overview::Overview as Data;
use model::{Role, Run};

use self::first_start::FirstStart;
use self::summary::{Remark, Summary};
use crate::api::overview::{OverviewPage, get_overview};
use crate::components::attention::{AttentionList, attention_items};
use crate::components::history_chart::Legend;
use crate::components::icon::Icon;
use crate::components::instance_table::InstanceTable;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::run_rows::{EndedRuns, LiveRuns};
use crate::components::status_badge::StatusBadge;
use crate::components::time::use_clock;
use crate::format;
use crate::live::use_live;

/// The overview page.
#[component]
pub fn Overview() -> impl IntoView {
    let live = use_live();
    let user = use_current_user();
    let overview = Resource::new(move || live.version(), |_| get_overview());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = user.role().await;
                view_or_error(overview.await, move |page| view! { <OverviewView page role/> })
            })}
        </Transition>
    }
    .into_any()
}

/// The view of the overview: all instances, or the first steps while there is none.
#[component]
pub fn OverviewView(
    /// What the overview shows.
    page: OverviewPage,
    /// The user's role.
    role: Role,
) -> impl IntoView {
    if page.overview.instances.is_empty() {
        view! { <FirstStart page role/> }.into_any()
    } else {
        view! { <Fleet overview=page.overview role/> }.into_any()
    }
}

#[component]
fn Fleet(overview: Data, role: Role) -> impl IntoView {
    let items = attention_items(&overview);
    let summary = Summary::new(&overview, items.len(), untrack(|| use_clock().now()));
    let active: Vec<Run> = overview.running.iter().filter(|run| run.state.is_active()).cloned().collect();
    let ended = overview.ended.clone();
    let can_restore = overview.counts.images > 0;
    view! {
        <FleetHeader summary role can_restore/>
        {(!items.is_empty()).then(|| view! { <AttentionList items role/> })}
        {(!active.is_empty())
            .then(|| {
                let count = active.len();
                view! {
                    <Panel id="running" title="Active runs" note=move || count>
                        <LiveRuns runs=active/>
                    </Panel>
                }
            })}
        <InstancesPanel overview=overview.clone() role/>
        <div class="cols">
            <div><RecentRuns runs=ended/></div>
            <div><StorePanel overview/></div>
        </div>
    }
    .into_any()
}

#[component]
fn FleetHeader(summary: Summary, role: Role, can_restore: bool) -> impl IntoView {
    let style = summary.style();
    let states = move || style.clone().map(|style| view! { <StatusBadge style pill=true/> });
    view! {
        <PageHeader title="Overview" states sub=move || view! { <SummaryLine summary=summary.clone()/> }>
            {(role >= Role::Operator)
                .then(|| {
                    view! {
                        {can_restore
                            .then(|| view! { <a class="btn primary" href="/images"><Icon name="restore"/>"Restore image…"</a> })}
                        <a class="btn" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                    }
                })}
        </PageHeader>
    }
    .into_any()
}

#[component]
fn SummaryLine(summary: Summary) -> impl IntoView {
    let separated = |(n, (remark, count)): (usize, (Remark, usize))| {
        let separator = if n > 0 { ", " } else { "" };
        view! { {separator} <span title=remark.explanation()>{format!("{count} {}", remark.label())}</span> }
    };
    let counts = (!summary.counts.is_empty()).then(
        || view! { "Instances: " {summary.counts.into_iter().enumerate().map(separated).collect_view()} "." },
    );
    view! { {summary.sentence} " " {counts} }
}

#[component]
fn InstancesPanel(overview: Data, role: Role) -> impl IntoView {
    let count = overview.instances.len();
    let rows = overview
        .instances
        .iter()
        .map(|row| (row.instance.clone(), row.days.clone(), overview.is_backing_up(row.instance.id)))
        .collect();
    view! {
        <Panel id="instances" title="Instances" note=move || count end=|| view! { <Legend/> }>
            <InstanceTable rows role/>
        </Panel>
    }
    .into_any()
}

#[component]
fn RecentRuns(runs: Vec<Run>) -> impl IntoView {
    view! {
        <Panel id="ended" title="Recent runs">
            {if runs.is_empty() {
                Either::Left(view! { <p class="body sub">"No run has ended yet."</p> })
            } else {
                Either::Right(view! { <EndedRuns runs caption="The most recent runs that ended"/> })
            }}
            <a class="more" href="/runs">"View all runs"</a>
        </Panel>
    }
    .into_any()
}

#[component]
fn StorePanel(overview: Data) -> impl IntoView {
    let stored = overview.stored_bytes.unsigned_abs();
    let free = overview.store_free_bytes.and_then(|free| u64::try_from(free).ok());
    view! {
        <Panel id="store" title="Images" note=move || format::count(overview.counts.images)>
            <div class="body stack">
                <dl class="props">
                    <dt>"Stored"</dt>
                    <dd>{format::bytes(stored)}</dd>
                    <dt title="Free space of the default store">"Free space"</dt>
                    <dd>{free.map_or_else(|| "unknown".to_owned(), format::bytes)}</dd>
                </dl>
                {free
                    .map(|free| {
                        let label = format!("{} used by images, {} free", format::bytes(stored), format::bytes(free));
                        let total = (stored + free).max(1) as f64;
                        view! { <meter min="0" max=total high=total * 0.9 value=stored as f64 aria-label=label></meter> }
                    })}
            </div>
            <a class="more" href="/images">"View all images"</a>
        </Panel>
    }
    .into_any()
}
