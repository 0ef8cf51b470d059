//! What the fuzz targets call: readers of bytes that a stranger may have written.

use crate::compression::LEVEL;
use crate::store::address::Address;
use crate::{Index, manifest};

/// Reads a manifest: unchanged, and with a correct checksum.
pub fn manifest(bytes: &[u8]) {
    let _ = manifest::from_bytes("manifest.json", bytes);
    if let Ok(read) = serde_json::from_slice::<model::Manifest>(bytes) {
        let written = manifest::to_bytes(&read).expect("a manifest");
        let _ = manifest::from_bytes("manifest.json", &written);
    }
}

/// Reads an index: unchanged, and compressed.
pub fn index(bytes: &[u8]) {
    let _ = Index::parse("0/index.jsonl.zst", bytes);
    if let Ok(compressed) = zstd::encode_all(bytes, LEVEL)
        && let Ok(index) = Index::parse("0/index.jsonl.zst", &compressed)
    {
        let again = Index::parse("0/index.jsonl.zst", &index.pack().expect("packed"));
        assert_eq!(again.expect("parsed"), index);
    }
}

/// Reads the address of a store.
pub fn address(text: &str) {
    let _ = Address::parse(text);
}
