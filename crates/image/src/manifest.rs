//! `manifest.json` as bytes: JSON that ends in the SHA-256 of everything before it. It does not access the store.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use model::image::FORMAT_VERSION;
use model::{FailureCode, Manifest};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::layout::{self, MANIFEST};
use crate::store::path;

/// The text before the digest at the end of the file.
const SEAL: &str = ",\n  \"sha256\": \"";
const END: &str = "\"\n}\n";
const DIGEST: usize = 64;

/// Serializes a manifest and appends the digest of everything before it.
pub(crate) fn to_bytes(manifest: &Manifest) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(manifest)?;
    // The line break and the closing brace follow the digest.
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(SEAL.as_bytes());
    let digest = sha256(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(END.as_bytes());
    Ok(bytes)
}

/// Reads and checks a manifest. `key` is the subject of errors.
pub(crate) fn from_bytes(key: &str, bytes: &[u8]) -> Result<Manifest> {
    let tail = END.len() + DIGEST;
    let sealed = bytes.len().checked_sub(tail).map(|at| bytes.split_at(at));
    let body = match sealed {
        Some((head, rest))
            if &rest[DIGEST..] == END.as_bytes()
                && head.ends_with(SEAL.as_bytes())
                && sha256(head).as_bytes() == &rest[..DIGEST] =>
        {
            &head[..head.len() - SEAL.len()]
        }
        _ => return Err(invalid_digest(key, bytes)),
    };
    let mut json = body.to_vec();
    json.extend_from_slice(b"\n}");
    check_version(key, &json)?;
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| unsupported(key, error.to_string()))?;
    check_content(key, &manifest)?;
    Ok(manifest)
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn unsupported(key: &str, detail: String) -> Error {
    Error::new(FailureCode::ImageUnsupported, key, detail)
}

/// Why a file does not end in its digest: another format version, truncated, or changed.
fn invalid_digest(key: &str, bytes: &[u8]) -> Error {
    match check_version(key, bytes) {
        Err(error) if error.code() == FailureCode::ImageUnsupported => error,
        _ if !bytes.ends_with(END.as_bytes()) => Error::damaged(
            key,
            format!("the manifest is truncated or changed at its end ({} bytes)", bytes.len()),
        ),
        _ => Error::damaged(key, "the manifest does not match the SHA-256 at its end"),
    }
}

fn check_version(key: &str, json: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Version {
        format_version: u32,
    }
    match serde_json::from_slice::<Version>(json) {
        Ok(Version { format_version }) if format_version != FORMAT_VERSION => Err(unsupported(
            key,
            format!("the image has format version {format_version}; this program supports {FORMAT_VERSION}"),
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::damaged(key, format!("not a manifest: {error}"))),
    }
}

/// Checks what the manifest says about its objects and databases.
fn check_content(key: &str, manifest: &Manifest) -> Result<()> {
    let mut seen = BTreeSet::new();
    for object in &manifest.objects {
        if object.encryption.is_some() || !matches!(object.compression.as_deref(), None | Some("zstd")) {
            let detail = format!("{} has an unknown encryption or compression", object.key);
            return Err(unsupported(key, detail));
        }
        let digest =
            object.sha256.len() == DIGEST && object.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if path(&object.key).is_err()
            || object.key == MANIFEST
            || !digest
            || !seen.insert(object.key.as_str())
        {
            return Err(Error::damaged(key, format!("the entry of object {:?} is invalid", object.key)));
        }
    }
    let mut ordinals = BTreeSet::new();
    for database in &manifest.databases {
        let n = database.ordinal;
        let required = [layout::schema(n), layout::index(n)];
        if !ordinals.insert(n) || required.iter().any(|key| !seen.contains(key.as_str())) {
            return Err(Error::damaged(
                key,
                format!("no schema or no index of database {:?} is listed", database.name),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::Utc;
    use model::{ImageId, ImageKind, ImageType, Source};

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            image: ImageId::new(),
            kind: ImageKind::Logical,
            created_at: Utc::now(),
            source: Source {
                version: "15.20".into(),
                major: 15,
                image_type: ImageType::Stock,
                preload: Vec::new(),
                bytes: 1,
                bootstrap: None,
                left_out: Vec::new(),
            },
            databases: Vec::new(),
            objects: Vec::new(),
            tools: BTreeMap::new(),
        }
    }

    /// A manifest with other content and a valid digest.
    fn with_replaced(from: &str, to: &str) -> Vec<u8> {
        let json = serde_json::to_string_pretty(&manifest()).expect("JSON");
        assert!(json.contains(from), "{json}");
        let json = json.replacen(from, to, 1);
        let mut bytes = json.trim_end_matches("\n}").as_bytes().to_vec();
        bytes.extend_from_slice(SEAL.as_bytes());
        let digest = sha256(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes.extend_from_slice(END.as_bytes());
        bytes
    }

    #[test]
    fn manifest_round_trips_and_is_json() {
        let manifest = manifest();
        let bytes = to_bytes(&manifest).expect("written");
        assert_eq!(from_bytes("m", &bytes).expect("read"), manifest);
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(json["sha256"].as_str().map(str::len), Some(DIGEST));
    }

    #[test]
    fn unknown_version_field_or_value_is_unsupported() {
        for (from, to, name) in [
            ("\"format_version\": 1", "\"format_version\": 2", "format version 2"),
            ("\"major\": 15", "\"major\": 15, \"colour\": 1", "colour"),
            ("\"logical\"", "\"magical\"", "magical"),
        ] {
            let error = from_bytes("m", &with_replaced(from, to)).expect_err(name);
            assert_eq!(error.code(), FailureCode::ImageUnsupported, "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn flipped_bit_and_truncation_are_detected() {
        let bytes = to_bytes(&manifest()).expect("written");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            from_bytes("m", &flipped).expect_err("flipped");
            from_bytes("m", &bytes[..at]).expect_err("cut");
        }
        from_bytes("m", &[&bytes[..], b"\n"].concat()).expect_err("longer");
    }

    #[test]
    fn manifest_with_unsafe_keys_is_damaged() {
        for key in ["../../etc/passwd", "/etc/passwd", "manifest.json", ""] {
            let object = model::Object {
                key: key.into(),
                bytes: 0,
                sha256: "0".repeat(64),
                format: "sql".into(),
                compression: None,
                encryption: None,
            };
            let hostile = Manifest { objects: vec![object], ..manifest() };
            let error = from_bytes("m", &to_bytes(&hostile).expect("written")).expect_err(key);
            assert_eq!(error.code(), FailureCode::ObjectDamaged, "{error}");
        }
    }
}
