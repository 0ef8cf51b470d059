//! The steps of a run: the plan is there from the first second, the rows fill up.

use leptos::prelude::*;
use model::StepRow;
use model::run::StepState;

use super::status_badge::{self, StatusBadge, StatusStyle};
use super::time::{Ago, Elapsed};
use crate::format;

/// The steps, in running order.
#[component]
pub fn StepTable(
    /// The steps.
    #[prop(into)]
    steps: Signal<Vec<StepRow>>,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="steps cards" role="table">
                <caption class="vh">"Steps of this run, in the order they run"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader" class="n">"No."</th>
                        <th scope="col" role="columnheader">"Step"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader">"What it did"</th>
                        <th scope="col" role="columnheader" class="num">"Attempt"</th>
                        <th scope="col" role="columnheader" class="num">"Took"</th>
                        <th scope="col" role="columnheader">"When"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {move || {
                        let steps = steps.get();
                        let span = Span::of(&steps);
                        steps.into_iter().map(|step| view! { <Row step span/> }).collect_view()
                    }}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

/// From the first beginning to the last end, in milliseconds since 1970.
#[derive(Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    fn of(steps: &[StepRow]) -> Self {
        let from =
            steps.iter().filter_map(|step| step.started_at).min().map_or(0, |at| at.timestamp_millis());
        let ends = steps.iter().filter_map(|step| step.finished_at.or(step.started_at));
        Self { from, to: ends.max().map_or(0, |at| at.timestamp_millis()).max(from + 1) }
    }

    fn percent(self, at: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a drawing of a hundred points")]
        let share = (at - self.from) as f64 / (self.to - self.from) as f64;
        (share * 100.0).clamp(0.0, 100.0)
    }
}

#[component]
fn Row(step: StepRow, span: Span) -> impl IntoView {
    // A step that failed has failed, whether it was undone since or not.
    let failed = step.state == StepState::Undone && step.error.is_some();
    let style = match &step.waits_for {
        _ if failed => StatusStyle::new("fail", "s-fail", "failed, undone"),
        Some(_) => StatusStyle::new("warn", "s-wait", "waits"),
        None => status_badge::step(step.state),
    };
    let class = match step.state {
        StepState::Running | StepState::Waiting | StepState::Retrying | StepState::Undoing => "on",
        StepState::Failed | StepState::Stuck => "bad",
        _ if failed => "bad",
        _ => "",
    };
    let words = step.words();
    let begun = step.attempt > 0;
    let took = step.started_at.map(|from| {
        let over =
            matches!(step.state, StepState::Done | StepState::Failed | StepState::Undone | StepState::Stuck);
        let to = step.finished_at.filter(|_| over);
        view! { <Elapsed from to/> }
    });
    let bar = step.started_at.map(|from| {
        let from = from.timestamp_millis();
        let x = span.percent(from);
        let end = step.finished_at.map_or(span.to, |at| at.timestamp_millis());
        let width = (span.percent(end) - x).max(1.0);
        let class = if class == "bad" { "bar bad" } else { "bar" };
        let inner = format!(r#"<rect class="{class}" x="{x:.1}" y="0" width="{width:.1}" height="8" rx="1"/>"#);
        let after = format::duration(from - span.from);
        view! {
            <svg class="chart gantt" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=format!("began {after} after the first step") inner_html=inner></svg>
        }
    });
    view! {
        <tr role="row" class=class>
            <td role="cell" class="n">{step.position + 1}</td>
            <th scope="row" role="rowheader">{words}</th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" class="what full">{what(&step)}</td>
            <td role="cell" class="num drop" data-k="Attempt">{begun.then(|| format!("{} of {}", step.attempt, step.attempts))}</td>
            <td role="cell" class="num drop" data-k="Took">{took}</td>
            <td role="cell" class="gantt-cell">{bar}</td>
        </tr>
    }
    .into_any()
}

/// What a step's row says: how far, what went wrong, what happens next.
fn what(step: &StepRow) -> AnyView {
    let progress = step.progress.as_ref().filter(|_| step.state != StepState::Undone).map(|progress| {
        let mut words = vec![progress.phase.clone()];
        if let Some(total) = progress.total {
            words.push(format!("{} of {}", format::count(progress.done), format::count(total)));
        }
        if progress.bytes > 0 {
            words.push(match progress.bytes_total {
                Some(total) if total >= progress.bytes => format::bytes_of(progress.bytes, total),
                _ => format::bytes(progress.bytes),
            });
        }
        words.retain(|word| !word.is_empty());
        words.join(", ")
    });
    let next = step.due_at.filter(|_| step.state == StepState::Retrying);
    let error = step.error.clone().filter(|_| step.waits_for.is_none());
    let waits_for = step.waits_for.clone();
    view! {
        {waits_for.map(|words| view! { <b>"Waits for: "</b><span>{words}</span> })}
        {error.map(|error| view! { <span>{error}</span> })}
        {next.map(|at| view! { <span class="sub">" Next try " <Ago at/></span> })}
        {progress.map(|words| view! { <span class="sub">{words}</span> })}
    }
    .into_any()
}
