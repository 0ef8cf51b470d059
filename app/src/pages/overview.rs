//! The first page: is everything healthy, what runs now, what failed and what to do; at the very start, where to begin.

use leptos::either::Either;
use leptos::prelude::*;
use model::overview::Overview as Data;
use model::run::RunState;
use model::{Health, InstanceStatus, Place, Role, Run};

use crate::api::overview::{OverviewPage, get_overview};
use crate::components::attention::{AttentionItem, AttentionList, attention_items};
use crate::components::history_chart::Legend;
use crate::components::icon::{Icon, Mark};
use crate::components::instance_table::InstanceTable;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::run_rows::{EndedRuns, LiveRuns};
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::format;
use crate::live::use_live;

/// The first page.
#[component]
pub fn Overview() -> impl IntoView {
    let live = use_live();
    let me = use_current_user();
    let overview = Resource::new(move || live.version(), |_| get_overview());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = me.role().await;
                view_or_error(
                    overview.await,
                    move |page| {
                        if page.overview.instances.is_empty() {
                            Either::Left(view! { <Begin page role/> })
                        } else {
                            Either::Right(view! { <Full overview=page.overview role/> })
                        }
                    },
                )
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Full(overview: Data, role: Role) -> impl IntoView {
    let items = attention_items(&overview);
    let sub = verdict(&overview, &items);
    let may = role >= Role::Operator;
    let running = overview.running.clone();
    let ended = overview.ended.clone();
    let restorable = overview.counts.images > 0;
    view! {
        <PageHeader title="Overview" sub=move || sub.clone()>
            {may
                .then(|| {
                    view! {
                        {restorable
                            .then(|| view! { <a class="btn primary" href="/images"><Icon name="restore"/>"Restore an image…"</a> })}
                        <a class="btn" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                    }
                })}
        </PageHeader>
        {(!items.is_empty()).then(|| view! { <AttentionList items role/> })}
        {(!running.is_empty())
            .then(|| {
                let note = at_work(&running);
                view! {
                    <Panel id="running" title="Running" note=move || note.clone()>
                        <LiveRuns runs=running/>
                    </Panel>
                }
            })}
        <InstancesPanel overview=overview.clone() role/>
        <div class="cols">
            <div>
                <Panel id="ended" title="Ended lately">
                    {if ended.is_empty() {
                        Either::Left(view! { <p class="body sub">"No run has ended yet."</p> })
                    } else {
                        Either::Right(view! { <EndedRuns runs=ended caption="The last runs that ended"/> })
                    }}
                    <a class="more" href="/runs">"All runs"</a>
                </Panel>
            </div>
            <div><StorePanel overview/></div>
        </div>
    }
    .into_any()
}

#[component]
fn InstancesPanel(overview: Data, role: Role) -> impl IntoView {
    let many = overview.instances.len();
    let backing_up =
        |id| overview.running.iter().any(|run| run.instance == Some(id) && run.workflow == "create-image");
    let rows = overview
        .instances
        .into_iter()
        .map(|row| {
            let backing_up = backing_up(row.instance.id);
            (row.instance, row.days, backing_up)
        })
        .collect();
    view! {
        <Panel id="instances" title="Instances" note=move || many end=|| view! { <Legend/> }>
            <InstanceTable rows role/>
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
                    <dt>"In the store"</dt>
                    <dd>{format::bytes(stored)}</dd>
                    <dt>"Free there"</dt>
                    <dd>{free.map_or_else(|| "the store does not say".to_owned(), format::bytes)}</dd>
                </dl>
                {free
                    .map(|free| {
                        let label = format!("{} used by images, {} free", format::bytes(stored), format::bytes(free));
                        let total = (stored + free).max(1) as f64;
                        view! { <meter min="0" max=total high=total * 0.9 value=stored as f64 aria-label=label></meter> }
                    })}
            </div>
            <a class="more" href="/images">"All images"</a>
        </Panel>
    }
    .into_any()
}

/// One sentence for the whole house.
fn verdict(overview: &Data, items: &[AttentionItem]) -> String {
    if !items.is_empty() {
        let many = items.len();
        return format!(
            "{} you. The heaviest comes first.",
            if many == 1 { "One thing needs".to_owned() } else { format!("{many} things need") }
        );
    }
    let well = |status, health| status != InstanceStatus::Running || health == Health::Ok;
    if !overview.instances.iter().all(|row| well(row.instance.status, row.instance.health)) {
        return "Nothing failed; some instances were not looked at yet.".to_owned();
    }
    "Everything answers, and nothing needs you.".to_owned()
}

fn at_work(running: &[Run]) -> String {
    let undoing = running.iter().filter(|run| run.state == RunState::Undoing).count();
    match undoing {
        0 => format!("{} at work", running.len()),
        undoing => format!("{} at work, {undoing} going back", running.len() - undoing),
    }
}

/// The very start: nothing to guard yet.
#[component]
fn Begin(page: OverviewPage, role: Role) -> impl IntoView {
    let may = role >= Role::Operator;
    let free = page.overview.store_free_bytes.and_then(|free| u64::try_from(free).ok());
    let running = page.overview.running.clone();
    view! {
        <leptos_meta::Title text="Overview"/>
        <div class="onboarding">
            <header class="hero">
                <Mark plan=true/>
                <div class="stack">
                    <h1>"Nothing to guard yet"</h1>
                    <p class="sub">"Three steps to the first proven image. The first takes less than a minute; press the filled button to begin."</p>
                </div>
            </header>
            {(!running.is_empty())
                .then(|| view! { <Panel id="running" title="Running"><LiveRuns runs=running/></Panel> })}
            <ol>
                <li class="on">
                    <span class="no" aria-hidden="true">"1"</span>
                    <h2>"Add an instance"</h2>
                    <p>"Toygres can start one for you, or look after a PostgreSQL server that you already have, wherever it runs."</p>
                    {if may {
                        Either::Left(
                            view! {
                                <div class="actions">
                                    <a class="btn primary" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                                    <a class="btn" href="/instances/add"><Icon name="link"/>"Add an existing one"</a>
                                </div>
                            },
                        )
                    } else {
                        Either::Right(view! { <p>"An operator or an admin can do that; you may look."</p> })
                    }}
                </li>
                <LaterStep no="2" title="Back it up" text="One press makes an image: data, roles, settings, each part with its checksum. You watch it being made." icon="backup" button="Back up" needs="needs an instance"/>
                <LaterStep no="3" title="Restore it" text="Toygres restores the image into a new instance and compares every table with the original. Only then a block turns green." icon="restore" button="Restore" needs="needs an image"/>
            </ol>
            <Found place=page.place versions=page.versions has_store=page.has_store free/>
        </div>
    }
    .into_any()
}

#[component]
fn LaterStep(
    no: &'static str,
    title: &'static str,
    text: &'static str,
    icon: &'static str,
    button: &'static str,
    needs: &'static str,
) -> impl IntoView {
    let id = format!("why-{no}");
    let described = id.clone();
    view! {
        <li>
            <span class="no" aria-hidden="true">{no}</span>
            <h2>{title}</h2>
            <p>{text}</p>
            <div class="actions">
                <button class="btn" disabled aria-describedby=described><Icon name=icon/>{button}</button>
                <span class="sub" id=id>{needs}</span>
            </div>
        </li>
    }
    .into_any()
}

#[component]
fn Found(place: Place, versions: Vec<String>, has_store: bool, free: Option<u64>) -> impl IntoView {
    let (style, text) = if versions.is_empty() {
        (
            StatusStyle::new("warn", "s-warn", "none found"),
            match place.is_kubernetes() {
                true => "No image of PostgreSQL is configured. Add one for each major version, or add a server that runs elsewhere.",
                false => "No PostgreSQL server programs are installed here. Install some (on Debian: apt install postgresql), or add a server that runs elsewhere.",
            }
            .to_owned(),
        )
    } else {
        (StatusStyle::new("ok", "s-ok", "found"), format!("{}, ready to start", versions.join(" and ")))
    };
    view! {
        <Panel id="found" title="What Toygres found">
            <dl class="body props">
                <dt>"Where instances live"</dt>
                <dd>{place.words()}</dd>
                <dt>"PostgreSQL"</dt>
                <dd><StatusBadge style/> " " <span class="sub">{text}</span></dd>
                <dt>"Store for images"</dt>
                <dd>
                    {match has_store {
                        true => Either::Left(view! {
                            <StatusBadge style=StatusStyle::new("ok", "s-ok", "chosen")/>
                            " "
                            <span class="sub">{free.map(|free| format!("{} free", format::bytes(free)))}</span>
                        }),
                        false => Either::Right(view! {
                            <StatusBadge style=StatusStyle::new("warn", "s-warn", "none yet")/>
                            " "
                            <a href="/settings?at=stores">"Add one"</a>
                        }),
                    }}
                </dd>
            </dl>
        </Panel>
    }
    .into_any()
}
