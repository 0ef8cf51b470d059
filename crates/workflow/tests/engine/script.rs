//! A workflow of three steps that record their calls and behave as the run's input says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use workflow::{Failure, Lock, Retry, Step, StepContext, StepOutcome, Steps, Workflow};

/// The behaviour of the steps of a run. An entry is the name of a step (`A`) or of one of its attempts (`A1`); with a
/// minus sign (`-A1`), of the undo. What lasts "until the gate opens" ends with [`Recorder::open_gate`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Script {
    /// Attempts that fail with [`RETRY`].
    pub(crate) fails: Vec<String>,
    /// Attempts that panic.
    pub(crate) panics: Vec<String>,
    /// Attempts that fail with [`FATAL`].
    pub(crate) fatal: Vec<String>,
    /// Attempts that do not return.
    pub(crate) hangs: Vec<String>,
    /// Attempts and undos for which the database is unavailable until the gate opens.
    pub(crate) outages: Vec<String>,
    /// Steps that wait this number of milliseconds between two calls until the gate opens.
    pub(crate) waits: Vec<(String, u64)>,
    /// Steps that do not return until the gate opens.
    pub(crate) blocks: Vec<String>,
    /// Steps whose undo fails with [`UNDO`] until the gate opens.
    pub(crate) undo_fails: Vec<String>,
    /// Steps whose undo returns success without effect.
    pub(crate) undo_skips: Vec<String>,
    /// The lock of the run; a shared one if none.
    #[serde(skip)]
    pub(crate) lock: Option<Lock>,
}

/// Code of a scripted transient failure. All scripted failures have the step's name as the subject.
pub(crate) const RETRY: &str = "scripted_retry";
/// Code of a scripted permanent failure.
pub(crate) const FATAL: &str = "scripted_fatal";
/// Code of a scripted failure of an undo.
pub(crate) const UNDO: &str = "scripted_undo";

/// Records the calls of the steps, and has the gate for which some of them wait.
#[derive(Clone)]
pub(crate) struct Recorder {
    calls: Arc<Mutex<Vec<String>>>,
    gate: Arc<watch::Sender<bool>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { calls: Arc::default(), gate: Arc::new(watch::Sender::new(false)) }
    }

    fn record(&self, call: String) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// The calls in order: `A1` for the first attempt of step A, `-A1` for its undo.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    fn is_open(&self) -> bool {
        *self.gate.borrow()
    }
}

impl Workflow for Script {
    const NAME: &'static str = "script";
    const VERSION: i32 = 1;
    type Services = Recorder;
    fn locks(&self) -> Vec<Lock> {
        vec![self.lock.clone().unwrap_or_else(|| Lock::shared("default"))]
    }
    fn steps() -> Steps<Self> {
        Steps::first::<A>().then::<B>().then::<C>()
    }
}

/// Fails with an outage if the script says so for this call.
fn connect(cx: &StepContext<Script>, call: &str) -> Result<(), Failure> {
    if cx.input.outages.iter().any(|outage| outage == call) && !cx.services.is_open() {
        return Err(sqlx::Error::PoolTimedOut.into());
    }
    Ok(())
}

async fn run(cx: &StepContext<Script>, outputs: &str) -> Result<StepOutcome<i32>, Failure> {
    let (script, recorder) = (&cx.input, &cx.services);
    let call = format!("{}{}", cx.step, cx.attempt);
    recorder.record(format!("{call}{outputs}"));
    connect(cx, &call)?;
    let subject = Some(cx.step.to_owned());
    if script.fails.contains(&call) {
        return Err(Failure::retry(RETRY, format!("{call} failed")).on(subject));
    }
    assert!(!script.panics.contains(&call), "{call} panicked");
    if script.fatal.contains(&call) {
        return Err(Failure::fatal(FATAL, format!("{call} failed")).on(subject));
    }
    if script.hangs.contains(&call) {
        std::future::pending::<()>().await;
    }
    if script.blocks.iter().any(|name| name == cx.step) {
        recorder.gate.subscribe().wait_for(|open| *open).await.expect("the recorder has the sender");
    }
    if let Some((_, pause)) = script.waits.iter().find(|(name, _)| name == cx.step)
        && !recorder.is_open()
    {
        return Ok(StepOutcome::Wait(Duration::from_millis(*pause)));
    }
    Ok(StepOutcome::Done(cx.attempt))
}

async fn undo(cx: &StepContext<Script>) -> Result<(), Failure> {
    if cx.input.undo_fails.iter().any(|name| name == cx.step) && !cx.services.is_open() {
        return Err(Failure::retry(UNDO, format!("undo of {} failed", cx.step)).on(Some(cx.step.to_owned())));
    }
    if cx.input.undo_skips.iter().any(|name| name == cx.step) {
        return Ok(());
    }
    let call = format!("-{}{}", cx.step, cx.attempt);
    cx.services.record(call.clone());
    connect(cx, &call)
}

macro_rules! step {
    ($name:ident, $cx:ident => $outputs:expr) => {
        struct $name;

        impl Step for $name {
            const NAME: &'static str = stringify!($name);
            const RETRY: Retry = Retry::times(3).pauses(Duration::from_millis(10), Duration::from_millis(20));
            const TIMEOUT: Duration = Duration::from_secs(3);
            type Workflow = Script;
            type Output = i32;
            async fn run($cx: &StepContext<Script>) -> Result<StepOutcome<i32>, Failure> {
                let outputs: String = $outputs;
                run($cx, &outputs).await
            }
            async fn undo(cx: &StepContext<Script>) -> Result<(), Failure> {
                undo(cx).await
            }
        }
    };
}

step!(A, _cx => String::new());
step!(B, _cx => String::new());
step!(C, cx => format!(" with A={} B={}", cx.output::<A>()?, cx.output::<B>()?));

/// A workflow that no worker of these tests registers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unregistered;

impl Workflow for Unregistered {
    const NAME: &'static str = "unregistered";
    const VERSION: i32 = 1;
    type Services = Recorder;
    fn steps() -> Steps<Self> {
        Steps::first::<Nothing>()
    }
}

struct Nothing;

impl Step for Nothing {
    const NAME: &'static str = "Nothing";
    type Workflow = Unregistered;
    type Output = ();
    async fn run(_: &StepContext<Unregistered>) -> Result<StepOutcome<()>, Failure> {
        Ok(StepOutcome::Done(()))
    }
}
