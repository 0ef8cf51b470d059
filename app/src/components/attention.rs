//! What needs attention, the most severe first: stuck and failed runs, instances that are down or at risk.

use leptos::prelude::*;
use model::overview::Overview;
use model::run::RunState;
use model::{Health, Instance, InstanceStatus, Role, Run};

use super::status_badge::{self, StatusBadge, StatusStyle};

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
    let mut items: Vec<AttentionItem> = runs.chain(instances).collect();
    items.sort_by_key(|item| item.severity);
    items
}

fn of_instance(instance: &Instance) -> Option<AttentionItem> {
    let (severity, title) = match (instance.status, instance.health, &instance.health_detail) {
        (InstanceStatus::Running, Health::Down, _) => (Severity::Major, "is unreachable"),
        (InstanceStatus::Running, Health::Ok, Some(_)) => (Severity::Critical, "is at risk of data loss"),
        _ => return None,
    };
    let reason = instance.health_detail.as_ref().map(model::Failure::message);
    Some(AttentionItem {
        severity,
        style: status_badge::instance(instance),
        title: format!("{} {title}", instance.name),
        reason: reason.unwrap_or_else(|| "The last health check got no response.".to_owned()),
        href: format!("/instances/{}", instance.name),
        action: "Open",
    })
}

fn of_run(run: &Run) -> AttentionItem {
    let (severity, title, reason, action) = match run.state {
        RunState::Stuck => (
            Severity::Critical,
            format!("Rollback failed: {}", run.title),
            "The run still holds its locks. Fix the cause, then retry.",
            "Resolve",
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
    let note = match role {
        Role::Viewer => format!("{}, for an operator", items.len()),
        _ => items.len().to_string(),
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
