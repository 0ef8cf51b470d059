//! Images round-trip, and an unfinished image is not an image.

mod scratch;

use std::collections::BTreeMap;

use image::{ImageWriter, Index};
use model::{FailureCode, ImageId};
use scratch::{TestStore, manifest_of, random};

#[tokio::test]
async fn image_round_trips() {
    let store = TestStore::new();
    let written = store.write(&mut random()).await;
    let image = store.open(&written.prefix).await.expect("an image");
    assert_eq!((&image.manifest, &image.manifest_sha256), (&written.manifest, &written.sha256));
    assert_eq!(image.read("0/schema.dump").await.expect("read"), written.schema);
    assert_eq!(image.index(0).await.expect("read"), written.index);
    let verified = image.verify(|_| {}).await.expect("undamaged");
    assert_eq!(verified.bytes, written.manifest.stored_bytes());
    assert_eq!(verified.objects, written.manifest.objects.len() as u64);
    assert!(image.has("0/rows-0-1.zst"), "one table needs more than one object");

    // Each frame is within one line of the index, and the frames together are the tables.
    let mut tables: BTreeMap<String, Vec<u8>> =
        written.tables.keys().map(|name| (name.clone(), Vec::new())).collect();
    for object in image.manifest.objects.iter().filter(|object| object.format == "copy-text") {
        let mut rows = image.rows(&object.key).await.expect("begun");
        while let Some(frame) = rows.frame().await.expect("undamaged") {
            let inside = |line: &&image::TableLine| {
                line.object.as_deref() == Some(&object.key)
                    && (line.offset..line.offset + line.length).contains(&frame.offset)
                    && frame.offset + frame.length <= line.offset + line.length
            };
            let line = written.index.tables.iter().find(inside).expect("in the index");
            tables.get_mut(&line.name).expect("listed").extend_from_slice(&frame.data);
        }
    }
    assert!(tables == written.tables);
}

#[tokio::test]
async fn stock_zstd_decompresses_a_piece() {
    let store = TestStore::new();
    let written = store.write(&mut random()).await;
    let line = written.index.tables.iter().find(|line| line.name == "small").expect("readable");
    let object =
        std::fs::read(store.path(&format!("{}/{}", written.prefix, line.object.as_deref().expect("rows"))))
            .expect("readable");
    let (from, to) = (
        usize::try_from(line.offset).expect("small"),
        usize::try_from(line.offset + line.length).expect("small"),
    );
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("x.zst"), &object[from..to]).expect("written");
    let output = std::process::Command::new("zstd")
        .args(["-dc", "x.zst"])
        .current_dir(dir.path())
        .output()
        .expect("the program zstd is installed");
    assert_eq!(output.stdout, written.tables["small"], "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn second_manifest_is_rejected() {
    let store = TestStore::new();
    let written = store.write(&mut random()).await;
    let before = std::fs::read(store.path(&format!("{}/manifest.json", written.prefix))).expect("readable");
    let again = ImageWriter::new(store.store.clone(), written.prefix.as_str(), written.image);
    let manifest = model::Manifest { databases: Vec::new(), ..manifest_of(written.image, &written.tables) };
    let error = again.commit(manifest).await.expect_err("there is one");
    assert_eq!(error.code(), FailureCode::ObjectExists, "{error}");
    assert_eq!(
        std::fs::read(store.path(&format!("{}/manifest.json", written.prefix))).expect("readable"),
        before
    );
}

#[tokio::test]
async fn prefix_has_one_writer() {
    let store = TestStore::new();
    for round in 0..50 {
        let prefix = format!("images/race/{round}");
        let claims = futures::future::join_all((0..4).map(|_| store.store.claim(&prefix))).await;
        assert!(claims.iter().filter(|claim| claim.is_ok()).count() <= 1, "{claims:?}");
        for error in claims.iter().filter_map(|claim| claim.as_ref().err()) {
            assert_eq!(error.code(), FailureCode::AttemptInUse, "{error}");
        }
        // A refused writer leaves nothing behind.
        if claims.iter().all(Result::is_err) {
            store.store.claim(&prefix).await.expect("a free prefix");
        }
        let again = store.store.claim(&prefix).await.expect_err("a claimed prefix");
        assert_eq!(again.code(), FailureCode::AttemptInUse, "{again}");
    }
}

#[tokio::test]
async fn late_writer_is_refused_and_changes_nothing() {
    let store = TestStore::new();
    let written = store.write(&mut random()).await;
    let before = store.files();
    let error = store.store.claim(&written.prefix).await.expect_err("there is an image");
    assert_eq!(error.code(), FailureCode::AttemptInUse, "{error}");
    assert_eq!(store.files(), before);
    store.verify(&written.prefix).await.expect("undamaged");
}

