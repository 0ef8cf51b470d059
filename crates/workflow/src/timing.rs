//! Durations that govern a worker: leases, polling and pauses.

use std::time::Duration;

/// Lengths of leases and polling intervals of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a claim is valid without renewal.
    pub lease: Duration,
    /// The interval between two renewals.
    pub renew: Duration,
    /// The time since the last renewal after which the worker abandons a run; much shorter than the lease.
    pub abandon: Duration,
    /// The longest time between two searches for due runs, without notifications.
    pub poll: Duration,
    /// Factor for the pauses between attempts; tests reduce it.
    pub pauses: f64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(10),
            abandon: Duration::from_secs(20),
            poll: Duration::from_secs(2),
            pauses: 1.0,
        }
    }
}
