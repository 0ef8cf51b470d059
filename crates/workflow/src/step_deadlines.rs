//! The deadlines of steps by the monotonic clock of this process. The database keeps them as times of day: when its clock jumps,
//! those would pass, although the step has time left.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How much the two clocks may differ without a jump.
const TOLERANCE: Duration = Duration::from_secs(30);

/// The deadlines of the steps that this process has executed.
#[derive(Default)]
pub(crate) struct StepDeadlines(Mutex<HashMap<(Uuid, i32), Instant>>);

impl StepDeadlines {
    /// Notes how much time a step has left, unless it is known.
    pub(crate) fn note(&self, run: Uuid, position: i32, left: Duration) {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, deadline| *deadline > now);
        if let Some(deadline) = now.checked_add(left) {
            known.entry((run, position)).or_insert(deadline);
        }
    }

    /// The time that a step has left although the database's clock says that it has none.
    pub(crate) fn left(&self, run: Uuid, position: i32) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = known.get(&(run, position))?.saturating_duration_since(Instant::now());
        (left > TOLERANCE).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_what_was_noted_first() {
        let (deadlines, run) = (StepDeadlines::default(), Uuid::nil());
        deadlines.note(run, 0, Duration::from_secs(3600));
        deadlines.note(run, 0, Duration::from_secs(40_000));
        assert!(deadlines.left(run, 0).is_some_and(|left| left <= Duration::from_secs(3600)));
        deadlines.note(run, 1, Duration::from_secs(5));
        assert_eq!((deadlines.left(run, 1), deadlines.left(run, 2)), (None, None));
    }
}
