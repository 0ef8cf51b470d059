//! Runs in tables: the live ones with their progress, the ended ones with what became of them.

use leptos::either::Either;
use leptos::prelude::*;
use model::Run;
use model::run::{RunState, step_words};

use super::status_badge::{self, StatusBadge};
use super::step_strip::{StepStrip, blocks_of_run};
use super::time::{Ago, Elapsed};
use crate::format;

/// The live runs: step, phase, done, rate, left.
#[component]
pub fn LiveRuns(
    /// The runs.
    runs: Vec<Run>,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Live runs with their progress"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Run"</th>
                        <th scope="col" role="columnheader">"Step"</th>
                        <th scope="col" role="columnheader">"Phase"</th>
                        <th scope="col" role="columnheader" class="num">"Done"</th>
                        <th scope="col" role="columnheader" class="num">"Rate"</th>
                        <th scope="col" role="columnheader" class="num">"Left"</th>
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
    let progress = run.progress.clone().unwrap_or_default();
    let step = run.step.as_deref().map(step_words).unwrap_or_default();
    let done = match (progress.bytes, progress.bytes_total) {
        (0, None) => None,
        (bytes, Some(total)) => Some(format::bytes_of(bytes, total)),
        (bytes, None) => Some(format::bytes(bytes)),
    };
    let rate = progress.rate.filter(|rate| *rate > 0);
    let left = rate
        .zip(progress.bytes_total)
        .map(|(rate, total)| total.saturating_sub(progress.bytes) / rate)
        .and_then(|seconds| i64::try_from(seconds).ok())
        .map(|seconds| format::duration(seconds.saturating_mul(1000)));
    let label = format!("Step {} of {}", run.position + 1, run.steps);
    let phase = if progress.phase.is_empty() || run.state != RunState::Running {
        Either::Left(view! { <StatusBadge style=status_badge::run(run.state)/> })
    } else {
        Either::Right(progress.phase)
    };
    let blocks = blocks_of_run(&run);
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name" href=format!("/runs/{}", run.id)>{run.title}</a>
                <span class="sub">"by " {run.started_by} ", " <Ago at=run.created_at/></span>
            </th>
            <td role="cell" data-k="Step" class="full">
                <StepStrip blocks label/>
                <span class="sub">{format!("{} of {}, {step}", run.position + 1, run.steps)}</span>
            </td>
            <td role="cell" data-k="Phase">{phase}</td>
            <td role="cell" class="num" data-k="Done">{done}</td>
            <td role="cell" class="num" data-k="Rate">{rate.map(format::rate)}</td>
            <td role="cell" class="num" data-k="Left">{left.map(|left| view! { <b>{left}</b> })}</td>
        </tr>
    }
    .into_any()
}

/// Runs and what became of them.
#[component]
pub fn EndedRuns(
    /// The runs.
    runs: Vec<Run>,
    /// What the table is, for who does not see it.
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
                        <th scope="col" role="columnheader" class="num">"Took"</th>
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
    let of = run.image_name.map_or(by.clone(), |image| format!("{image}, {by}"));
    let about = run.error.unwrap_or(of);
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name" href=format!("/runs/{}", run.id)>{run.title}</a>
                <span class="sub two-lines">{about}</span>
            </th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" class="num" data-k="Took"><Elapsed from=run.created_at to=run.finished_at/></td>
            <td role="cell" data-k="Ended">
                {match run.finished_at {
                    Some(at) => Either::Left(view! { <Ago at/> }),
                    None => Either::Right(view! { <span class="dim">"not yet"</span> }),
                }}
            </td>
        </tr>
    }
    .into_any()
}
