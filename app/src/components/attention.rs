//! What waits for a person, the heaviest first: what happened, why, and the one thing to press.

use leptos::prelude::*;
use model::overview::Overview;
use model::run::RunState;
use model::{Health, InstanceStatus, Role, Run};

use super::status_badge::{self, StatusBadge, StatusStyle};

/// One thing that waits for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionItem {
    style: StatusStyle,
    title: String,
    text: String,
    href: String,
    press: &'static str,
    weight: u8,
}

/// What of the overview waits for a person.
#[must_use]
pub fn attention_items(overview: &Overview) -> Vec<AttentionItem> {
    let mut needs: Vec<AttentionItem> = overview.needs_you.iter().map(of_run).collect();
    for row in &overview.instances {
        let instance = &row.instance;
        if instance.status != InstanceStatus::Running {
            continue;
        }
        let (title, weight) = match (instance.health, &instance.health_detail) {
            (Health::Down, _) => ("does not answer", 1),
            (Health::Ok, Some(_)) => ("will lose its data", 0),
            _ => continue,
        };
        needs.push(AttentionItem {
            style: status_badge::instance(instance),
            title: format!("{} {title}", instance.name),
            text: instance
                .health_detail
                .clone()
                .unwrap_or_else(|| "The last look found nobody there.".to_owned()),
            href: format!("/instances/{}", instance.name),
            press: "Look at it",
            weight,
        });
    }
    needs.sort_by_key(|need| need.weight);
    needs
}

fn of_run(run: &Run) -> AttentionItem {
    let (text, press, weight) = match run.state {
        RunState::Stuck => ("It can go neither back nor forth, and its locks are held.", "Decide", 0),
        _ => ("It failed, and what it had done was undone.", "See why", 2),
    };
    AttentionItem {
        style: status_badge::run(run.state),
        title: run.title.clone(),
        text: run.error.clone().unwrap_or_else(|| text.to_owned()),
        href: format!("/runs/{}", run.id),
        press,
        weight,
    }
}

/// The list of what waits for a person.
#[component]
pub fn AttentionList(
    /// What waits.
    items: Vec<AttentionItem>,
    /// What the person may do.
    role: Role,
) -> impl IntoView {
    let note = match (items.len(), role) {
        (1, _) => "1".to_owned(),
        (many, Role::Viewer) => format!("{many}, for an operator"),
        (many, _) => format!("{many}, the heaviest first"),
    };
    view! {
        <section class="panel" aria-labelledby="need-h">
            <div class="title"><h2 id="need-h">"Needs you"</h2><p>{note}</p></div>
            <ul class="need">
                {items
                    .into_iter()
                    .map(|need| {
                        let tone = need.style.tone;
                        view! {
                            <li class=tone>
                                <StatusBadge style=need.style/>
                                <div>
                                    <h3><a class="name" href=need.href.clone()>{need.title.clone()}</a></h3>
                                    <p>{need.text}</p>
                                </div>
                                <div class="actions">
                                    <a class="btn small" href=need.href aria-label=format!("{}: {}", need.press, need.title)>
                                        {need.press}
                                    </a>
                                </div>
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        </section>
    }
    .into_any()
}
