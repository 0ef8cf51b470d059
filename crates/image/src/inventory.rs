//! What is in a store without reading it: the prefixes with objects, and whether an image has all its objects.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt as _;

use crate::error::{Error, Result};
use crate::layout::MANIFEST;
use crate::reader::ImageReader;
use crate::store::Store;

/// The top-level prefixes that Toygres writes to, and how many parts of a key name one attempt, job or test.
const WRITTEN: [(&str, usize); 3] = [("images", 3), ("logs", 2), ("probe", 2)];
/// The longest prefix, in characters. The prefixes that Toygres writes are shorter.
const LONGEST: usize = 200;

/// The objects below one prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixUsage {
    /// The number of objects.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Whether one of them is a manifest: then they are a complete image.
    pub has_manifest: bool,
}

impl Store {
    /// The objects of each attempt of a backup (`images/<image>/<attempt>`), of each job's log (`logs/<job>`) and of each test
    /// of the store (`probe/<test>`). Other objects of the store are not listed.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn prefixes(&self) -> Result<BTreeMap<String, PrefixUsage>> {
        let mut prefixes: BTreeMap<String, PrefixUsage> = BTreeMap::new();
        for (top, parts) in WRITTEN {
            let mut objects = self.list_each(top).await?;
            while let Some((key, bytes)) = objects.try_next().await? {
                let usage = prefixes.entry(prefix_of(&key, parts)).or_default();
                usage.objects += 1;
                usage.bytes += bytes;
                usage.has_manifest |= key.rsplit('/').next() == Some(MANIFEST);
            }
        }
        Ok(prefixes)
    }

    /// Checks that an image's manifest is the one with the SHA-256 `manifest_sha256` (any if none), and that every object exists
    /// with its size. The content is not read.
    ///
    /// # Errors
    /// [`model::FailureCode::ObjectMissing`], [`model::FailureCode::ObjectDamaged`], an error of
    /// [`ImageReader::open_as_written`], or the store refuses or fails.
    pub async fn check_objects(&self, prefix: &str, manifest_sha256: Option<&str>) -> Result<()> {
        let reader = ImageReader::open_as_written(self.clone(), prefix, manifest_sha256).await?;
        let listed: HashMap<String, u64> = self.list(prefix).await?.into_iter().collect();
        for object in &reader.manifest.objects {
            let key = format!("{prefix}/{}", object.key);
            if listed.get(&key) == Some(&object.bytes) {
                continue;
            }
            // A list can be older than the objects: the object itself decides.
            let size = self.size(&key).await?;
            if size != object.bytes {
                let detail = format!("the object has {size} bytes; {} were written", object.bytes);
                return Err(Error::damaged(key, detail));
            }
        }
        Ok(())
    }
}

/// The first parts of a key, without the name of the object.
fn prefix_of(key: &str, parts: usize) -> String {
    let directory = key.rsplit_once('/').map_or(key, |(directory, _)| directory);
    let parts: Vec<&str> = directory.splitn(parts + 1, '/').take(parts).collect();
    parts.join("/").chars().filter(|c| *c != '\0').take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_names_the_attempt() {
        for (key, prefix) in [
            ("images/a/1/manifest.json", "images/a/1"),
            ("images/a/1/0/rows-0-0.zst", "images/a/1"),
            ("images/a/object", "images/a"),
            ("images/object", "images"),
        ] {
            assert_eq!(prefix_of(key, 3), prefix);
        }
        assert_eq!(prefix_of("logs/a/log-0.jsonl", 2), "logs/a");
        assert_eq!(prefix_of(&format!("images/{}/1/x", "a".repeat(1000)), 3).len(), LONGEST);
    }

    #[tokio::test]
    async fn prefixes_count_objects_and_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}", directory.path().display());
        let store = Store::open(&url, &crate::StoreOptions::default()).expect("a store");
        assert!(store.prefixes().await.expect("listed").is_empty());
        for key in
            ["images/a/1/manifest.json", "images/a/1/0/x", "images/a/2/x", "logs/b/log-0.jsonl", "other/x"]
        {
            store.put(key, "12345").await.expect("written");
        }
        let found = store.prefixes().await.expect("listed");
        let usage = |objects, has_manifest| PrefixUsage { objects, bytes: objects * 5, has_manifest };
        let expected =
            [("images/a/1", usage(2, true)), ("images/a/2", usage(1, false)), ("logs/b", usage(1, false))];
        assert_eq!(found, expected.map(|(prefix, usage)| (prefix.to_owned(), usage)).into());
    }
}
