//! Tables of runs: the active ones with their progress, the others with their result.

use leptos::either::Either;
use leptos::prelude::*;
use model::Run;
use model::run::RunState;

use super::run_progress::Measures;
use super::status_badge::{self, StatusBadge};
use super::step_strip::{StepStrip, blocks_of_run};
use super::time::{Ago, Elapsed};
use crate::{format, labels};

/// Active runs: step, phase, progress, rate, remaining time.
#[component]
pub fn LiveRuns(
    /// The runs.
    runs: Vec<Run>,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Active runs with their progress"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Run"</th>
                        <th scope="col" role="columnheader">"Step"</th>
                        <th scope="col" role="columnheader">"Phase"</th>
                        <th scope="col" role="columnheader" class="num">"Done"</th>
                        <th scope="col" role="columnheader" class="num">"Rate"</th>
                        <th scope="col" role="columnheader" class="num">"Remaining"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{runs.into_iter().map(|run| view! { <LiveRun run/> }).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn LiveRun(run: Run) -> impl IntoView {
    // Only a running job makes progress: what a run that rolls back or is stuck last reported is out of date.
    let progress = run.progress.clone().filter(|_| run.state == RunState::Running).unwrap_or_default();
    let Measures { bytes, rate, remaining, .. } = Measures::of(&progress);
    let done = match bytes {
        Some((done, total)) => Some(format::bytes_of(done, total)),
        None => (progress.bytes > 0).then(|| format::bytes(progress.bytes)),
    };
    let phase = if progress.phase.is_empty() {
        Either::Left(view! { <StatusBadge style=status_badge::run(run.state)/> })
    } else {
        Either::Right(labels::phase(&progress.phase))
    };
    let blocks = blocks_of_run(&run);
    let name = run.step.clone().unwrap_or_default();
    let position = format!("{} of {}", run.position + 1, run.steps);
    let label = format!("Step {position}");
    let dash = || format::DASH.to_owned();
    let step = format!("{position}, {}", run.step_title().unwrap_or_default());
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name" href=format!("/runs/{}", run.id) title=run.title.clone()>{run.title.clone()}</a>
                <span class="sub">"started by " {run.started_by} " " <Ago at=run.created_at/></span>
            </th>
            <td role="cell" data-k="Step" class="full">
                <StepStrip blocks label/>
                <span class="sub" title=name>{step}</span>
            </td>
            <td role="cell" data-k="Phase">{phase}</td>
            <td role="cell" class="num" data-k="Done">{done.unwrap_or_else(dash)}</td>
            <td role="cell" class="num" data-k="Rate">{rate.map_or_else(dash, format::rate)}</td>
            <td role="cell" class="num" data-k="Remaining">
                {match remaining {
                    Some(remaining) => Either::Left(view! { <b>{remaining}</b> }),
                    None => Either::Right(format::DASH),
                }}
            </td>
        </tr>
    }
    .into_any()
}

/// Runs with their results.
#[component]
pub fn EndedRuns(
    /// The runs.
    runs: Vec<Run>,
    /// The table's label for screen readers.
    caption: &'static str,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">{caption}</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Run"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader" class="extra">"Started"</th>
                        <th scope="col" role="columnheader" class="num">"Duration"</th>
                        <th scope="col" role="columnheader">"Ended"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{runs.into_iter().map(|run| view! { <EndedRun run/> }).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn EndedRun(run: Run) -> impl IntoView {
    let style = status_badge::run(run.state);
    let by = format!("by {}", run.started_by);
    let details = match (run.error, run.image_name) {
        (Some(error), _) => error.message(),
        (None, Some(image)) => format!("{image}, {by}"),
        (None, None) => by,
    };
    // The clock of a stuck run stands still, but when it stopped is not recorded.
    let timed = run.finished_at.is_some() || run.state != RunState::Stuck;
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name" href=format!("/runs/{}", run.id) title=run.title.clone()>{run.title.clone()}</a>
                <span class="sub two-lines">{details}</span>
            </th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" class="extra" data-k="Started"><Ago at=run.created_at/></td>
            <td role="cell" class="num" data-k="Duration">
                {if timed {
                    Either::Left(view! { <Elapsed from=run.created_at to=run.finished_at/> })
                } else {
                    Either::Right(view! { <span class="dim">{format::DASH}</span> })
                }}
            </td>
            <td role="cell" data-k="Ended">
                {match run.finished_at {
                    Some(at) => Either::Left(view! { <Ago at/> }),
                    None => Either::Right(view! { <span class="dim">{format::DASH}</span> }),
                }}
            </td>
        </tr>
    }
    .into_any()
}
