//! Tests that every workflow passes: each step repeated, failing at each step, the worker lost before and after each
//! step, undo done twice, cancelled at each step. Whoever writes a workflow says how to prepare the world and what must
//! hold afterwards.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::engine::{Core, Engine, Timing};
use crate::start::RunId;
use crate::step::{Failure, Workflow, code};

/// What a test does to a run. The number is a step's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing.
    None,
    /// The step is done a second time after it was done.
    Repeat(i32),
    /// The step fails for good after it has had its effect.
    FailAt(i32),
    /// The same, and each undo is done twice.
    FailAtUndoTwice(i32),
    /// The worker is gone before the step has its effect.
    LoseBefore(i32),
    /// The worker is gone after the effect, before it was written down.
    LoseAfter(i32),
    /// The step's first try fails after it has had its effect; where it has more than one.
    FailOnce(i32),
    /// The step fails for good, and the worker is gone before it undoes it.
    LoseUndoBefore(i32),
    /// The same, after the undo and before it was written down.
    LoseUndoAfter(i32),
    /// Somebody cancels when the step begins.
    CancelAt(i32),
    /// Somebody cancels after the step had its effect, before it was written down.
    CancelAfter(i32),
}

impl Fault {
    /// Every fault for a workflow of so many steps.
    #[must_use]
    pub fn all(steps: usize) -> Vec<Self> {
        let each = (0_i32..).take(steps).flat_map(|at| {
            [
                Self::Repeat(at),
                Self::FailAt(at),
                Self::FailAtUndoTwice(at),
                Self::LoseBefore(at),
                Self::LoseAfter(at),
                Self::FailOnce(at),
                Self::LoseUndoBefore(at),
                Self::LoseUndoAfter(at),
                Self::CancelAt(at),
                Self::CancelAfter(at),
            ]
        });
        std::iter::once(Self::None).chain(each).collect()
    }

    /// The state that a run ends in after this fault.
    #[must_use]
    pub fn ends(self) -> &'static str {
        match self {
            Self::FailAt(_) | Self::FailAtUndoTwice(_) | Self::LoseUndoBefore(_) | Self::LoseUndoAfter(_) => {
                "failed"
            }
            Self::CancelAt(_) | Self::CancelAfter(_) => "cancelled",
            Self::None | Self::Repeat(_) | Self::FailOnce(_) | Self::LoseBefore(_) | Self::LoseAfter(_) => {
                "succeeded"
            }
        }
    }
}

/// A fault and which of its effects have happened: each happens once.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    planned: Option<Fault>,
    happened: Arc<Mutex<HashSet<Fault>>>,
    /// Ends when the worker is to vanish.
    vanish: CancellationToken,
}

impl<S> Core<S> {
    /// Whether this fault is planned and happens now, for the first time.
    pub(crate) fn is_due(&self, fault: Fault) -> bool {
        let planned = match (self.faults.planned, fault) {
            (
                Some(Fault::FailAtUndoTwice(at) | Fault::LoseUndoBefore(at) | Fault::LoseUndoAfter(at)),
                Fault::FailAt(_),
            ) => Some(Fault::FailAt(at)),
            (other, _) => other,
        };
        let mut happened = self.faults.happened.lock().unwrap_or_else(PoisonError::into_inner);
        planned == Some(fault) && happened.insert(fault)
    }

    /// Makes the worker vanish here if that is planned: it never comes back from this call.
    pub(crate) async fn meet(&self, fault: Fault) {
        if self.is_due(fault) {
            self.faults.vanish.cancel();
            std::future::pending::<()>().await;
        }
    }

    pub(crate) async fn cancel_at(&self, position: i32, run: RunId) -> Result<(), Failure> {
        self.cancel_if_due(Fault::CancelAt(position), run).await
    }

    pub(crate) async fn cancel_after(&self, position: i32, run: RunId) -> Result<(), Failure> {
        self.cancel_if_due(Fault::CancelAfter(position), run).await
    }

