//! The check before a backup whether its image fits into the store.

use anyhow::Result;
use image::Store;
use model::agent::PreviousImage;
use model::{Failure, FailureCode};

/// Without an earlier image, an image is expected to have this part of the size of its databases: one of so many. Indexes are not
/// copied, and text compresses to a fraction of its size.
const EXPECTED_PART: u64 = 4;
/// The smallest earlier image whose ratio is used, as the size at its source. The size of a small server is mostly that of its
/// catalogs, which are not copied.
const SMALLEST_SOURCE: u64 = 256 << 20;

/// Fails if the image of databases of `bytes` bytes is not expected to fit into the store. Remote stores do not report their space.
///
/// # Errors
/// [`FailureCode::StoreFull`].
pub(super) async fn check(store: &Store, bytes: u64, previous: Option<&PreviousImage>) -> Result<()> {
    let Some(space) = store.space().await? else { return Ok(()) };
    let expected = expected(bytes, previous);
    if expected <= space.usable() {
        return Ok(());
    }
    let detail = format!(
        "the image needs about {expected} bytes; {} are free, of which {} are reserved",
        space.free, space.reserved
    );
    Err(Failure::new(FailureCode::StoreFull, detail).on(store.url()).into())
}

fn expected(bytes: u64, previous: Option<&PreviousImage>) -> u64 {
    match previous.filter(|previous| previous.source_bytes >= SMALLEST_SOURCE) {
        Some(previous) => {
            let scaled = u128::from(bytes) * u128::from(previous.stored_bytes);
            u64::try_from(scaled / u128::from(previous.source_bytes)).unwrap_or(u64::MAX)
        }
        None => bytes / EXPECTED_PART,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_image_gives_the_ratio() {
        let gib = 1 << 30;
        let previous = PreviousImage { source_bytes: 10 * gib, stored_bytes: gib };
        assert_eq!(expected(20 * gib, Some(&previous)), 2 * gib);
        assert_eq!(expected(20 * gib, None), 5 * gib);
        let small = PreviousImage { source_bytes: 7 << 20, stored_bytes: 1 << 10 };
        assert_eq!(expected(20 * gib, Some(&small)), 5 * gib);
    }
}
