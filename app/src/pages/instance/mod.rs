//! One instance: how it is, how to connect, its images, its databases, and what one can do with it.

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::run::Diagnosis;
use model::{Actor, Health, Instance, InstanceStatus, Origin, Role};

use super::instance_dialogs::InstanceDialog;
use super::instance_panels::{About, Connect, Databases, Images, Workers};
use crate::api::instances::{DeleteInstance, InstanceView, StartInstance, StopInstance, get_instance};
use crate::components::back_up::{BackUpButton, can_back_up};
use crate::components::confirm::confirm_href;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::history_chart::{HistoryChart, Legend};
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::menu::Menu;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::run_rows::EndedRuns;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::{Ago, AgoOr};
use crate::format;
use crate::live::{Live, use_live};

/// One instance.
#[component]
pub fn InstancePage() -> impl IntoView {
    let live = use_live();
    let me = use_current_user();
    let params = use_params_map();
    let name = Memo::new(move |_| params.read().get("name").unwrap_or_default());
    let view = Resource::new(move || (name.get(), live.version()), |(name, _)| get_instance(name));
    let query = use_query_map();
    let ask = Memo::new(move |_| query.read().get("ask"));
    let actions = Actions::new(live);
    // The question is fetched for itself and not again with each change elsewhere: what is typed into it stays.
    let asked = Resource::new(
        move || (name.get(), ask.get().is_some()),
        |(name, asks)| async move {
            if asks { get_instance(name).await.ok().map(|view| view.instance) } else { None }
        },
    );
    view! {
        <Transition>
            {move || Suspend::new(async move {
                asked.await.map(|instance| view! { <InstanceDialog instance ask stop=actions.stop delete=actions.delete/> })
            })}
        </Transition>
        <Transition>
            {move || Suspend::new(async move {
                let actor = me.actor().await.ok();
                view_or_error(view.await, move |view| view! { <PageContent view actor actions/> })
            })}
        </Transition>
    }
    .into_any()
}

/// What one can do here. The page has them, so that a refusal stays when the rest is drawn anew.
#[derive(Clone, Copy)]
struct Actions {
    start: ServerAction<StartInstance>,
    stop: ServerAction<StopInstance>,
    delete: ServerAction<DeleteInstance>,
}

impl Actions {
    fn new(live: Live) -> Self {
        let actions =
            Self { start: ServerAction::new(), stop: ServerAction::new(), delete: ServerAction::new() };
        Effect::new(move |_| {
            if actions.start.version().get() + actions.stop.version().get() > 0 {
                live.refetch();
            }
        });
        actions
    }
}

