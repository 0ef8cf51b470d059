//! How large the volume of an instance is: what somebody chose, or what its data need. It makes no volume.

use model::PlatformInfo;

use crate::error::{Error, Result};

/// One GiB, the unit of volumes.
pub(crate) const GIB: i64 = 1 << 30;
/// What a volume has at least.
const SMALLEST: i64 = GIB;
/// What no disk of a cloud is larger than.
const LARGEST: i64 = 64 * 1024 * GIB;
/// What a volume has at least when nobody chose.
const USUAL: i64 = 10 * GIB;

/// The size for so many bytes of data when nobody chose: half as much again, for indexes that are built beside their
/// rows and to grow, and one for the WAL; in whole GiB.
#[must_use]
pub fn suggested(data: Option<i64>) -> i64 {
    let wanted = data.unwrap_or(0).clamp(0, LARGEST);
    let gibs = (wanted + wanted / 2 + GIB + GIB - 1) / GIB;
    (gibs * GIB).clamp(USUAL, LARGEST)
}

/// Half of what [`suggested`] leaves free: less than this is tight.
pub(crate) fn comfortable(data: i64) -> i64 {
    data + data / 4
}

/// The size that a volume gets here; none where volumes have none.
///
/// # Errors
/// A size was chosen where there is nothing to choose, or one that no volume has.
pub(crate) fn size(place: &PlatformInfo, chosen: Option<i64>, data: Option<i64>) -> Result<Option<i64>> {
    let refused = |words: String| Err(Error::invalid("volume_bytes", words));
    match chosen {
        None => Ok(place.is_kubernetes().then(|| suggested(data))),
        Some(_) if !place.is_kubernetes() => refused(
            "Instances on this machine share its disk and have no volume of their own. Leave volume_bytes out."
                .to_owned(),
        ),
        Some(bytes) if !(SMALLEST..=LARGEST).contains(&bytes) => refused(format!(
            "A volume has from {} to {}. Choose a size between them.",
            words(SMALLEST),
            words(LARGEST)
        )),
        Some(bytes) => Ok(Some(bytes)),
    }
}

/// `12 GiB`, `2.5 GiB`.
pub(crate) fn words(bytes: i64) -> String {
    match (bytes / GIB, bytes % GIB * 10 / GIB) {
        (whole, 0) => format!("{whole} GiB"),
        (whole, tenth) => format!("{whole}.{tenth} GiB"),
    }
}

#[cfg(test)]
mod tests {
    use model::PlatformKind;

    use super::*;

    fn place(kind: PlatformKind) -> PlatformInfo {
        PlatformInfo { kind, name: "here".to_owned() }
    }

    #[test]
    fn a_volume_has_room_for_its_data_and_half_as_much_again() {
        assert_eq!(suggested(None), 10 * GIB);
        assert_eq!(suggested(Some(100 * GIB)), 151 * GIB);
        assert_eq!(suggested(Some(100 * GIB + 1)), 152 * GIB);
        assert_eq!(suggested(Some(i64::MAX)), LARGEST);
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_field() {
        let cluster = place(PlatformKind::Kubernetes);
        assert_eq!(size(&cluster, Some(20 * GIB), None).expect("a size"), Some(20 * GIB));
        assert_eq!(size(&place(PlatformKind::Local), None, Some(GIB)).expect("none"), None);
        let refused = [(&cluster, GIB - 1), (&cluster, i64::MAX), (&place(PlatformKind::Local), GIB)];
        for (place, bytes) in refused {
            let error = size(place, Some(bytes), None).expect_err("refused");
            assert!(matches!(error, Error::Invalid { field: "volume_bytes", .. }), "{error}");
        }
    }

    #[test]
    fn sizes_are_written_in_gib() {
        assert_eq!(words(12 * GIB), "12 GiB");
        assert_eq!(words(5 * GIB / 2), "2.5 GiB");
    }
}
