//! How often a call is repeated and how long the engine pauses between two attempts.

use std::time::Duration;

/// The number of attempts and the pauses between them. Each pause is twice the one before, up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The number of attempts, including the first.
    pub attempts: i32,
    /// The pause after the first attempt.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Retry {
    /// `attempts` attempts with pauses from 2 s to 30 s.
    #[must_use]
    pub const fn times(attempts: i32) -> Self {
        Self { attempts, first: Duration::from_secs(2), longest: Duration::from_secs(30) }
    }

    /// The same number of attempts with other pauses.
    #[must_use]
    pub const fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self { first, longest, ..self }
    }

    /// The pause after the failed attempt with number `attempt`, from 1.
    #[must_use]
    pub fn pause(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.clamp(1, 31) - 1).unwrap_or(0);
        self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry = Retry::times(9);
        let pauses: Vec<u64> = (1..=6).map(|attempt| retry.pause(attempt).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30]);
        assert_eq!(retry.pause(i32::MAX), Duration::from_secs(30));
    }
}
