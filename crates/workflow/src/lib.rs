//! Durable step tables on PostgreSQL.
//!
//! A **run** is one execution of a workflow: a list of steps, all of them rows in a table before the first one starts.
//! A worker claims a run, does its steps one after the other, and writes down how each ended. When the worker dies,
//! another one goes on where it stopped. This crate knows nothing of what steps do.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use workflow::{StepContext, Engine, Failure, Lock, StepOutcome, StartOptions, Step, Steps, Workflow};
//!
//! /// Greets somebody, durably.
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Workflow for Greet {
//!     const NAME: &'static str = "greet";
//!     const VERSION: i32 = 1;
//!     type Services = ();
//!     fn locks(&self) -> Vec<Lock> {
//!         vec![Lock::exclusive(format!("person/{}", self.name))]
//!     }
//!     fn steps() -> Steps<Self> {
//!         Steps::first::<SayHello>()
//!     }
//! }
//!
//! struct SayHello;
//!
//! impl Step for SayHello {
//!     const NAME: &'static str = "SayHello";
//!     type Workflow = Greet;
//!     type Output = String;
//!     async fn run(cx: &StepContext<Greet>) -> Result<StepOutcome<String>, Failure> {
//!         Ok(StepOutcome::Done(format!("Hello, {}", cx.input.name)))
//!     }
//! }
//!
//! # async fn example(db: sqlx::PgPool) -> anyhow::Result<()> {
//! let mut tx = db.begin().await?;
//! let input = Greet { name: "Ada".into() };
//! let run = workflow::start(&mut tx, &input, StartOptions::default()).await?;
//! tx.commit().await?;
//!
//! let stop = tokio_util::sync::CancellationToken::new();
//! Engine::new(db, (), "worker-1").register::<Greet>().pool("default").run(stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # States of a run
//! ```text
//! running ──────────────▶ succeeded
//!    │ a step failed for good, a deadline, a cancel
//!    ▼
//! undoing ──▶ failed | cancelled
//!    │ ▲ an undo failed for good      retry: undo again
//!    ▼ │                              accept: leave this one step as it is, undo the others
//!  stuck
//! ```
//! Undo runs backwards and includes the step that failed, because that one may have done half of its work.
//!
//! # What is promised
//! - No two workers' results are accepted for one step: each claim makes the run's `epoch` greater, and each write names
//!   the epoch that its worker believes in.
//! - A repeat of an attempt meets the same named effect: whatever a step makes is to be named by run, step and attempt
//!   ([`StepContext`] has them), and `attempt` grows only after a failure was written down.
//! - A worker that wakes up late stops at its next await and changes no row.
//! - Steps are done at least once. They must bear being repeated; [`testing`] has tests that insist.
//!
//! # Locks
//! [`start`] refuses a run that needs what another one has, with [`StartError::Locked`], and does not queue it: whoever
//! presses a button should know at once. Locks are released when the run ends; a stuck run keeps them.
//!
//! Only the database's clock counts. Inside a worker, a monotonic one tells when its lease is no longer deadline.

#![cfg_attr(
    not(feature = "testing"),
    expect(rustdoc::broken_intra_doc_links, reason = "testing is a feature")
)]

mod claim;
mod command;
mod definition;
mod engine;
mod lease;
mod listener;
mod execute;
mod transitions;
mod start;
mod step;
#[cfg(feature = "testing")]
pub mod testing;

pub use command::{CommandError, accept, cancel, retry, wake};
pub use definition::WorkflowShape;
pub use engine::{Engine, Timing};
pub use listener::CHANNEL;
pub use start::{Lock, RunId, StartError, StartOptions, start};
pub use step::{Failure, StepContext, StepOutcome, code, Retry, Step, Steps, Workflow, database_is_unavailable};
