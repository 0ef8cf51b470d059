//! Which part of its source's databases an image holds.

use model::{Image, ImageStatus};

/// `1 of 6 databases` if an available image holds fewer databases than the source has; `source` is their number, where known.
pub(super) fn partial(image: &Image, source: Option<usize>) -> Option<String> {
    let held = usize::try_from(image.databases?).ok()?;
    let source = source.filter(|source| held < *source)?;
    (image.status == ImageStatus::Available).then(|| format!("{held} of {source} databases"))
}
