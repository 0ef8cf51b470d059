//! The header of a run's page: its title, its state, what it is about, and the actions on it.

use leptos::prelude::*;
use model::run::RunDetail;
use model::{Role, RunState};

use crate::api::runs::{AcceptRun, RetryRun};
use crate::components::code::CopyButton;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::time::{Ago, Elapsed};

/// The header.
#[component]
pub(super) fn RunHeader(detail: RwSignal<RunDetail>, role: Role) -> impl IntoView {
    let retry = ServerAction::<RetryRun>::new();
    let accept = ServerAction::<AcceptRun>::new();
    let title = detail.with_untracked(|detail| detail.run.title.clone());
    let state = Memo::new(move |_| detail.with(|detail| detail.run.state));
    let states = move || {
        view! { {move || view! { <StatusBadge style=status_badge::run(state.get()) pill=true/> }} }
    };
    view! {
        <PageHeader
            title
            crumbs=vec![("/runs".into(), "Runs".into())]
            states
            sub=move || view! { <Description detail/> }
        >
            {(role >= Role::Operator).then(|| view! { <RunActions detail role retry accept/> })}
            <FormError error=action_error(retry)/>
            <FormError error=action_error(accept)/>
        </PageHeader>
    }
    .into_any()
}

/// `Instance orders, image orders-nightly, started by admin 2 h ago, duration 45 s, run 0190d0b8`.
#[component]
fn Description(detail: RwSignal<RunDetail>) -> impl IntoView {
    let run = detail.with_untracked(|detail| detail.run.clone());
    let instance = run.instance_name.zip(run.instance).map(|(name, _)| {
        view! { "instance " <a href=format!("/instances/{name}")>{name.clone()}</a> ", " }
    });
    let image = run.image_name.zip(run.image).map(|(name, id)| {
        view! { "image " <a class="mono" href=format!("/images/{id}")>{name}</a> ", " }
    });
    view! {
        {instance}
        {image}
        {format!("started by {} ", run.started_by)}
        <Ago at=run.created_at/>
        ", "
        {move || detail.with(duration)}
        <span class="keep">
            "run " <span class="mono">{run.id.short()}</span> " " <CopyButton text=run.id.to_string() what="the run's ID"/>
        </span>
    }
}

/// How long the run took or has been running; nothing for a stuck run, whose clock stands still.
fn duration(detail: &RunDetail) -> Option<AnyView> {
    let (from, to) = (detail.run.created_at, detail.run.finished_at);
    let label = match detail.run.state {
        RunState::Stuck => return None,
        RunState::Running | RunState::Undoing => "running for ",
        RunState::Succeeded | RunState::Failed | RunState::Cancelled => "duration ",
    };
    Some(view! { {label} <Elapsed from to/> ", " }.into_any())
}

#[component]
fn RunActions(
    detail: RwSignal<RunDetail>,
    role: Role,
    retry: ServerAction<RetryRun>,
    accept: ServerAction<AcceptRun>,
) -> impl IntoView {
    let id = detail.with_untracked(|detail| detail.run.id);
    let state = Memo::new(move |_| detail.with(|detail| (detail.run.state, detail.run.cancel)));
    let cancel = move || {
        (state.get() == (RunState::Running, false)).then(|| {
            view! {
                <a class="btn danger" href=format!("/runs/{id}?ask=cancel")><Icon name="s-cancel"/>"Cancel run…"</a>
            }
        })
    };
    let retry = move || {
        let label = match state.get().0 {
            RunState::Failed | RunState::Cancelled => "Retry run",
            RunState::Stuck => "Retry rollback",
            RunState::Running | RunState::Undoing | RunState::Succeeded => return None,
        };
        Some(view! {
            <ActionForm action=retry>
                <input type="hidden" name="id" value=id.to_string()/>
                <button class="btn primary" disabled=move || retry.pending().get()><Icon name="runs"/>{label}</button>
            </ActionForm>
        })
    };
    let name = detail.with_untracked(|detail| detail.run.name_to_confirm().to_owned());
    let accept = move || {
        (state.get().0 == RunState::Stuck && role >= Role::Admin).then(|| {
            let label = format!("Type {name} to confirm");
            view! {
                <ActionForm action=accept>
                    <input type="hidden" name="id" value=id.to_string()/>
                    <input name="confirm" required autocomplete="off" placeholder=label.clone() aria-label=label/>
                    <button class="btn" disabled=move || accept.pending().get()>"Mark run as resolved"</button>
                </ActionForm>
            }
        })
    };
    view! { {cancel} {retry} {accept} }.into_any()
}
