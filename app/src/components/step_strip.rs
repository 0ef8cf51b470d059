//! A run's steps as a row of blocks. It has a name for readers and stands beside its number.

use leptos::prelude::*;
use model::run::{RunState, StepState};

use crate::format;

/// How one step's block is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    /// Not begun.
    Todo,
    /// Done.
    Done,
    /// At work, so much of it done (0 to 1), if that is known.
    Running(Option<f64>),
    /// Waits.
    Waiting,
    /// Failed, or stuck.
    Failed,
    /// Being undone, or undone.
    Undone,
}

impl From<StepState> for Block {
    fn from(state: StepState) -> Self {
        match state {
            StepState::Todo | StepState::Skipped => Self::Todo,
            StepState::Done => Self::Done,
            StepState::Running | StepState::Waiting => Self::Running(None),
            StepState::Retrying => Self::Waiting,
            StepState::Failed | StepState::Stuck => Self::Failed,
            StepState::Undoing | StepState::Undone => Self::Undone,
        }
    }
}

/// The blocks of a run of which only the row is known.
#[must_use]
pub fn of_run(run: &model::Run) -> Vec<Block> {
    let share = run.progress.as_ref().and_then(|p| format::fraction(p.bytes, p.bytes_total));
    (0..run.steps)
        .map(|step| match run.state {
            RunState::Succeeded => Block::Done,
            _ if step > run.position => Block::Todo,
            _ if step < run.position => match run.state {
                RunState::Failed | RunState::Cancelled => Block::Undone,
                _ => Block::Done,
            },
            RunState::Running => Block::Running(share),
            RunState::Undoing | RunState::Cancelled => Block::Undone,
            RunState::Failed | RunState::Stuck => Block::Failed,
        })
        .collect()
}

/// A run's steps as a row of blocks.
#[component]
pub fn StepStrip(
    /// A block each.
    blocks: Vec<Block>,
    /// What it shows, for who does not see it.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    let width = (blocks.len() * 18).saturating_sub(2).max(1);
    let inner: String = blocks.iter().enumerate().map(|(i, block)| step_block(i * 18, *block)).collect();
    view! {
        <svg class="blocks strip" viewBox=format!("0 0 {width} 10") role="img" aria-label=label inner_html=inner></svg>
    }
}

fn step_block(x: usize, block: Block) -> String {
    let hollow = |class: &str| {
        format!(r#"<rect class="{class}" x="{x}.75" y=".75" width="14.5" height="8.5" rx="1.5"/>"#)
    };
    match block {
        Block::Todo => hollow("todo"),
        Block::Waiting => hollow("wait"),
        Block::Undone => hollow("undo"),
        Block::Done => format!(r#"<rect class="ok" x="{x}" y="0" width="16" height="10" rx="1.5"/>"#),
        Block::Failed => format!(r#"<rect class="fail" x="{x}" y="0" width="16" height="10" rx="1.5"/>"#),
        Block::Running(share) => {
            let done = 16.0 * share.unwrap_or(0.5).clamp(0.08, 1.0);
            format!(
                r#"<rect class="base" x="{x}.5" y=".5" width="15" height="9" rx="1.5"/><rect class="r" x="{x}" y="0" width="{done:.1}" height="10" rx="1.5"/>"#
            )
        }
    }
}
