//! The seal: which manifests it accepts, and what it says about all others.

#![expect(clippy::unwrap_used, reason = "tests")]

use chrono::{TimeDelta, Utc};
use image::{ImageReader, ImageWriter, MANIFEST, SEAL, SealKey, Store, StoreOptions};
use model::{ImageId, ImageKind, ImageType, Manifest, Seal, Source};
use uuid::Uuid;

/// A store with one image.
struct Sealed {
    _directory: tempfile::TempDir,
    store: Store,
    image: ImageId,
    prefix: String,
}

impl Sealed {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("file://{}", directory.path().display());
        let store = Store::open(&url, &StoreOptions::default()).unwrap();
        let image = ImageId::new();
        let prefix = image::prefix(image, Uuid::now_v7());
        let sealed = Self { _directory: directory, store, image, prefix };
        sealed.commit(b"original").await;
        sealed
    }

    /// Writes the objects and a manifest whose checksums fit, as every account that can write to the store can.
    async fn commit(&self, globals: &[u8]) {
        let writer = ImageWriter::new(self.store.clone(), self.prefix.as_str(), self.image);
        writer.write(image::GLOBALS, "sql", None, globals).await.unwrap();
        let source = Source {
            version: "15.20".into(),
            major: 15,
            image_type: ImageType::Stock,
            preload: vec![],
            bytes: 0,
            bootstrap: None,
            left_out: Vec::new(),
        };
        let manifest = Manifest {
            format_version: model::image::FORMAT_VERSION,
            image: self.image,
            kind: ImageKind::Logical,
            created_at: Utc::now() - TimeDelta::days(1),
            source,
            databases: vec![],
            objects: vec![],
            tools: Default::default(),
        };
        writer.commit(manifest).await.unwrap();
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn open(&self) -> ImageReader {
        ImageReader::open(self.store.clone(), &self.prefix).await.unwrap()
    }

    async fn seal(&self, key: &SealKey) -> Seal {
        self.open().await.seal(key).await.unwrap()
    }
}

fn ours() -> SealKey {
    SealKey::new("ours", &[1; 32])
}

#[tokio::test]
async fn published_manifest_is_the_original_for_its_installation_only() {
    let sealed = Sealed::new().await;
    assert_eq!(sealed.seal(&ours()).await, Seal::Missing);
    // A step that is repeated writes it again.
    sealed.open().await.write_seal(&ours()).await.unwrap();
    sealed.open().await.write_seal(&ours()).await.unwrap();
    assert_eq!(sealed.seal(&ours()).await, Seal::Original);
    assert_eq!(sealed.seal(&SealKey::new("theirs", &[2; 32])).await, Seal::OtherKey);
    // Another key with the same id.
    assert_eq!(sealed.seal(&SealKey::new("ours", &[2; 32])).await, Seal::Mismatch);
    // It is an object of the image, but not one of those that the manifest lists.
    sealed.open().await.verify(|_| {}).await.unwrap();
    sealed.store.check_objects(&sealed.prefix, None).await.unwrap();
    sealed.store.delete_image(&sealed.prefix).await.unwrap();
    assert!(sealed.store.list(&sealed.prefix).await.unwrap().is_empty());
}

#[tokio::test]
async fn consistently_replaced_image_does_not_match() {
    let sealed = Sealed::new().await;
    sealed.open().await.write_seal(&ours()).await.unwrap();
    let original = sealed.store.get(&sealed.key(MANIFEST)).await.unwrap();
    sealed.store.delete(&sealed.key(MANIFEST)).await.unwrap();
    sealed.commit(b"replaced").await;
    // All checksums fit.
    sealed.open().await.verify(|_| {}).await.unwrap();
    assert_eq!(sealed.seal(&ours()).await, Seal::Mismatch);
    // Also if the seal names the new manifest.
    let seal = String::from_utf8(sealed.store.get(&sealed.key(SEAL)).await.unwrap().to_vec()).unwrap();
    let replaced = sealed.open().await.manifest_sha256;
    let seal: serde_json::Value = serde_json::from_str(&seal).unwrap();
    let mut forged = seal.clone();
    forged["manifest_sha256"] = replaced.into();
    sealed.store.put(&sealed.key(SEAL), forged.to_string()).await.unwrap();
    assert_eq!(sealed.seal(&ours()).await, Seal::Mismatch);
    // The original is recognised again.
    sealed.store.put(&sealed.key(MANIFEST), original).await.unwrap();
    sealed.store.put(&sealed.key(SEAL), seal.to_string()).await.unwrap();
    assert_eq!(sealed.seal(&ours()).await, Seal::Original);
}

#[tokio::test]
async fn seal_of_another_image_or_form_does_not_match() {
    let (sealed, other) = (Sealed::new().await, Sealed::new().await);
    other.open().await.write_seal(&ours()).await.unwrap();
    let foreign = other.store.get(&other.key(SEAL)).await.unwrap();
    let text = String::from_utf8(foreign.to_vec()).unwrap();
    for seal in [
        text.clone(),
        text.replace("\"version\": 1", "\"version\": 2"),
        text.replace("HMAC-SHA256", "none"),
        "{}".to_owned(),
        "x".repeat(5000),
    ] {
        sealed.store.put(&sealed.key(SEAL), seal.clone()).await.unwrap();
        assert_eq!(sealed.seal(&ours()).await, Seal::Mismatch, "{seal}");
    }
}
