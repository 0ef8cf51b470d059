//! The overview before the first instance: the first steps, and the environment that Toygres detected.

use leptos::either::Either;
use leptos::prelude::*;
use model::{PlatformInfo, Role};

use crate::api::overview::OverviewPage;
use crate::components::icon::{Icon, Mark};
use crate::components::panel::Panel;
use crate::components::run_rows::LiveRuns;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::format;

/// The overview before the first instance.
#[component]
pub(super) fn FirstStart(page: OverviewPage, role: Role) -> impl IntoView {
    let free = page.overview.store_free_bytes.and_then(|free| u64::try_from(free).ok());
    let can_add = role >= Role::Operator;
    let active: Vec<_> = page.overview.running.iter().filter(|run| run.state.is_active()).cloned().collect();
    view! {
        <leptos_meta::Title text="Overview"/>
        <div class="onboarding">
            <header class="hero">
                <Mark plan=true/>
                <div class="stack">
                    <h1>"No instances yet"</h1>
                    <p class="sub">"Three steps lead to the first proven image. The first step takes less than a minute."</p>
                </div>
            </header>
            {(!active.is_empty())
                .then(|| view! { <Panel id="running" title="Active runs"><LiveRuns runs=active/></Panel> })}
            <ol>
                <AddStep can_add/>
                <LaterStep
                    no="2"
                    title="Back up the instance"
                    text="A backup creates an image: data, roles and settings, each object with its checksum. You can follow its log."
                    icon="backup"
                    button="Back up"
                    requires="Requires an instance"
                />
                <LaterStep
                    no="3"
                    title="Restore the image"
                    text="Toygres restores the image into a new instance and compares every table with the image. If all tables match, the image is proven (green)."
                    icon="restore"
                    button="Restore image"
                    requires="Requires an image"
                />
            </ol>
            <Environment place=page.place versions=page.versions has_store=page.has_store free/>
        </div>
    }
    .into_any()
}

#[component]
fn AddStep(can_add: bool) -> impl IntoView {
    view! {
        <li class="on">
            <span class="no" aria-hidden="true">"1"</span>
            <h2>"Add an instance"</h2>
            <p>"An instance is a PostgreSQL server. Toygres can create one, or connect to an existing server."</p>
            {if can_add {
                Either::Left(
                    view! {
                        <div class="actions">
                            <a class="btn primary" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                            <a class="btn" href="/instances/add"><Icon name="link"/>"Connect existing server"</a>
                        </div>
                    },
                )
            } else {
                Either::Right(view! { <p>"This requires the role operator or admin."</p> })
            }}
        </li>
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
    requires: &'static str,
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
                <span class="sub" id=id>{requires}</span>
            </div>
        </li>
    }
    .into_any()
}

#[component]
fn Environment(
    place: PlatformInfo,
    versions: Vec<String>,
    has_store: bool,
    free: Option<u64>,
) -> impl IntoView {
    let (style, text) = if versions.is_empty() {
        (StatusStyle::new("warn", "s-warn", "not found"), no_postgres(&place).to_owned())
    } else {
        (StatusStyle::new("ok", "s-ok", "found"), versions.join(", "))
    };
    view! {
        <Panel id="found" title="Detected environment">
            <dl class="body props">
                <dt>"Platform"</dt>
                <dd>{place.label()}</dd>
                <dt>"PostgreSQL"</dt>
                <dd><StatusBadge style/> " " <span class="sub">{text}</span></dd>
                <dt title="An object store or a directory that holds images">"Store for images"</dt>
                <dd>
                    {match has_store {
                        true => Either::Left(view! {
                            <StatusBadge style=StatusStyle::new("ok", "s-ok", "configured")/>
                            " "
                            <span class="sub">{free.map(|free| format!("{} free", format::bytes(free)))}</span>
                        }),
                        false => Either::Right(view! {
                            <StatusBadge style=StatusStyle::new("warn", "s-warn", "not configured")/>
                            " "
                            <a href="/settings?at=stores">"Add store"</a>
                        }),
                    }}
                </dd>
            </dl>
        </Panel>
    }
    .into_any()
}

fn no_postgres(place: &PlatformInfo) -> &'static str {
    match place.is_kubernetes() {
        true => {
            "No container image of PostgreSQL is configured. Configure one for each major version, or connect an existing server."
        }
        false => {
            "No PostgreSQL server was found on the Toygres host. Install PostgreSQL (Debian: apt install postgresql), or connect an existing server."
        }
    }
}
