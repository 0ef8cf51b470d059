//! The platform, and volume sizes in forms.

use leptos::prelude::*;
use model::PlatformInfo;

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;

/// Bytes in a GiB.
pub const GIB: i64 = 1 << 30;

/// The platform of instances and jobs.
#[server(prefix = "/api/fn", endpoint = "place")]
pub async fn get_platform() -> Result<PlatformInfo> {
    Ok(super::caller(model::Role::Viewer)?.0.place())
}

/// Parses a size in GiB to bytes; `None` if the text is empty.
#[cfg(feature = "ssr")]
pub(super) fn parse_volume_gib(text: &str) -> Result<Option<i64>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse::<f64>().ok().filter(|gib| *gib > 0.0 && *gib < 1e6);
    let gib = parsed.ok_or_else(|| {
        UiError::invalid("volume_gib", "Enter the volume size in GiB, such as 20, or leave it empty.")
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "below 2^50")]
    Ok(Some((gib * GIB as f64) as i64))
}

/// Maps an error of `volume_bytes` to the form's field `volume_gib`.
#[cfg(feature = "ssr")]
pub(super) fn map_volume_field(error: control::Error) -> UiError {
    let mut error = UiError::from(error);
    if error.field.as_deref() == Some("volume_bytes") {
        error.field = Some("volume_gib".to_owned());
    }
    error
}
