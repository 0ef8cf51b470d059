//! Server functions about where instances live, and how large their volumes are.

use leptos::prelude::*;
use model::Place;

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;

/// Bytes of one GiB, the unit of volumes.
pub const GIB: i64 = 1 << 30;

/// Where instances and jobs live.
#[server(prefix = "/api/fn", endpoint = "place")]
pub async fn get_place() -> Result<Place> {
    Ok(super::caller(model::Role::Viewer)?.0.place())
}

/// The size that was typed, in GiB; none if nothing was.
#[cfg(feature = "ssr")]
pub(super) fn parse_volume_gib(text: &str) -> Result<Option<i64>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let typed = text.parse::<f64>().ok().filter(|gib| *gib > 0.0 && *gib < 1e6);
    let gib = typed.ok_or_else(|| {
        UiError::invalid("volume_gib", "Type the size of the volume in GiB, such as 20, or nothing.")
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "below 2^50")]
    Ok(Some((gib * GIB as f64) as i64))
}

/// A refusal, at the form's field.
#[cfg(feature = "ssr")]
pub(super) fn map_volume_field(error: control::Error) -> UiError {
    let mut error = UiError::from(error);
    if error.field.as_deref() == Some("volume_bytes") {
        error.field = Some("volume_gib".to_owned());
    }
    error
}