#[component]
fn PageContent(view: InstanceView, actor: Option<Actor>, actions: Actions) -> impl IntoView {
    let instance = view.instance.clone();
    let backing_up = view.backing_up;
    let chart_name = instance.name.clone();
    let days = view.days.clone();
    let runs = view.runs.clone();
    view! {
        <InstanceHead instance=instance.clone() actor=actor.clone() backing_up start=actions.start/>
        <FormError error=action_error(actions.start)/>
        <Problem instance=instance.clone() known=view.diagnosis.clone()/>
        <Facts view=view.clone()/>
        <div class="cols">
            <div>
                <Panel id="days" title="Last 14 days">
                    <div class="body stack wide"><HistoryChart name=chart_name days backing_up/><Legend/></div>
                </Panel>
                <Images view=view.clone() actor=actor.clone()/>
                <Databases instance=instance.clone()/>
                <Workers instance=instance.clone()/>
                {(!runs.is_empty())
                    .then(|| {
                        view! {
                            <Panel id="runs" title="Runs">
                                <EndedRuns runs caption="The last runs about this instance"/>
                                <a class="more" href=format!("/runs?instance={}", instance.id)>"All its runs"</a>
                            </Panel>
                        }
                    })}
            </div>
            <div>
                <Connect view=view.clone() actor/>
                <About view/>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn InstanceHead(
    instance: Instance,
    actor: Option<Actor>,
    backing_up: bool,
    start: ServerAction<StartInstance>,
) -> impl IntoView {
    let (role, sudo) = actor.map_or((Role::Viewer, false), |actor| (actor.role, actor.sudo));
    let style = status_badge::instance(&instance);
    let health = instance.health_detail.clone();
    let proven = instance.last_proven_at;
    let sub = {
        let instance = instance.clone();
        move || view! { {what(&instance)} " since " <time datetime=format::iso8601(instance.created_at) title=format::exact(instance.created_at)>{format::day(instance.created_at)}</time> }
    };
    let page = format!("/instances/{}", instance.name);
    let states = move || {
        view! {
            <StatusBadge style=style.clone() pill=true title=health.clone()/>
            {proven
                .map(|at| {
                    view! {
                        <span class="state ok pill"><Icon name="s-proven"/><span>"proven " <Ago at/></span></span>
                    }
                })}
        }
    };
    view! {
        <PageHeader title=instance.name.clone() crumbs=vec![("/instances".into(), "Instances".into())] states sub>
            {(role >= Role::Operator)
                .then(|| {
                    let may = can_back_up(&instance) && !backing_up;
                    view! {
                        {may.then(|| view! { <BackUpButton instance=instance.clone() primary=true/> })}
                        <StartStop instance=instance.clone() start/>
                        <More page sudo role may instance/>
                    }
                })}
        </PageHeader>
    }
    .into_any()
}

/// `PostgreSQL 15.20, stock, managed by Toygres`.
fn what(instance: &Instance) -> String {
    let version = instance.version.clone().map_or_else(
        || "PostgreSQL".to_owned(),
        |version| format!("PostgreSQL {}", format::version(&version)),
    );
    let origin = match instance.origin {
        Origin::Managed => "made by Toygres",
        Origin::External => "added",
    };
    format!("{version}, {}, {origin}", instance.image_type)
}

#[component]
fn StartStop(instance: Instance, start: ServerAction<StartInstance>) -> impl IntoView {
    let managed = instance.origin == Origin::Managed;
    let name = instance.name.clone();
    let is_down = instance.status == InstanceStatus::Running && instance.health == Health::Down;
    let stops = managed && instance.status == InstanceStatus::Running;
    let starts = managed && (instance.status == InstanceStatus::Stopped || is_down);
    let stop = format!("/instances/{name}?ask=stop");
    view! {
        {starts
            .then(|| {
                view! {
                    <ActionForm action=start>
                        <input type="hidden" name="name" value=name/>
                        <button class="btn primary" disabled=move || start.pending().get()><Icon name="play"/>"Start"</button>
                    </ActionForm>
                }
            })}
        {stops.then(|| view! { <a class="btn" href=stop><Icon name="stop"/>"Stop…"</a> })}
    }
    .into_any()
}

#[component]
fn More(page: String, sudo: bool, role: Role, may: bool, instance: Instance) -> impl IntoView {
    let word = if instance.origin == Origin::Managed { "Delete…" } else { "Forget…" };
    view! {
        <Menu label=format!("More for {}", instance.name) class="btn icon" button=|| view! { <Icon name="more"/> }>
                {may
                    .then(|| {
                        view! { <li><a href=format!("{page}?ask=backup")><Icon name="backup"/>"Back up with options…"</a></li> }
                    })}
                <li><a href=format!("/images?instance={}", instance.name)><Icon name="images"/>"All its images"</a></li>
                <li><a href=format!("/runs?instance={}", instance.id)><Icon name="runs"/>"All its runs"</a></li>
                {(role >= Role::Admin && instance.status != InstanceStatus::Deleting)
                    .then(|| {
                        view! {
                            <li>
                                <a class="danger" href=confirm_href(sudo, &page, "delete")><Icon name="trash"/>{word}</a>
                            </li>
                        }
                    })}
        </Menu>
    }
    .into_any()
}

/// What is wrong with it, or what it waits for, on top.
#[component]
fn Problem(instance: Instance, known: Option<Diagnosis>) -> impl IntoView {
    let detail = instance.health_detail.clone();
    let (tone, title, text) = match (instance.status, instance.health) {
        (InstanceStatus::Creating | InstanceStatus::Starting, _) => {
            ("warn", "It waits for something outside of Toygres", detail?)
        }
        (InstanceStatus::Running, Health::Ok) => ("warn", "It will lose its data when it stops", detail?),
        (InstanceStatus::Running, Health::Unknown) => ("warn", "It could not be looked at", detail?),
        (InstanceStatus::Failed, _) if instance.was_cancelled() => (
            "warn",
            "It was not made",
            "Its making was cancelled, and nothing is left of it. Try again from its run, or delete it here."
                .to_owned(),
        ),
        (InstanceStatus::Failed, _) if detail.is_some() => ("fail", "It is not whole", detail?),
        (InstanceStatus::Failed, _) => (
            "fail",
            "It was not made",
            "The run that was to make it failed, and what it had done was undone. The run says why."
                .to_owned(),
        ),
        (InstanceStatus::Running, Health::Down) => (
            "fail",
            "It does not answer",
            instance.health_detail.clone().unwrap_or_else(|| "The last look found nobody there.".to_owned()),
        ),
        _ => return None,
    };
    let icon = if tone == "warn" { "s-wait" } else { status_badge::instance(&instance).icon };
    Some(view! {
        <section class=format!("alert {tone}") role="alert">
            <h2><Icon name=icon/>{title}</h2>
            <dl>
                <dt>"What is known"</dt>
                <dd>{text}</dd>
                {known
                    .map(|known| {
                        view! {
                            <dt>"Cause"</dt>
                            <dd>{known.cause}</dd>
                            <dt>"Fix"</dt>
                            <dd>{known.fix}</dd>
                        }
                    })}
                {instance
                    .health_at
                    .map(|at| view! { <dt>"Looked at"</dt><dd><Ago at/></dd> })}
                {instance
                    .run
                    .map(|run| view! { <dt>"Where to look"</dt><dd><a href=format!("/runs/{run}")>"The run"</a></dd> })}
            </dl>
        </section>
    })
}

#[component]
fn Facts(view: InstanceView) -> impl IntoView {
    let instance = view.instance;
    view! {
        <dl class="facts">
            <div>
                <dt>"Size"</dt>
                <dd>
                    {format::bytes_or_dash(instance.size_bytes)}
                    {instance.volume_bytes.map(|bytes| view! { <small>{format!(" of {}", format::gib(bytes))}</small> })}
                </dd>
            </div>
            <div><dt>"Last image"</dt><dd><AgoOr at=instance.last_image_at never="none yet"/></dd></div>
            <div><dt>"Last proven"</dt><dd><AgoOr at=instance.last_proven_at/></dd></div>
            <div><dt>"Images"</dt><dd>{format::count(view.images_total)}</dd></div>
            <div>
                <dt>"Looked at"</dt>
                <dd><AgoOr at=instance.health_at never="not yet"/></dd>
            </div>
        </dl>
    }
    .into_any()
}
