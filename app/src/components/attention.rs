//! What needs attention, the most severe first: stuck and failed runs, instances that are not responding or at risk,
//! and corrupt images.

use leptos::prelude::*;
use model::overview::Overview;
use model::run::RunState;
use model::{Health, Instance, InstanceStatus, Role, Run};

use super::status_badge::{self, StatusBadge, StatusStyle};
use crate::{format, labels};

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionItem {
    severity: Severity,
    style: StatusStyle,
    title: String,
    reason: String,
    href: String,
    action: &'static str,
}

/// The order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Critical,
    Major,
    Minor,
}

/// The items of the overview that need attention, the most severe first.
#[must_use]
pub fn attention_items(overview: &Overview) -> Vec<AttentionItem> {
    let runs = overview.needs_attention.iter().map(of_run);
    let instances = overview.instances.iter().filter_map(|row| of_instance(&row.instance));
    let images = of_images(overview.counts.corrupt_images);
    let mut items: Vec<AttentionItem> = runs.chain(instances).chain(images).collect();
    items.sort_by_key(|item| item.severity);
    items
}

fn of_instance(instance: &Instance) -> Option<AttentionItem> {
    let name = &instance.name;
    let reason = instance.health_detail.as_ref().map(model::Failure::message);
    let (severity, title, reason) = match (instance.status, instance.health, reason) {
        (InstanceStatus::Running, Health::Down, reason) => (
            Severity::Major,
            format!("{name} is not responding"),
            reason.unwrap_or_else(|| "The last health check got no response.".to_owned()),
        ),
        (InstanceStatus::Running, Health::Ok, Some(reason)) => {
            (Severity::Critical, format!("{name} is at risk of data loss"), reason)
        }
        _ => {
            let worker = labels::missing_worker(instance)?;
            let title = format!("{name}: the {worker} background worker is not running");
            (Severity::Major, title, labels::MISSING_WORKER_EFFECT.to_owned())
        }
    };
    Some(AttentionItem {
        severity,
        style: status_badge::instance(instance),
        title,
        reason,
        href: format!("/instances/{name}"),
        action: "View instance",
    })
}

/// The images whose objects are damaged or missing.
fn of_images(corrupt: i64) -> Option<AttentionItem> {
    let title = match corrupt {
        ..=0 => return None,
        1 => "1 image is corrupt".to_owned(),
        count => format!("{} images are corrupt", format::count(count)),
    };
    Some(AttentionItem {
        severity: Severity::Major,
        style: StatusStyle::new("fail", "s-fail", "corrupt"),
        title,
        reason: "Objects in the store are damaged or missing. A corrupt image cannot be restored.".to_owned(),
        href: "/images?status=corrupt".to_owned(),
        action: "View images",
    })
}

fn of_run(run: &Run) -> AttentionItem {
    let (severity, title, reason, action) = match run.state {
        RunState::Stuck => (
            Severity::Critical,
            format!("Rollback failed: {}", run.title),
            "The run still holds its locks. Fix the cause, then retry.",
            "View run",
        ),
        _ => (Severity::Minor, run.title.clone(), "The run failed and was rolled back.", "View error"),
    };
    AttentionItem {
        severity,
        style: status_badge::run(run.state),
        title,
        reason: run.error.as_ref().map_or_else(|| reason.to_owned(), model::Failure::message),
        href: format!("/runs/{}", run.id),
        action,
    }
}

/// The list of what needs attention.
#[component]
pub fn AttentionList(
    /// The items.
    items: Vec<AttentionItem>,
    /// The user's role.
    role: Role,
) -> impl IntoView {
    let count = format::count(items.len() as u64);
    let note = match role {
        Role::Viewer => format!("{count} (requires the role operator)"),
        _ => count,
    };
    view! {
        <section class="panel" aria-labelledby="attention-h">
            <div class="title"><h2 id="attention-h">"Needs attention"</h2><p>{note}</p></div>
            <ul class="need">{items.into_iter().map(|item| view! { <Item item/> }).collect_view()}</ul>
        </section>
    }
    .into_any()
}

#[component]
fn Item(item: AttentionItem) -> impl IntoView {
    let tone = item.style.tone;
    let label = format!("{}: {}", item.action, item.title);
    view! {
        <li class=tone>
            <StatusBadge style=item.style/>
            <div>
                <h3><a class="name" href=item.href.clone()>{item.title}</a></h3>
                <p>{item.reason}</p>
            </div>
            <div class="actions"><a class="btn small" href=item.href aria-label=label>{item.action}</a></div>
        </li>
    }
}
