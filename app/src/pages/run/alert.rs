//! The alert at the top of a run's page: what failed first, its cause, and what to do.

use leptos::prelude::*;
use model::run::{Diagnosis, RunDetail};
use model::{Failure, RunState};

use crate::components::icon::Icon;

/// The alert; nothing if there is nothing to explain.
pub(super) fn alert(detail: &RunDetail) -> Option<AnyView> {
    match detail.run.state {
        RunState::Failed => Some(failed(detail)),
        RunState::Stuck => Some(stuck(detail)),
        RunState::Undoing => Some(rolling_back(detail)),
        RunState::Running => waiting(detail),
        RunState::Succeeded | RunState::Cancelled => None,
    }
}

/// The errors of a run in the order in which they occurred.
struct Errors {
    /// The error of the first attempt of the step that failed.
    first: Option<Failure>,
    /// The error of its last attempt, if that is a different one.
    last: Option<Failure>,
    /// The newest error of the rollback.
    rollback: Option<Failure>,
}

impl Errors {
    fn of(detail: &RunDetail) -> Self {
        // Only the last step that was started can have failed: all steps before it are done.
        let failed = detail.step_rows.iter().rfind(|step| step.attempt > 0);
        let last = detail.run.error.clone().or_else(|| failed.and_then(|step| step.error.clone()));
        let rollback = detail.step_rows.iter().find_map(|step| step.undo_error.clone());
        match failed.and_then(|step| step.first_error.clone()) {
            Some(first) => Self { first: Some(first), last, rollback },
            None => Self { first: last, last: None, rollback },
        }
    }

    /// The entries for the errors of the failed step.
    fn entries(first: Option<Failure>, last: Option<Failure>) -> impl IntoView {
        let label = if last.is_some() { "First error" } else { "Error" };
        view! {
            {first.map(|error| entry(label, error.to_string()))}
            {last.map(|error| entry("Last error", error.to_string()))}
        }
    }
}

fn failed(detail: &RunDetail) -> AnyView {
    let Errors { first, last, .. } = Errors::of(detail);
    // The title is the cause, which is not repeated, or the error itself if its cause is not known.
    let title = first.as_ref().map_or_else(|| "Failed and rolled back".to_owned(), cause);
    let first = first.filter(|error| error.code.has_known_cause());
    section(
        ("fail", "s-fail", title),
        view! {
            {Errors::entries(first, last)}
            {detail.diagnosis.clone().map(consequences)}
            <SupportReference detail=detail.clone()/>
        },
    )
}

fn stuck(detail: &RunDetail) -> AnyView {
    let Errors { first, last, rollback } = Errors::of(detail);
    let step = detail.run.step_title().unwrap_or_default();
    let fix = detail.diagnosis.as_ref().map_or("Fix the cause.", |diagnosis| &diagnosis.fix);
    let text = format!(
        "{fix} To retry, select Retry rollback. Alternatively, roll back the step \u{201c}{step}\u{201d} manually, then select \
         Mark run as resolved."
    );
    section(
        ("stuck", "s-stuck", "Rollback failed: manual action required".to_owned()),
        view! {
            {Errors::entries(first, last)}
            {rollback.map(|error| entry("Rollback error", error.to_string()))}
            {detail.diagnosis.clone().map(|diagnosis| entry("Cause", diagnosis.cause))}
            {entry("What to do", text)}
            {detail.diagnosis.clone().map(|diagnosis| entry("Effect", diagnosis.meaning))}
            <SupportReference detail=detail.clone()/>
        },
    )
}

fn rolling_back(detail: &RunDetail) -> AnyView {
    let Errors { first, last, rollback } = Errors::of(detail);
    let failed = !detail.run.cancel || detail.run.error.is_some();
    let title = if failed { "Rolling back after a failure" } else { "Rolling back after a cancellation" };
    section(
        ("undo", "s-undo", title.to_owned()),
        view! {
            {Errors::entries(first, last)}
            {rollback.map(|error| entry("Rollback error", error.to_string()))}
            {failed.then(|| view! { <Explanation diagnosis=detail.diagnosis.clone()/> })}
            <SupportReference detail=detail.clone()/>
        },
    )
}

/// The cause of a failure without its subject, as a title; the error itself if the cause is not known.
fn cause(failure: &Failure) -> String {
    let cause = match failure.code.has_known_cause() {
        true => failure.code.explanation().cause.to_owned(),
        false => failure.to_string(),
    };
    cause.trim_end_matches('.').to_owned()
}

/// What the run waits for, if its cause is known.
fn waiting(detail: &RunDetail) -> Option<AnyView> {
    let waits_for = detail.step_rows.iter().find_map(|step| step.waits_for.clone())?;
    let diagnosis = detail.diagnosis.clone()?;
    Some(section(
        ("warn", "s-wait", "Waiting for an external resource".to_owned()),
        view! {
            {entry("Waiting for", waits_for.to_string())}
            {entry("Cause", diagnosis.cause)}
            {entry("Fix", diagnosis.fix)}
        },
    ))
}

fn section((tone, icon, title): (&'static str, &'static str, String), entries: impl IntoView) -> AnyView {
    view! {
        <section class=format!("alert {tone}")>
            <h2><Icon name=icon/>{title}</h2>
            <dl>{entries}</dl>
        </section>
    }
    .into_any()
}

fn entry(term: &'static str, text: String) -> impl IntoView {
    view! { <dt>{term}</dt> <dd>{text}</dd> }
}

#[component]
fn Explanation(diagnosis: Option<Diagnosis>) -> impl IntoView {
    diagnosis.map(|diagnosis| {
        view! {
            {entry("Cause", diagnosis.cause.clone())}
            {consequences(diagnosis)}
        }
    })
}

fn consequences(diagnosis: Diagnosis) -> impl IntoView {
    view! {
        {entry("Fix", diagnosis.fix)}
        {entry("Effect", diagnosis.meaning)}
    }
}

#[component]
fn SupportReference(detail: RunDetail) -> impl IntoView {
    let run = detail.run;
    let text = format!("run {}, {} version {}", run.id, run.workflow, run.version);
    view! { <dt>"Support reference"</dt> <dd class="mono">{text}</dd> }
}