#[tokio::test]
async fn discarded_prefix_can_be_claimed_again_and_its_log_is_kept() {
    let store = TestStore::new();
    store.store.claim("images/a/1").await.expect("a free prefix");
    for key in ["images/a/1/0/schema.dump", "images/a/1/log-0.jsonl"] {
        store.store.put(key, "x").await.expect("written");
    }
    store.store.discard("images/a/1").await.expect("discarded");
    assert_eq!(store.files(), ["images/a/1/log-0.jsonl"]);
    store.store.claim("images/a/1").await.expect("a free prefix");
}

#[tokio::test]
async fn missing_or_truncated_object_prevents_the_commit() {
    for (damage, code) in [("missing", FailureCode::ObjectMissing), ("truncated", FailureCode::ObjectDamaged)]
    {
        let store = TestStore::new();
        let image = ImageId::new();
        let writer = ImageWriter::new(store.store.clone(), "images/a/1", image);
        writer.write("0/schema.dump", "pg_dump-custom", None, b"schema").await.expect("written");
        writer
            .write(&Index::key(0), "jsonl", Some("zstd"), &Index::default().pack().expect("packed"))
            .await
            .expect("written");
        let path = store.path("images/a/1/0/schema.dump");
        match damage {
            "missing" => std::fs::remove_file(path).expect("removed"),
            _ => std::fs::write(path, b"sch").expect("cut"),
        }
        let error = writer.commit(manifest_of(image, &BTreeMap::new())).await.expect_err(damage);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains("schema.dump"), "{error}");
        let error = store.open("images/a/1").await.expect_err("no manifest");
        assert_eq!(error.code(), FailureCode::ManifestMissing);
    }
}

#[tokio::test]
async fn unfinished_object_leaves_no_files() {
    let store = TestStore::new();
    let writer = ImageWriter::new(store.store.clone(), "images/a/1", ImageId::new());
    for bytes in [0, 10, 5_000_000] {
        let mut object = writer.object("0/schema.dump", "pg_dump-custom", None).await.expect("begun");
        object.write(&vec![1; bytes]).await.expect("taken");
        drop(object);
        store.store.settle().await;
        assert_eq!(store.files(), Vec::<String>::new(), "dropped after {bytes} bytes");
        let object = writer.object("0/schema.dump", "pg_dump-custom", None).await.expect("begun");
        object.abort().await;
        assert_eq!(store.files(), Vec::<String>::new(), "aborted");
    }
    assert_eq!(writer.objects(), Vec::new());
}

#[tokio::test]
async fn deletion_removes_all_objects_of_one_image_only() {
    let store = TestStore::new();
    let random = &mut random();
    let (one, other) = (store.write(random).await, store.write(random).await);
    std::fs::write(store.path(&format!("{}/0/schema.dump#1", one.prefix)), b"left by a killed process")
        .expect("written");
    for _ in 0..2 {
        store.store.delete_image(&one.prefix).await.expect("deleted");
        let error = store.open(&one.prefix).await.expect_err("deleted");
        assert_eq!(error.code(), FailureCode::ManifestMissing);
        assert!(!store.path(&one.prefix).exists());
    }
    store.verify(&other.prefix).await.expect("untouched");
    for prefix in ["", "/", "..", "images/../images"] {
        store.store.delete_image(prefix).await.expect_err(prefix);
    }
    store.verify(&other.prefix).await.expect("untouched");
}

#[tokio::test]
async fn discard_keeps_the_log_and_rejects_a_complete_image() {
    let store = TestStore::new();
    let writer = ImageWriter::new(store.store.clone(), "images/a/1", ImageId::new());
    writer.write("0/schema.dump", "pg_dump-custom", None, b"schema").await.expect("written");
    store.store.put("images/a/1/log-0.jsonl", "{}\n").await.expect("written");
    std::fs::write(store.path("images/a/1/0/rows-0-0.zst#12"), b"left by a killed process").expect("written");
    store.store.discard("images/a/1").await.expect("discarded");
    assert_eq!(store.files(), ["images/a/1/log-0.jsonl"]);

    let written = store.write(&mut random()).await;
    let error = store.store.discard(&written.prefix).await.expect_err("an image");
    assert_eq!(error.code(), FailureCode::ObjectExists, "{error}");
    store.verify(&written.prefix).await.expect("untouched");
}
