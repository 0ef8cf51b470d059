//! `manifest.json` as bytes: what a person can read, sealed by the SHA-256 of itself, and checked for sense when read. It
//! reads and writes no store.

use std::collections::BTreeSet;

use model::Manifest;
use model::image::FORMAT_VERSION;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::index::Index;
use crate::store::path;

/// What stands before the digest at the very end of the file.
const SEAL: &str = ",\n  \"sha256\": \"";
const END: &str = "\"\n}\n";
const DIGEST: usize = 64;

/// The file's bytes. The digest at its end is that of everything before it.
pub(crate) fn to_bytes(manifest: &Manifest) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(manifest)?;
    // The object's closing brace and the line break before it come after the seal.
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(SEAL.as_bytes());
    let digest = sha256(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(END.as_bytes());
    Ok(bytes)
}

/// Reads the file; `key` is where it is, for errors.
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
        _ => return Err(unsealed(key, bytes)),
    };
    let mut json = body.to_vec();
    json.extend_from_slice(b"\n}");
    version(key, &json)?;
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|error| unknown(&format!("its manifest holds what this program does not know ({error})")))?;
    sense(key, &manifest)?;
    Ok(manifest)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn unknown(why: &str) -> Error {
    Error::Unsupported(format!(
        "the image cannot be read: {why}. Use the version of Toygres that wrote it, or a newer one"
    ))
}

/// Why there is no right seal: of another version, cut off, or changed.
fn unsealed(key: &str, bytes: &[u8]) -> Error {
    match version(key, bytes) {
        Err(error @ Error::Unsupported(_)) => error,
        _ if !bytes.ends_with(END.as_bytes()) => {
            Error::corrupt(key, format!("it is cut off or changed at its end ({} bytes)", bytes.len()))
        }
        _ => Error::corrupt(key, "its contents do not match the SHA-256 at its end"),
    }
}

fn version(key: &str, json: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Version {
        format_version: u32,
    }
    match serde_json::from_slice::<Version>(json) {
        Ok(Version { format_version }) if format_version != FORMAT_VERSION => Err(unknown(&format!(
            "it is of format version {format_version}, and this program knows {FORMAT_VERSION}"
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::corrupt(key, format!("it is no manifest ({error})"))),
    }
}

/// Whether what the manifest says can be true.
fn sense(key: &str, manifest: &Manifest) -> Result<()> {
    let mut seen = BTreeSet::new();
    for object in &manifest.objects {
        if object.encryption.is_some() || !matches!(object.compression.as_deref(), None | Some("zstd")) {
            let words =
                format!("{} is encrypted or compressed in a way that this program does not know", object.key);
            return Err(unknown(&words));
        }
        let digest =
            object.sha256.len() == DIGEST && object.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if path(&object.key).is_err()
            || object.key == crate::MANIFEST
            || !digest
            || !seen.insert(object.key.as_str())
        {
            return Err(Error::corrupt(
                key,
                format!("it lists the object {:?} twice or wrongly", object.key),
            ));
        }
    }
    let mut ordinals = BTreeSet::new();
    for database in &manifest.databases {
        let n = database.ordinal;
        let needed = [format!("{n}/schema.dump"), Index::key(n)];
        if !ordinals.insert(n) || needed.iter().any(|key| !seen.contains(key.as_str())) {
            return Err(Error::corrupt(
                key,
                format!("it lacks the schema or the index of database {:?}", database.name),
            ));
        }
    }
    Ok(())
}