    async fn cancel_if_due(&self, fault: Fault, run: RunId) -> Result<(), Failure> {
        if self.is_due(fault) {
            crate::command::cancel(&self.db, run).await.map_err(|error| Failure::retry(code::INTERNAL, error))?;
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    pub(crate) fn undoes_twice(&self, _position: i32) -> bool {
        matches!(self.faults.planned, Some(Fault::FailAtUndoTwice(_)))
    }
}

/// Quick enough for a test, the proportions as in earnest.
#[must_use]
pub fn timing() -> Timing {
    Timing {
        lease: Duration::from_millis(1500),
        renew: Duration::from_millis(300),
        abandon: Duration::from_millis(900),
        poll: Duration::from_millis(200),
        pauses: 0.05,
    }
}

/// Performs the runs that `begin` starts, one for each fault, with every fault that a workflow of this plan can meet, and
/// calls `check` after each.
///
/// `begin` prepares the world, starts one run of `W` and returns it; `check` is told the fault and the run's last state
/// (which is [`Fault::ends`] by then) and looks whether the world is as it must be.
///
/// # Errors
/// The first run that ended in another state, or what `begin` or `check` returned.
pub async fn meet_all_faults<W, B, BF, C, CF>(
    db: &PgPool,
    services: W::Services,
    pool: &str,
    mut begin: B,
    mut check: C,
) -> anyhow::Result<()>
where
    W: Workflow,
    B: FnMut(Fault) -> BF,
    BF: Future<Output = anyhow::Result<RunId>>,
    C: FnMut(Fault, RunId) -> CF,
    CF: Future<Output = anyhow::Result<()>>,
{
    let tries: Vec<i32> = W::steps().list.iter().map(|step| step.retry.attempts).collect();
    for fault in Fault::all(tries.len()) {
        if let Fault::FailOnce(at) = fault
            && usize::try_from(at).ok().and_then(|at| tries.get(at)).is_some_and(|tries| *tries < 2)
        {
            continue;
        }
        let run = begin(fault).await.with_context(|| format!("begin for {fault:?}"))?;
        let state = perform::<W>(db, services.clone(), pool, fault, run).await?;
        ensure!(state == fault.ends(), "after {fault:?} run {run} is {state}, not {}", fault.ends());
        check(fault, run).await.with_context(|| format!("check after {fault:?}"))?;
    }
    Ok(())
}

/// Performs one run with one fault; returns its last state.
///
/// # Errors
/// It has not ended after two minutes.
pub async fn perform<W: Workflow>(
    db: &PgPool,
    services: W::Services,
    pool: &str,
    fault: Fault,
    run: RunId,
) -> anyhow::Result<String> {
    let faults = Faults { planned: Some(fault), ..Faults::default() };
    let stop = CancellationToken::new();
    let engine = |name: &str, faults: Faults| {
        let engine = Engine::new(db.clone(), services.clone(), name).register::<W>().pool(pool);
        engine.timing(timing()).with_faults(faults).run(stop.clone())
    };
    let first = tokio::spawn(engine("first", faults.clone()));
    let vanish = faults.vanish.clone();
    let relief = {
        let relief = engine("second", Faults::default());
        async move {
            vanish.cancelled().await;
            // The first worker is gone without a word: its tasks are dropped, its leases are left to end.
            first.abort();
            relief.await
        }
    };
    let relief = tokio::spawn(relief);
    let ended = tokio::time::timeout(Duration::from_secs(120), end_of(db, run)).await;
    stop.cancel();
    faults.vanish.cancel();
    relief.await.ok();
    ended.with_context(|| format!("run {run} has not ended after {fault:?}"))?
}

/// Waits until a run has ended or is stuck; returns its state.
///
/// # Errors
/// There is no such run, or the database did not answer.
pub async fn end_of(db: &PgPool, run: RunId) -> anyhow::Result<String> {
    loop {
        let state: String =
            sqlx::query_scalar!("select state from toygres.run where id = $1", run.0).fetch_one(db).await?;
        if state != "running" && state != "undoing" {
            return Ok(state);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
