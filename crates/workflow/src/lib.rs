//! Durable workflows on PostgreSQL.
//!
//! A **run** is one execution of a workflow: a list of steps, all of which are rows of a table before the first one
//! starts. A worker claims a run, executes its steps one after the other and records the result of each. When a worker is
//! lost, another one continues where it stopped. This crate knows nothing of what steps do.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use workflow::{Engine, Failure, Lock, StartOptions, Step, StepContext, StepOutcome, Steps, Workflow};
//!
//! /// Greets a person, durably.
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
//!    │ permanent failure, deadline or cancel
//!    ▼
//! undoing ──▶ failed | cancelled
//!    │ ▲ permanent failure of an undo     retry: repeat this undo
//!    ▼ │                                  accept: skip this undo, continue with the steps before
//!  stuck
//! ```
//! The rollback runs backwards and includes the failed step, because that step may have a partial effect.
//!
//! # Guarantees
//! - At most one result is accepted for each step. Each claim increments the run's `epoch`, and each write names the epoch
//!   of its claim.
//! - An attempt that is repeated has the same number, so that it finds the resources that it created before if their names
//!   contain run, step and attempt ([`StepContext`] has them). `attempt` increases only after a failure was recorded.
//! - A worker that lost its lease stops at its next await and changes no row.
//! - Each step is executed at least once. Steps must be idempotent; [`testing`] has tests for that.
//!
//! # Locks
//! [`start()`] rejects a run that needs a lock of another run with [`StartError::Locked`]. It does not queue the run, so that
//! the user knows at once. Locks are released when the run ends. A stuck run keeps its locks.
//!
//! # Time
//! Leases and deadlines use only the database's clock. A worker uses a monotonic clock to detect that its own lease may have
//! expired.

#![cfg_attr(
    not(debug_assertions),
    expect(rustdoc::broken_intra_doc_links, reason = "release builds have no fault tests")
)]

mod claim;
mod command;
mod connection;
mod definition;
mod engine;
mod execute;
mod failure;
// Faults and their tests are not a feature: tests would compile every crate once more, and releases have none.
#[cfg(debug_assertions)]
mod faults;
mod lease;
mod listener;
mod retry;
mod rollback;
mod run;
mod start;
mod step;
mod step_deadlines;
#[cfg(debug_assertions)]
pub mod testing;
mod timing;
mod transitions;

pub use command::{CommandError, accept, accept_in, cancel, cancel_in, retry, retry_in, wake};
pub use connection::{limited, pool_options};
pub use definition::WorkflowShape;
pub use engine::Engine;
pub use failure::{Failure, code, database_is_unavailable};
pub use listener::listen;
pub use retry::Retry;
pub use run::{Lock, RunId};
pub use start::{StartError, StartOptions, start};
pub use step::{Step, StepContext, StepOutcome, Steps, Workflow};
pub use timing::Timing;
