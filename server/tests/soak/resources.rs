//! What the server uses.

use crate::toygres::{Toygres, psql};

/// What the server uses at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    /// The memory of its process, in MiB.
    memory: u64,
    /// Its open files and sockets.
    descriptors: usize,
    /// Its connections to the state database.
    connections: u64,
}

impl Resources {
    pub(crate) fn of(toygres: &Toygres) -> Self {
        let pid = toygres.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        let count = format!("select count(*) from pg_stat_activity where datname = '{}'", toygres.database);
        let used = Self {
            memory: kib / 1024,
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            connections: psql("postgres", &count).trim().parse().unwrap(),
        };
        println!("{used:?}");
        used
    }
}

/// Fails if the last third of the samples uses clearly more than the first. The first samples are from a server that has just
/// started, whose caches and pools fill.
pub(crate) fn assert_flat(used: &[Resources]) {
    let third = used.len() / 3;
    let most = |part: &[Resources], of: fn(&Resources) -> u64| part.iter().map(of).max().unwrap_or(0);
    let (first, last) = (&used[..used.len() - third], &used[used.len() - third..]);
    let grown = |of: fn(&Resources) -> u64, by: u64| most(last, of) > most(first, of) + by;
    assert!(!grown(|used| used.memory, 64), "the memory grows: {used:?}");
    assert!(!grown(|used| used.descriptors as u64, 32), "the number of descriptors grows: {used:?}");
    assert!(!grown(|used| used.connections, 8), "the number of connections grows: {used:?}");
}
