//! A short and fair queue for the verification of passwords: sources take turns, and what does not fit is refused at once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// When a refused client may come again, in seconds: longer than a full queue takes.
const RETRY_AFTER: i64 = 3;
/// How long an attempt waits at most. Only an unavailable state database makes it wait that long.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A queue of attempts, each from a source: a network, a device or an account.
///
/// The sources take turns, so that the first attempt of a source waits for at most one attempt of each other source. If the
/// queue is full, an attempt displaces the newest one of the source with the most waiting attempts, provided that its own source
/// then has fewer; otherwise it is refused.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
}

/// How many attempts a queue accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most that run at the same time.
    pub(super) running: usize,
    /// The most that wait.
    pub(super) waiting: usize,
    /// The most that wait from one source.
    pub(super) waiting_per_source: usize,
}

struct State {
    running: usize,
    /// The sources with waiting attempts, in the order of their turns.
    sources: VecDeque<Source>,
}

struct Source {
    name: String,
    /// Oldest first; never empty.
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to run, which ends when it is dropped.
pub(super) struct Turn {
    queue: &'static Queue,
}

impl Queue {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::new(State { running: 0, sources: VecDeque::new() }) }
    }

    /// Waits for a turn of `source`.
    ///
    /// # Errors
    /// [`Error::TooMany`]: the queue is full, or an attempt of a source with fewer waiting attempts took the place.
    pub(super) async fn turn(&'static self, source: &str) -> Result<Turn> {
        let turn = match self.admit(source) {
            Admission::Now(turn) => return Ok(turn),
            Admission::Later(turn) => turn,
            Admission::Refused => return Err(refused()),
        };
        match tokio::time::timeout(LONGEST_WAIT, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(refused()),
        }
    }

    fn admit(&'static self, source: &str) -> Admission {
        let mut state = self.state();
        if state.running < self.limits.running {
            state.running += 1;
            return Admission::Now(Turn { queue: self });
        }
        state.forget_disconnected();
        let own = state.waiting_of(source);
        if own >= self.limits.waiting_per_source {
            return Admission::Refused;
        }
        if state.waiting() >= self.limits.waiting && !state.displace(own + 2) {
            return Admission::Refused;
        }
        let (sender, turn) = oneshot::channel();
        state.push(source, sender);
        Admission::Later(turn)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Admission {
    Now(Turn),
    Later(oneshot::Receiver<Turn>),
    Refused,
}

fn refused() -> Error {
    Error::TooMany { retry_after_seconds: RETRY_AFTER }
}

impl State {
    fn waiting(&self) -> usize {
        self.sources.iter().map(|source| source.waiting.len()).sum()
    }

    fn waiting_of(&self, name: &str) -> usize {
        self.sources.iter().find(|source| source.name == name).map_or(0, |source| source.waiting.len())
    }

    fn push(&mut self, name: &str, sender: oneshot::Sender<Turn>) {
        match self.sources.iter_mut().find(|source| source.name == name) {
            Some(source) => source.waiting.push_back(sender),
            None => self.sources.push_back(Source { name: name.to_owned(), waiting: [sender].into() }),
        }
    }

    /// Removes the attempts whose clients no longer wait.
    fn forget_disconnected(&mut self) {
        for source in &mut self.sources {
            source.waiting.retain(|sender| !sender.is_closed());
        }
        self.sources.retain(|source| !source.waiting.is_empty());
    }

    /// Refuses the newest attempt of the source with the most waiting attempts, if it has at least `at_least`.
    fn displace(&mut self, at_least: usize) -> bool {
        let longest = self.sources.iter_mut().max_by_key(|source| source.waiting.len());
        match longest.filter(|source| source.waiting.len() >= at_least) {
            Some(source) => source.waiting.pop_back().is_some(),
            None => false,
        }
    }

    /// The attempt whose turn it is. Its source goes to the end.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        let mut source = self.sources.pop_front()?;
        let sender = source.waiting.pop_front();
        if !source.waiting.is_empty() {
            self.sources.push_back(source);
        }
        sender
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.queue.state();
            let next = state.pop();
            if next.is_none() {
                state.running -= 1;
            }
            next
        };
        if let Some(next) = next {
            // If the client no longer waits, the turn is dropped here, which passes it to the next one.
            drop(next.send(Turn { queue: self.queue }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    const LIMITS: Limits = Limits { running: 1, waiting: 4, waiting_per_source: 3 };

    /// An attempt that waits for its turn.
    type Waiting = Pin<Box<dyn Future<Output = Result<Turn>>>>;

    async fn wait(queue: &'static Queue, source: &'static str) -> Waiting {
        let mut attempt: Waiting = Box::pin(queue.turn(source));
        assert!(futures::poll!(&mut attempt).is_pending(), "the attempt of {source} waits");
        attempt
    }

    async fn is_refused(queue: &'static Queue, source: &str) -> bool {
        matches!(queue.turn(source).await, Err(Error::TooMany { .. }))
    }

    #[tokio::test]
    async fn sources_take_turns() {
        static QUEUE: Queue = Queue::new(LIMITS);
        let mut turn = QUEUE.turn("flood").await.expect("a turn");
        let mut attempts =
            vec![wait(&QUEUE, "flood").await, wait(&QUEUE, "flood").await, wait(&QUEUE, "flood").await];
        attempts.push(wait(&QUEUE, "owner").await);
        // The attempt of the owner came last and runs second.
        for next in [0, 3, 1, 2] {
            drop(turn);
            for (n, attempt) in attempts.iter_mut().enumerate().filter(|(n, _)| *n > next && *n != 3) {
                assert!(futures::poll!(attempt).is_pending(), "attempt {n} runs before {next}");
            }
            turn = (&mut attempts[next]).await.expect("a turn");
        }
        drop(turn);
        assert_eq!(QUEUE.state().running, 0);
    }

    #[tokio::test]
    async fn one_source_has_a_limit_of_its_own() {
        static QUEUE: Queue = Queue::new(LIMITS);
        let _turn = QUEUE.turn("flood").await.expect("a turn");
        let _attempts =
            [wait(&QUEUE, "flood").await, wait(&QUEUE, "flood").await, wait(&QUEUE, "flood").await];
        assert!(is_refused(&QUEUE, "flood").await);
        let _owner = wait(&QUEUE, "owner").await;
    }

    #[tokio::test]
    async fn full_queue_has_room_for_the_first_attempt_of_a_source() {
        static QUEUE: Queue = Queue::new(LIMITS);
        let _turn = QUEUE.turn("a").await.expect("a turn");
        let (first, second) = (wait(&QUEUE, "a").await, wait(&QUEUE, "a").await);
        let _others = [wait(&QUEUE, "b").await, wait(&QUEUE, "c").await];
        // A second attempt of another source displaces nothing.
        assert!(is_refused(&QUEUE, "b").await);
        let _owner = wait(&QUEUE, "owner").await;
        assert!(matches!(second.await, Err(Error::TooMany { .. })));
        // Four sources have one attempt each: now a further one is refused.
        assert!(is_refused(&QUEUE, "d").await);
        drop(first);
        let _later = wait(&QUEUE, "d").await;
    }

    #[tokio::test]
    async fn attempt_that_no_longer_waits_passes_its_turn_on() {
        static QUEUE: Queue = Queue::new(LIMITS);
        let turn = QUEUE.turn("a").await.expect("a turn");
        let (left, stays) = (wait(&QUEUE, "a").await, wait(&QUEUE, "b").await);
        drop(left);
        drop(turn);
        drop(stays.await.expect("a turn"));
        // A turn that was given and not taken is passed on, too.
        let turn = QUEUE.turn("a").await.expect("a turn");
        let (left, stays) = (wait(&QUEUE, "a").await, wait(&QUEUE, "b").await);
        drop(turn);
        drop(left);
        drop(stays.await.expect("a turn"));
        assert_eq!(QUEUE.state().running, 0);
    }
}
