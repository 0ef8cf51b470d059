//! The address of an image, as a user writes it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use model::{Failure, FailureCode, Location};

/// Store and prefix of an image, by its URL or the path of its directory.
///
/// # Errors
/// The URL or the path does not name an image.
pub(crate) fn location_of(url: &str) -> Result<Location> {
    let invalid = |reason: &str| Failure::new(FailureCode::StoreSettingsInvalid, reason).on(url);
    let path = match url.split_once("://") {
        Some(("file", path)) => PathBuf::from(path),
        Some(_) => {
            let (store, prefix) = url
                .trim_end_matches('/')
                .rsplit_once("/images/")
                .ok_or_else(|| invalid("the URL has no part /images/<image>/<attempt>"))?;
            return Ok(Location { store: store.to_owned(), prefix: format!("images/{prefix}") });
        }
        None => std::path::absolute(url).map_err(|error| invalid(&error.to_string()))?,
    };
    let (store, prefix) = split(&path).ok_or_else(|| invalid("the path does not name an image"))?;
    Ok(Location { store: format!("file://{store}"), prefix })
}

/// Splits a path before its last part `images`, or else before its last part.
fn split(path: &Path) -> Option<(String, String)> {
    let text = path.to_str()?.trim_end_matches('/').trim_end_matches("/manifest.json");
    let (store, prefix) = match text.rfind("/images/") {
        Some(at) => text.split_at(at),
        None => text.split_at(text.rfind('/')?),
    };
    let prefix = prefix.trim_start_matches('/');
    (!prefix.is_empty()).then(|| (if store.is_empty() { "/" } else { store }.to_owned(), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_and_path_name_an_image() {
        for (url, store, prefix) in [
            ("file:///b/images/i/1", "file:///b", "images/i/1"),
            ("file:///b/images/i/1/", "file:///b", "images/i/1"),
            ("file:///images/i/1", "file:///", "images/i/1"),
            ("/b/copied", "file:///b", "copied"),
            ("/b/copied/manifest.json", "file:///b", "copied"),
            ("az://account/container/images/i/1", "az://account/container", "images/i/1"),
        ] {
            let found = location_of(url).expect(url);
            assert_eq!((found.store.as_str(), found.prefix.as_str()), (store, prefix), "{url}");
        }
        assert!(location_of("az://account/x").is_err());
        assert!(location_of("/").is_err());
    }
}
