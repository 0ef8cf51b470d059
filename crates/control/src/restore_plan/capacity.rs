//! How much space a restored instance needs, and who will be able to reach it.

use model::restore::{Check, CheckSubject, Verdict};
use platform::Platform;

use super::finding::found;
use crate::error::Result;
use crate::volumes::{comfortable, format_gib, suggested};

/// The space of a new data directory in bytes: its template databases, its shared catalogs and its first WAL segment. The
/// database `postgres` is part of the data.
const EMPTY_CLUSTER: i64 = 33_000_000;

/// The space that an instance with `data` bytes requires: one fifth is added because indexes are built beside the rows.
pub(super) fn required(data: i64) -> i64 {
    (data.max(0) / 5).saturating_mul(6).saturating_add(EMPTY_CLUSTER)
}

/// Checks the disk that all instances share.
pub(super) async fn disk(platform: &dyn Platform, data: i64) -> Result<Check> {
    Ok(match platform.free_bytes().await? {
        Some(free) => free_space(required(data).unsigned_abs(), free),
        None => found(CheckSubject::Disk, Verdict::Ok, "The platform does not report free space.", None),
    })
}

fn free_space(required: u64, free: u64) -> Check {
    let (verdict, fix) = match free {
        free if free < required => (
            Verdict::Fail,
            Some("Delete files on the disk, or delete instances and images that are no longer needed."),
        ),
        free if free < required.saturating_mul(2) => (Verdict::Warn, None),
        _ => (Verdict::Ok, None),
    };
    let sizes = format!("Free space: {}. Required: about {}.", format_bytes(free), format_bytes(required));
    found(CheckSubject::Disk, verdict, sizes, fix.map(str::to_owned))
}

/// Checks the size of the instance's own volume.
pub(super) fn volume(data: i64, volume: i64) -> Check {
    let data_size = format_bytes(data.max(0).unsigned_abs());
    let fix = format!("Choose at least {}.", format_gib(suggested(Some(data))));
    if volume < data {
        let sentence =
            format!("A volume of {} is smaller than the image's data ({data_size}).", format_gib(volume));
        return found(CheckSubject::Volume, Verdict::Fail, sentence, Some(fix));
    }
    if volume < comfortable(data) {
        let sentence = format!(
            "A volume of {} leaves little space beside {data_size} of data. Indexes are built beside the rows, and WAL grows.",
            format_gib(volume)
        );
        return found(CheckSubject::Volume, Verdict::Warn, sentence, Some(fix));
    }
    found(
        CheckSubject::Volume,
        Verdict::Ok,
        format!("A volume of {} is sufficient for {data_size} of data.", format_gib(volume)),
        None,
    )
}

/// Warns that an instance with a name in public DNS is reachable from the internet.
pub(super) fn network(dns_label: &str) -> Check {
    found(
        CheckSubject::Network,
        Verdict::Warn,
        format!(
            "With the DNS label {dns_label} the instance gets a load balancer that is reachable from the internet."
        ),
        Some("Leave the label empty to keep the instance inside the cluster.".to_owned()),
    )
}

/// A size with three digits in decimal units, as the pages show it: `44.1 GB`.
fn format_bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits")]
    let (value, unit) = match bytes {
        0..1_000_000 => (bytes as f64 / 1e3, "kB"),
        1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
        _ => (bytes as f64 / 1e9, "GB"),
    };
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_space_includes_an_empty_cluster() {
        // initdb of PostgreSQL 15 writes 40 MB, 7.6 MB of them in the database postgres.
        assert_eq!(required(7_600_000), 42_120_000);
        let check = free_space(42_120_000, 44_100_000_000);
        assert_eq!(check.found, "Free space: 44.1 GB. Required: about 42.1 MB.");
        for (free, verdict) in [(42, Verdict::Fail), (43, Verdict::Warn), (85, Verdict::Ok)] {
            assert_eq!(free_space(42_120_000, free * 1_000_000).verdict, verdict);
        }
    }

    #[test]
    fn small_volume_fails_and_tight_volume_warns() {
        let gib = 1_i64 << 30;
        for (bytes, verdict) in [(9 * gib, Verdict::Fail), (11 * gib, Verdict::Warn), (15 * gib, Verdict::Ok)]
        {
            let check = volume(10 * gib, bytes);
            assert_eq!(check.verdict, verdict, "{}", check.found);
            assert_eq!(check.fix.is_some(), verdict != Verdict::Ok);
        }
    }
}
