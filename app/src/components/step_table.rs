//! The table of a run's steps. All steps are listed from the start; their rows are filled while the run proceeds.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::run::{Progress, StepState};
use model::{Failure, StepRow};

use super::status_badge::{self, StatusBadge, StatusStyle};
use super::time::{Due, Elapsed, use_clock};
use crate::{format, labels};

/// The steps, in running order.
#[component]
pub fn StepTable(
    /// The steps.
    #[prop(into)]
    steps: Signal<Vec<StepRow>>,
) -> impl IntoView {
    let clock = use_clock();
    let span = Memo::new(move |_| {
        steps.with(|steps| {
            let active = steps.iter().any(|step| is_active(step.state));
            Span::of(steps, active.then(|| clock.now()))
        })
    });
    view! {
        <div class="wrap">
            <table class="steps cards" role="table">
                <caption class="vh">"Steps of this run, in running order"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader" class="n">"No."</th>
                        <th scope="col" role="columnheader">"Step"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader">"Result"</th>
                        <th scope="col" role="columnheader" class="num">"Attempt"</th>
                        <th scope="col" role="columnheader" class="num">"Duration"</th>
                        <th scope="col" role="columnheader">"Timeline"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {move || steps.get().into_iter().map(|step| view! { <Row step span/> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn is_active(state: StepState) -> bool {
    matches!(state, StepState::Running | StepState::Waiting | StepState::Retrying | StepState::Undoing)
}

/// The time that the timeline covers, in milliseconds since 1970.
#[derive(Clone, Copy, PartialEq)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    /// From the first start to the last end, or to `now` while a step is active.
    fn of(steps: &[StepRow], now: Option<DateTime<Utc>>) -> Self {
        let from =
            steps.iter().filter_map(|step| step.started_at).min().map_or(0, |at| at.timestamp_millis());
        let ends = steps.iter().flat_map(|step| {
            [step.started_at, step.finished_at, step.undo_started_at, step.undo_finished_at]
        });
        let ends = ends.flatten().chain(now);
        Self { from, to: ends.max().map_or(0, |at| at.timestamp_millis()).max(from + 1) }
    }

    fn percent(self, at: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a drawing of a hundred points")]
        let share = (at - self.from) as f64 / (self.to - self.from) as f64;
        (share * 100.0).clamp(0.0, 100.0)
    }
}

#[component]
fn Row(step: StepRow, span: Memo<Span>) -> impl IntoView {
    // A failed step stays a failed one after it was rolled back.
    let failed = step.state == StepState::Undone && step.error.is_some();
    let style = match &step.waits_for {
        _ if failed => StatusStyle::new("fail", "s-fail", "failed, rolled back"),
        Some(_) => StatusStyle::new("warn", "s-wait", "waiting"),
        None => status_badge::step(step.state),
    };
    let bad = failed || matches!(step.state, StepState::Failed | StepState::Stuck);
    let class = match step.state {
        _ if bad => "bad",
        state if is_active(state) => "on",
        _ => "",
    };
    let finished_at = step.finished_at.filter(|_| step.state == StepState::Undoing || !is_active(step.state));
    let rollback = step.undo_started_at.map(|from| (from, step.undo_finished_at));
    view! {
        <tr role="row" class=class>
            <td role="cell" class="n">{step.position + 1}</td>
            <th scope="row" role="rowheader" title=step.name.clone()>{step.title.clone()}</th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" class="what full">{result(&step)}</td>
            <td role="cell" class="num" data-k="Attempt">
                {(step.attempt > 0).then(|| format!("{} of {}", step.attempt, step.attempts))}
            </td>
            <td role="cell" class="num" data-k="Duration">
                {step.started_at.map(|from| view! { <Elapsed from to=finished_at/> })}
                {rollback.map(|(from, to)| view! { <span class="sub">"rollback " <Elapsed from to/></span> })}
            </td>
            <td role="cell" class="gantt-cell">
                {step.started_at.map(|from| view! { <Timeline step=(from, finished_at) rollback span bad/> })}
            </td>
        </tr>
    }
    .into_any()
}

/// When something started and, unless it still runs, ended.
type Period = (DateTime<Utc>, Option<DateTime<Utc>>);

/// The bars of a step and of its rollback.
#[component]
fn Timeline(step: Period, rollback: Option<Period>, span: Memo<Span>, bad: bool) -> impl IntoView {
    let bar = |span: Span, class: &str, (from, to): Period| {
        let x = span.percent(from.timestamp_millis());
        let end = to.map_or(span.to, |at| at.timestamp_millis());
        let width = (span.percent(end) - x).max(1.0);
        format!(r#"<rect class="{class}" x="{x:.1}" y="0" width="{width:.1}" height="8" rx="1"/>"#)
    };
    let bars = move || {
        let span = span.get();
        let rollback = rollback.map(|rollback| bar(span, "bar undo", rollback)).unwrap_or_default();
        bar(span, if bad { "bar bad" } else { "bar" }, step) + &rollback
    };
    let offset = span.with_untracked(|span| format::duration(step.0.timestamp_millis() - span.from));
    view! {
        <svg class="chart gantt" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=format!("started {offset} after the first step") inner_html=bars></svg>
    }
}

/// The result column: what the step waits for, its errors, its next attempt, its progress.
fn result(step: &StepRow) -> AnyView {
    let progress = step.progress.as_ref().and_then(|progress| match step.state {
        StepState::Running | StepState::Waiting => Some(progress_so_far(progress)),
        StepState::Done => Some(final_amounts(progress)).filter(|amounts| !amounts.is_empty()),
        // What an ended attempt reported is neither a result nor progress.
        _ => None,
    });
    let next = step.due_at.filter(|_| step.state == StepState::Retrying);
    let error = step.error.as_ref().filter(|_| step.waits_for.is_none());
    let labelled = |label: &'static str, failure: Option<&Failure>| {
        failure.map(|failure| view! { <p><b>{label}</b> " " <span>{failure.to_string()}</span></p> })
    };
    view! {
        {labelled("Waiting for:", step.waits_for.as_ref())}
        {labelled("First attempt:", step.first_error.as_ref())}
        {error.map(|error| view! { <span>{error.to_string()}</span> })}
        {labelled("Rollback:", step.undo_error.as_ref())}
        {next.map(|at| view! { <span class="sub">" Next attempt: " <Due at/></span> })}
        {progress.map(|text| view! { <span class="sub">{text}</span> })}
    }
    .into_any()
}

/// `copying rows, 3 of 7, 120 of 298 MB`.
fn progress_so_far(progress: &Progress) -> String {
    let objects =
        progress.total.map(|total| format!("{} of {}", format::count(progress.done), format::count(total)));
    let bytes = match progress.bytes_total {
        Some(total) if total >= progress.bytes && total > 0 => Some(format::bytes_of(progress.bytes, total)),
        _ => (progress.bytes > 0).then(|| format::bytes(progress.bytes)),
    };
    let phase = Some(labels::phase(&progress.phase)).filter(|phase| !phase.is_empty());
    [phase, objects, bytes].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `7 objects, 233 MB`: what a finished step did. Totals are estimates and are left out.
fn final_amounts(progress: &Progress) -> String {
    let objects = (progress.done > 0).then(|| format::quantity(progress.done, "object", "objects"));
    let bytes = (progress.bytes > 0).then(|| format::bytes(progress.bytes));
    [objects, bytes].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
