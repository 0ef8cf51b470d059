//! The keys of an image's objects below its prefix.

use model::ImageId;
use uuid::Uuid;

/// The manifest's key below an image's prefix.
pub const MANIFEST: &str = "manifest.json";
/// The key of the restore guide below an image's prefix.
pub const GUIDE: &str = "RESTORE.md";
/// The key of the roles and role settings below an image's prefix.
pub const GLOBALS: &str = "globals.sql.zst";

/// The key of the seal below an image's prefix.
pub const SEAL: &str = "seal.json";

/// What the keys of claims begin with.
const CLAIM: &str = "writer-";

/// The prefix of one attempt to write an image, relative to the store.
#[must_use]
pub fn prefix(image: ImageId, attempt: Uuid) -> String {
    format!("images/{image}/{attempt}")
}

/// The key below an image's prefix of the object by which one writer claims the prefix.
pub(crate) fn claim(writer: Uuid) -> String {
    format!("{CLAIM}{writer}")
}

/// Whether a key below an image's prefix is that of a claim.
fn is_claim(key: &str) -> bool {
    key.starts_with(CLAIM)
}

/// The key of a database's index below an image's prefix.
pub(crate) fn index(ordinal: u32) -> String {
    format!("{ordinal}/index.jsonl.zst")
}

/// The key of a database's schema below an image's prefix.
pub(crate) fn schema(ordinal: u32) -> String {
    format!("{ordinal}/schema.dump")
}

/// What the keys of a database's row objects begin with.
pub(crate) fn rows(ordinal: u32) -> String {
    format!("{ordinal}/rows-")
}

/// Whether a key of a store is that of a log segment below `prefix`.
pub(crate) fn is_log_below(prefix: &str, key: &str) -> bool {
    key.strip_prefix(prefix).and_then(|key| key.strip_prefix('/')).is_some_and(is_log)
}

/// Whether a key of a store is that of a claim of `prefix`.
pub(crate) fn is_claim_of(prefix: &str, key: &str) -> bool {
    key.strip_prefix(prefix).and_then(|key| key.strip_prefix('/')).is_some_and(is_claim)
}

/// Whether a key below an image's prefix is that of a log segment.
fn is_log(key: &str) -> bool {
    let number = key.strip_prefix("log-").and_then(|rest| rest.strip_suffix(".jsonl"));
    number.is_some_and(|k| !k.is_empty() && k.bytes().all(|byte| byte.is_ascii_digit()))
}
