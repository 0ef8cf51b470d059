//! How much space a restored instance needs, and who will be able to reach it.

use model::restore::{Check, CheckSubject, Verdict};
use platform::Platform;

use super::finding::found;
use crate::error::Result;
use crate::volumes::{comfortable, format_gib, suggested};

/// Checks the disk that all instances share: the source's size plus one fifth, because indexes are built beside the rows.
pub(super) async fn disk(platform: &dyn Platform, data: i64) -> Result<Check> {
    let needed = u64::try_from(data).unwrap_or(0) * 6 / 5;
    Ok(match platform.free_bytes().await? {
        Some(free) if free < needed => found(
            CheckSubject::Disk,
            Verdict::Fail,
            format!("The instance needs about {}. Free space: {}.", format_bytes(needed), format_bytes(free)),
            Some(
                "Free space on the disk, or delete instances and images that are no longer needed."
                    .to_owned(),
            ),
        ),
        Some(free) if free < needed * 2 => found(
            CheckSubject::Disk,
            Verdict::Warn,
            format!(
                "The instance needs about {} of {} free space.",
                format_bytes(needed),
                format_bytes(free)
            ),
            None,
        ),
        Some(free) => found(
            CheckSubject::Disk,
            Verdict::Ok,
            format!("Free space: {}. The instance needs about {}.", format_bytes(free), format_bytes(needed)),
            None,
        ),
        None => found(CheckSubject::Disk, Verdict::Ok, "The platform does not report free space.", None),
    })
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

fn format_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
