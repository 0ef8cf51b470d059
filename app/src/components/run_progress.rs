//! The progress of a run's current step: what is done, the rate and the remaining time, above one bar.

use leptos::either::Either;
use leptos::prelude::*;
use model::Run;
use model::run::{Progress, RunState};

use crate::{format, labels};

/// The current step of a run that is running or rolling back.
#[component]
pub fn RunProgress(
    /// The run.
    run: Run,
    /// The external resource that the step waits for.
    #[prop(default = None)]
    waits_for: Option<String>,
) -> impl IntoView {
    if run.state == RunState::Running {
        Either::Left(view! { <StepProgress run waits_for/> })
    } else {
        Either::Right(view! { <Rollback run/> })
    }
}

/// The progress of a job, derived from what the agent reported.
pub(super) struct Measures {
    /// Bytes done and in total.
    pub(super) bytes: Option<(u64, u64)>,
    /// Objects done and in total.
    pub(super) objects: Option<(u64, u64)>,
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    /// The remaining time, as text; none before the first hundredth, which says little about the rest.
    pub(super) remaining: Option<String>,
}

impl Measures {
    pub(super) fn of(progress: &Progress) -> Self {
        let of_total = |done: u64, total: Option<u64>| {
            total.filter(|total| *total > 0).map(|total| (done.min(total), total))
        };
        let bytes = of_total(progress.bytes, progress.bytes_total);
        let rate = progress.rate.filter(|rate| *rate > 0);
        let remaining = rate
            .zip(bytes)
            .filter(|(_, (done, total))| *done < *total && done.saturating_mul(100) >= *total)
            .and_then(|(rate, (done, total))| i64::try_from((total - done).div_ceil(rate)).ok())
            .map(|seconds| format::duration(seconds.saturating_mul(1000)));
        Self { bytes, objects: of_total(progress.done, progress.total), rate, remaining }
    }
}

#[component]
fn StepProgress(run: Run, waits_for: Option<String>) -> impl IntoView {
    let name = run.step.clone().unwrap_or_default();
    let progress = run.progress.clone().unwrap_or_default();
    let Measures { bytes, objects, rate, remaining } = Measures::of(&progress);
    let measured = bytes.or(objects);
    // Without a measure inside the step, the bar counts steps.
    let steps = (u64::try_from(run.position).unwrap_or(0), u64::try_from(run.steps.max(1)).unwrap_or(1));
    let (done, total) = measured.unwrap_or(steps);
    // A step that is running is not complete.
    let percent = (done.saturating_mul(100) / total.max(1)).min(99);
    let title =
        format!("Step {} of {}: {}", run.position + 1, run.steps, run.step_title().unwrap_or_default());
    view! {
        <section class="run-progress big" aria-labelledby="progress-h">
            <h2 id="progress-h" class="row">
                {measured.map(|_| view! { <output class="pct">{format!("{percent}%")}</output> " " })}
                <span title=name>{title}</span>
            </h2>
            <progress max=total.to_string() value=done.to_string() aria-labelledby="progress-h">{format!("{percent}%")}</progress>
            <dl>
                {waits_for.map(|what| view! { <div class="waits"><dt>"Waiting for"</dt><dd>{what}</dd></div> })}
                {(!progress.phase.is_empty()).then(|| view! { <div><dt>"Phase"</dt><dd>{labels::phase(&progress.phase)}</dd></div> })}
                {bytes.map(|(done, total)| view! { <div><dt>"Done"</dt><dd>{format::bytes_of(done, total)}</dd></div> })}
                {objects.map(|(done, total)| view! { <div><dt>"Objects"</dt><dd>{format!("{} of {}", format::count(done), format::count(total))}</dd></div> })}
                {rate.map(|rate| view! { <div><dt>"Rate"</dt><dd>{format::rate(rate)}</dd></div> })}
                {remaining.map(|remaining| view! { <div><dt>"Remaining"</dt><dd>{remaining}</dd></div> })}
            </dl>
        </section>
    }
    .into_any()
}

/// The rollback of a run. The progress of its last job is not shown: that job has ended.
#[component]
fn Rollback(run: Run) -> impl IntoView {
    let name = run.step.clone().unwrap_or_default();
    let title = format!(
        "Rolling back step {} of {}: {}",
        run.position + 1,
        run.steps,
        run.step_title().unwrap_or_default()
    );
    view! {
        <section class="run-progress big undo" aria-labelledby="progress-h">
            <h2 id="progress-h" title=name>{title}</h2>
            <progress aria-labelledby="progress-h"></progress>
        </section>
    }
}
