//! A run's steps as a row of blocks. The row has a label for screen readers and stands beside the step's number.

use leptos::prelude::*;
use model::run::RunState;

use crate::format;

/// How the block of one step is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    /// Not started.
    Pending,
    /// Done.
    Done,
    /// Running, with the completed fraction (0 to 1) if it is known.
    Running(Option<f64>),
    /// Failed.
    Failed,
    /// Rolling back, or rolled back.
    RolledBack,
}

/// The blocks of a run's steps.
#[must_use]
pub fn blocks_of_run(run: &model::Run) -> Vec<Block> {
    let fraction = run.progress.as_ref().and_then(|p| format::fraction(p.bytes, p.bytes_total));
    (0..run.steps)
        .map(|step| match run.state {
            RunState::Succeeded => Block::Done,
            _ if step > run.position => Block::Pending,
            _ if step < run.position => match run.state {
                RunState::Failed | RunState::Cancelled => Block::RolledBack,
                _ => Block::Done,
            },
            RunState::Running => Block::Running(fraction),
            RunState::Undoing | RunState::Cancelled => Block::RolledBack,
            RunState::Failed | RunState::Stuck => Block::Failed,
        })
        .collect()
}

/// A run's steps as a row of blocks.
#[component]
pub fn StepStrip(
    /// One block a step.
    blocks: Vec<Block>,
    /// The label for screen readers.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    let width = (blocks.len() * 18).saturating_sub(2).max(1);
    let inner: String = blocks.iter().enumerate().map(|(i, block)| draw(i * 18, *block)).collect();
    view! {
        <svg class="blocks strip" viewBox=format!("0 0 {width} 10") preserveAspectRatio="xMinYMid" role="img" aria-label=label inner_html=inner></svg>
    }
}

fn draw(x: usize, block: Block) -> String {
    let outline = |class: &str| {
        format!(r#"<rect class="{class}" x="{x}.75" y=".75" width="14.5" height="8.5" rx="1.5"/>"#)
    };
    let filled =
        |class: &str| format!(r#"<rect class="{class}" x="{x}" y="0" width="16" height="10" rx="1.5"/>"#);
    match block {
        Block::Pending => outline("todo"),
        Block::RolledBack => outline("undo"),
        Block::Done => filled("ok"),
        Block::Failed => filled("fail"),
        Block::Running(fraction) => {
            let done = 16.0 * fraction.unwrap_or(0.5).clamp(0.08, 1.0);
            format!(
                r#"<rect class="base" x="{x}.5" y=".5" width="15" height="9" rx="1.5"/><rect class="r" x="{x}" y="0" width="{done:.1}" height="10" rx="1.5"/>"#
            )
        }
    }
}
