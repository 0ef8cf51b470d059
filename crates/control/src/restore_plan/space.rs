//! What room a restored instance takes, and who will reach it.

use model::restore::{Check, Verdict};
use platform::Platform;

use super::found;
use crate::error::Result;
use crate::volumes::{comfortable, suggested, words};

/// On a disk that all instances share: the source's size and a fifth, for indexes are built beside the rows.
pub(super) async fn disk(platform: &dyn Platform, data: i64) -> Result<Check> {
    let wanted = u64::try_from(data).unwrap_or(0) * 6 / 5;
    Ok(match platform.free_bytes().await? {
        Some(free) if free < wanted => found(
            "disk",
            Verdict::Fail,
            format!("The instance will take about {}, and {} are free.", in_units(wanted), in_units(free)),
            Some("Make room, or delete what nobody needs.".to_owned()),
        ),
        Some(free) if free < wanted * 2 => found(
            "disk",
            Verdict::Warn,
            format!("About {} of the {} that are free will be used.", in_units(wanted), in_units(free)),
            None,
        ),
        Some(free) => found(
            "disk",
            Verdict::Ok,
            format!("{} are free; about {} will be used.", in_units(free), in_units(wanted)),
            None,
        ),
        None => found("disk", Verdict::Ok, "The platform does not say how much room is left.", None),
    })
}

/// On a volume of its own.
pub(super) fn volume(data: i64, volume: i64) -> Check {
    let data_words = in_units(data.max(0).unsigned_abs());
    let fix = format!("Choose at least {}.", words(suggested(Some(data))));
    if volume < data {
        let sentence =
            format!("A volume of {} is smaller than the data of the image, {data_words}.", words(volume));
        return found("volume", Verdict::Fail, sentence, Some(fix));
    }
    if volume < comfortable(data) {
        let sentence = format!(
            "A volume of {} leaves little room beside {data_words} of data: indexes are built beside their rows, and WAL grows.",
            words(volume)
        );
        return found("volume", Verdict::Warn, sentence, Some(fix));
    }
    found("volume", Verdict::Ok, format!("A volume of {} holds {data_words} of data.", words(volume)), None)
}

/// Who will reach it when it gets a name in public DNS.
pub(super) fn network(dns_label: &str) -> Check {
    found(
        "network",
        Verdict::Warn,
        format!(
            "With the DNS label {dns_label} the instance gets a load balancer that the internet can reach."
        ),
        Some("Leave the label empty to keep the instance inside the cluster.".to_owned()),
    )
}

fn in_units(bytes: u64) -> String {
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
    fn a_volume_too_small_is_in_the_way_and_a_tight_one_is_said() {
        let gib = 1_i64 << 30;
        for (bytes, verdict) in [(9 * gib, Verdict::Fail), (11 * gib, Verdict::Warn), (15 * gib, Verdict::Ok)]
        {
            let check = volume(10 * gib, bytes);
            assert_eq!(check.verdict, verdict, "{}", check.found);
            assert_eq!(check.fix.is_some(), verdict != Verdict::Ok);
        }
    }
}
