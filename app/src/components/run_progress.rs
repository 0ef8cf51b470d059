//! Long work: phase, done of all, rate, time left, over one bar. Left is said only when the rate is known.

use leptos::prelude::*;
use model::Run;
use model::run::{RunState, step_words};

use crate::format;

/// The current step of a run that goes on.
#[component]
pub fn RunProgress(
    /// The run.
    run: Run,
    /// What the step waits for outside of Toygres.
    #[prop(default = None)]
    waits_for: Option<String>,
) -> impl IntoView {
    let step = run.step.as_deref().map(step_words).unwrap_or_default();
    let progress = run.progress.clone().unwrap_or_default();
    let by_bytes =
        progress.bytes_total.filter(|total| *total > 0).map(|total| (progress.bytes.min(total), total));
    let by_count = progress.total.filter(|total| *total > 0).map(|total| (progress.done.min(total), total));
    // Without a measure inside the step, the steps are the measure.
    let steps = (u64::try_from(run.position).unwrap_or(0), u64::try_from(run.steps.max(1)).unwrap_or(1));
    let (done, total) = by_bytes.or(by_count).unwrap_or(steps);
    let percent = done.saturating_mul(100) / total.max(1);
    let rate = progress.rate.filter(|rate| *rate > 0);
    let left = rate.zip(by_bytes).map(|(rate, (done, total))| (total - done) / rate);
    let left = left
        .and_then(|seconds| i64::try_from(seconds).ok())
        .map(|seconds| format::duration(seconds.saturating_mul(1000)));
    let verb = if run.state == RunState::Undoing { "undoing " } else { "" };
    let measured = by_bytes.or(by_count).is_some();
    view! {
        <section class="run-progress big" aria-labelledby="w-h">
            <h2 id="w-h" class="row">
                {measured.then(|| view! { <output class="pct">{format!("{percent} %")}</output> " " })}
                <span>{format!("{verb}step {} of {}, {step}", run.position + 1, run.steps)}</span>
            </h2>
            <progress max=total.to_string() value=done.to_string() aria-labelledby="w-h">{format!("{percent} %")}</progress>
            <dl>
                {waits_for.map(|words| view! { <div class="waits"><dt>"Waits for"</dt><dd>{words}</dd></div> })}
                {(!progress.phase.is_empty()).then(|| view! { <div><dt>"Phase"</dt><dd>{progress.phase.clone()}</dd></div> })}
                {by_bytes.map(|(done, total)| view! { <div><dt>"Done"</dt><dd>{format::bytes_of(done, total)}</dd></div> })}
                {by_count.map(|(done, total)| view! { <div><dt>"Objects"</dt><dd>{format!("{} of {}", format::count(done), format::count(total))}</dd></div> })}
                {rate.map(|rate| view! { <div><dt>"Rate"</dt><dd>{format::rate(rate)}</dd></div> })}
                {left.map(|left| view! { <div><dt>"Left"</dt><dd>{left}</dd></div> })}
            </dl>
        </section>
    }
    .into_any()
}
