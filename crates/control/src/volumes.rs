//! The size of an instance's volume: the requested size, or one derived from the size of its data.

use model::PlatformInfo;

use crate::error::{Error, Result};

/// One GiB, the unit of volumes.
pub(crate) const GIB: i64 = 1 << 30;
/// The smallest volume that can be requested.
const MIN: i64 = GIB;
/// The largest disk that cloud providers offer.
const MAX: i64 = 64 * 1024 * GIB;
/// The smallest volume if no size is requested.
const MIN_SUGGESTED: i64 = 10 * GIB;

/// The size for `data` bytes if no size is requested, in bytes: 150 % of the data, for index builds and growth, plus 1 GiB
/// for the WAL, rounded up to whole GiB.
#[must_use]
pub fn suggested(data: Option<i64>) -> i64 {
    let wanted = data.unwrap_or(0).clamp(0, MAX);
    let gibs = (wanted + wanted / 2 + GIB + GIB - 1) / GIB;
    (gibs * GIB).clamp(MIN_SUGGESTED, MAX)
}

/// The size below which a volume for `data` bytes is tight: half of the free space of [`suggested`], in bytes.
pub(crate) fn comfortable(data: i64) -> i64 {
    data + data / 4
}

/// The size of a new volume in bytes; `None` on a platform whose volumes have no size.
///
/// # Errors
/// A size is requested on such a platform, or it is out of range.
pub(crate) fn size(place: &PlatformInfo, requested: Option<i64>, data: Option<i64>) -> Result<Option<i64>> {
    let invalid = |message: String| Err(Error::invalid("volume_bytes", message));
    match requested {
        None => Ok(place.is_kubernetes().then(|| suggested(data))),
        Some(_) if !place.is_kubernetes() => invalid(
            "Instances on the Toygres host share its disk and have no volume of their own. Omit volume_bytes."
                .to_owned(),
        ),
        Some(bytes) if !(MIN..=MAX).contains(&bytes) => {
            invalid(format!("Enter a size from {} to {}.", format_gib(MIN), format_gib(MAX)))
        }
        Some(bytes) => Ok(Some(bytes)),
    }
}

/// A size in GiB with at most one decimal: `12 GiB`, `2.5 GiB`.
pub(crate) fn format_gib(bytes: i64) -> String {
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
        PlatformInfo { kind, name: "test".to_owned() }
    }

    #[test]
    fn suggested_size_is_150_percent_of_the_data() {
        assert_eq!(suggested(None), 10 * GIB);
        assert_eq!(suggested(Some(100 * GIB)), 151 * GIB);
        assert_eq!(suggested(Some(100 * GIB + 1)), 152 * GIB);
        assert_eq!(suggested(Some(i64::MAX)), MAX);
    }

    #[test]
    fn invalid_size_names_its_field() {
        let cluster = place(PlatformKind::Kubernetes);
        assert_eq!(size(&cluster, Some(20 * GIB), None).expect("size"), Some(20 * GIB));
        assert_eq!(size(&place(PlatformKind::Local), None, Some(GIB)).expect("no size"), None);
        let invalid = [(&cluster, GIB - 1), (&cluster, i64::MAX), (&place(PlatformKind::Local), GIB)];
        for (place, bytes) in invalid {
            let error = size(place, Some(bytes), None).expect_err("invalid");
            assert!(matches!(error, Error::Invalid { field: "volume_bytes", .. }), "{error}");
        }
    }

    #[test]
    fn sizes_are_formatted_in_gib() {
        assert_eq!(format_gib(12 * GIB), "12 GiB");
        assert_eq!(format_gib(5 * GIB / 2), "2.5 GiB");
    }
}
