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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::Utc;
    use model::{ExitClass, ImageId, ImageKind, ImageType, Source};

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
            },
            databases: Vec::new(),
            objects: Vec::new(),
            tools: BTreeMap::new(),
        }
    }

    /// What somebody else would have written: other contents under a right seal.
    fn changed(from: &str, to: &str) -> Vec<u8> {
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
    fn it_reads_what_it_wrote_and_is_json() {
        let manifest = manifest();
        let bytes = to_bytes(&manifest).expect("written");
        assert_eq!(from_bytes("m", &bytes).expect("read"), manifest);
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(json["sha256"].as_str().map(str::len), Some(DIGEST));
    }

    #[test]
    fn what_it_does_not_know_is_refused_by_name() {
        for (from, to, word) in [
            ("\"format_version\": 1", "\"format_version\": 2", "format version 2"),
            ("\"major\": 15", "\"major\": 15, \"colour\": 1", "colour"),
            ("\"logical\"", "\"magical\"", "magical"),
        ] {
            let refused = from_bytes("m", &changed(from, to)).expect_err(word);
            assert!(refused.to_string().contains(word), "{refused}");
            assert_eq!(refused.class(), ExitClass::Configuration, "{refused}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
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
    fn keys_that_lead_elsewhere_are_refused() {
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
            let refused = from_bytes("m", &to_bytes(&hostile).expect("written")).expect_err(key);
            assert_eq!(refused.class(), ExitClass::Verification, "{refused}");
        }
    }
}
