//! The header of an instance's page: its name, its state, and the actions on it.

use leptos::prelude::*;
use model::{Actor, Health, Instance, InstanceStatus, Origin, Role, Run, RunState};

use crate::api::instances::{InstanceView, StartInstance};
use crate::components::back_up::{BackUpButton, can_back_up};
use crate::components::confirm::confirm_href;
use crate::components::icon::Icon;
use crate::components::menu::Menu;
use crate::components::page_header::PageHeader;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::Ago;
use crate::format;
use crate::labels;

/// The header.
#[component]
pub(super) fn InstanceHeader(
    view: InstanceView,
    actor: Option<Actor>,
    start: ServerAction<StartInstance>,
) -> impl IntoView {
    let (role, sudo) = actor.map_or((Role::Viewer, false), |actor| (actor.role, actor.sudo));
    let instance = view.instance.clone();
    let states = {
        let instance = instance.clone();
        move || view! { <States instance=instance.clone()/> }
    };
    let sub = {
        let instance = instance.clone();
        move || view! { <Description instance=instance.clone()/> }
    };
    view! {
        <PageHeader title=instance.name.clone() crumbs=vec![("/instances".into(), "Instances".into())] states sub>
            {(role >= Role::Operator)
                .then(|| {
                    let backup = running_backup(&view.runs);
                    let can_back_up = can_back_up(&instance) && !view.backing_up && backup.is_none();
                    view! {
                        {can_back_up.then(|| view! { <BackUpButton instance=instance.clone() primary=true/> })}
                        {backup.map(|run| view! { <a class="btn" href=format!("/runs/{}", run.id)>"View running backup"</a> })}
                        <StartStop instance=instance.clone() start/>
                        <MoreMenu sudo role can_back_up instance=instance.clone()/>
                    }
                })}
        </PageHeader>
    }
    .into_any()
}

fn running_backup(runs: &[Run]) -> Option<&Run> {
    runs.iter().find(|run| run.workflow == model::WorkflowName::CreateImage && run.state == RunState::Running)
}

#[component]
fn States(instance: Instance) -> impl IntoView {
    let style = status_badge::instance(&instance);
    let proven = instance.last_proven_at.map(|at| {
        let is_up = instance.status == InstanceStatus::Running && instance.health == Health::Ok;
        let tone = if is_up { "ok" } else { "off" };
        view! {
            <span class=format!("state {tone} pill") title="An image of this instance was restored, and the restored content compared equal">
                <Icon name="s-proven"/>
                <span>"image proven " <Ago at/></span>
            </span>
        }
    });
    view! { <StatusBadge style pill=true title=instance.health_detail.map(|failure| failure.to_string())/> {proven} }
}

/// `PostgreSQL 15.20, standard, managed, created 12 Mar 2026`.
#[component]
fn Description(instance: Instance) -> impl IntoView {
    let version = instance.version.as_deref().map(|version| format!(" {}", format::version(version)));
    let (origin, explanation, since) = match instance.origin {
        Origin::Managed => ("managed", "Toygres created this server and can stop and delete it", "created"),
        Origin::External => ("external", "An existing server; Toygres only reads from it", "added"),
    };
    let created_at = instance.created_at;
    view! {
        {format!("PostgreSQL{}, {}, ", version.unwrap_or_default(), labels::image_type(instance.image_type))}
        <span title=explanation>{origin}</span>
        {format!(", {since} ")}
        <time datetime=format::iso8601(created_at) title=format::exact(created_at)>{format::day(created_at)}</time>
    }
}

#[component]
fn StartStop(instance: Instance, start: ServerAction<StartInstance>) -> impl IntoView {
    let is_managed = instance.origin == Origin::Managed;
    let name = instance.name.clone();
    let is_down = instance.status == InstanceStatus::Running && instance.health == Health::Down;
    let can_stop = is_managed && instance.status == InstanceStatus::Running;
    let can_start = is_managed && (instance.status == InstanceStatus::Stopped || is_down);
    let stop = format!("/instances/{name}?ask=stop");
    view! {
        {can_start
            .then(|| {
                view! {
                    <ActionForm action=start>
                        <input type="hidden" name="name" value=name/>
                        <button class="btn primary" disabled=move || start.pending().get()><Icon name="play"/>"Start instance"</button>
                    </ActionForm>
                }
            })}
        {can_stop.then(|| view! { <a class="btn" href=stop><Icon name="stop"/>"Stop instance…"</a> })}
    }
    .into_any()
}

#[component]
fn MoreMenu(sudo: bool, role: Role, can_back_up: bool, instance: Instance) -> impl IntoView {
    let page = format!("/instances/{}", instance.name);
    let delete =
        if instance.origin == Origin::Managed { "Delete instance…" } else { "Disconnect instance…" };
    view! {
        <Menu label=format!("More actions for {}", instance.name) class="btn icon" button=|| view! { <Icon name="more"/> }>
            {can_back_up
                .then(|| {
                    view! { <li><a href=format!("{page}?ask=backup")><Icon name="backup"/>"Back up with options…"</a></li> }
                })}
            <li><a href=format!("/images?instance={}", instance.name)><Icon name="images"/>"View all images"</a></li>
            <li><a href=format!("/runs?instance={}", instance.id)><Icon name="runs"/>"View all runs"</a></li>
            {(role >= Role::Admin && instance.status != InstanceStatus::Deleting)
                .then(|| {
                    view! {
                        <li>
                            <a class="danger" href=confirm_href(sudo, &page, "delete")><Icon name="trash"/>{delete}</a>
                        </li>
                    }
                })}
        </Menu>
    }
    .into_any()
}
