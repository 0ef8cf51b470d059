//! Changed bytes of an image are detected before they are used, and the error names the object.

#[expect(dead_code, reason = "these tests do not read the content back")]
mod scratch;

use std::path::Path;
use std::time::Duration;

use image::{ImageWriter, Index};
use model::{FailureCode, ImageId};
use rand::RngExt as _;
use rustix::fs::FileType;
use scratch::{TestImage, TestStore, random};

/// How long a request may take that must not wait for another process.
const LIMIT: Duration = Duration::from_secs(10);

/// Verification fails with a code of damage and names the damaged object.
async fn assert_detected(store: &TestStore, written: &TestImage, file: &str, how: &str) {
    let error = store.verify(&written.prefix).await.expect_err(how);
    let codes = [FailureCode::ObjectDamaged, FailureCode::ObjectMissing, FailureCode::ManifestMissing];
    assert!(codes.contains(&error.code()), "{file} {how}: {:?} {error}", error.code());
    let key = file.strip_prefix(&written.prefix).expect("below").trim_start_matches('/');
    assert!(error.to_string().contains(key), "{file} {how}: {error}");
}

#[tokio::test]
async fn flipped_bit_in_any_object_is_detected() {
    let store = TestStore::new();
    let random = &mut random();
    let written = store.write(random).await;
    for file in store.files() {
        let content = std::fs::read(store.path(&file)).expect("readable");
        for _ in 0..4 {
            let (at, bit) = (random.random_range(0..content.len()), random.random_range(0..8));
            let mut flipped = content.clone();
            flipped[at] ^= 1 << bit;
            std::fs::write(store.path(&file), &flipped).expect("written");
            // A flipped digit of the format version is reported as unsupported.
            if !file.ends_with("manifest.json") {
                assert_detected(&store, &written, &file, &format!("bit {bit} of byte {at}")).await;
            } else {
                store.verify(&written.prefix).await.expect_err("changed manifest");
            }
        }
        std::fs::write(store.path(&file), &content).expect("written");
    }
    store.verify(&written.prefix).await.expect("restored");
}

#[tokio::test]
async fn truncated_longer_or_missing_object_is_detected() {
    let store = TestStore::new();
    let random = &mut random();
    let written = store.write(random).await;
    for file in store.files() {
        let content = std::fs::read(store.path(&file)).expect("readable");
        let cuts = [0, 1, content.len() / 2, content.len() - 1, random.random_range(0..content.len())];
        for cut in cuts {
            std::fs::write(store.path(&file), &content[..cut]).expect("written");
            assert_detected(&store, &written, &file, &format!("cut after {cut} of {}", content.len())).await;
        }
        std::fs::write(store.path(&file), [&content[..], b"\n"].concat()).expect("written");
        assert_detected(&store, &written, &file, "one byte longer").await;
        std::fs::remove_file(store.path(&file)).expect("removed");
        assert_detected(&store, &written, &file, "missing").await;
        std::fs::write(store.path(&file), &content).expect("written");
    }
    store.verify(&written.prefix).await.expect("restored");
}

#[tokio::test]
async fn objects_of_another_image_are_detected() {
    let store = TestStore::new();
    let random = &mut random();
    let (one, other) = (store.write(random).await, store.write(random).await);
    let swapped = ["0/schema.dump", "0/rows-0-0.zst", "0/index.jsonl.zst", "manifest.json"];
    for key in swapped {
        let (a, b) =
            (store.path(&format!("{}/{key}", one.prefix)), store.path(&format!("{}/{key}", other.prefix)));
        let swap = || {
            let kept = std::fs::read(&a).expect("readable");
            std::fs::copy(&b, &a).expect("copied");
            std::fs::write(&b, kept).expect("written");
        };
        swap();
        for written in [&one, &other] {
            assert_detected(&store, written, &format!("{}/{key}", written.prefix), "swapped").await;
        }
        swap();
    }
    store.verify(&one.prefix).await.expect("restored");
}

#[tokio::test]
async fn all_damaged_objects_are_reported() {
    let store = TestStore::new();
    let written = store.write(&mut random()).await;
    for key in ["0/schema.dump", "RESTORE.md"] {
        std::fs::remove_file(store.path(&format!("{}/{key}", written.prefix))).expect("removed");
    }
    let error = store.verify(&written.prefix).await.expect_err("damaged");
    assert_eq!(error.code(), FailureCode::ObjectDamaged);
    for key in ["0/schema.dump", "RESTORE.md"] {
        assert!(error.failure().detail.contains(key), "{error}");
    }
}

#[tokio::test]
async fn index_that_differs_from_the_manifest_is_detected() {
    type Change = fn(&mut Index);
    let changes: [(&str, Change); 5] = [
        ("rows", |index| index.tables[0].rows += 1),
        ("offset", |index| index.tables[0].offset += 1),
        ("missing table", |index| drop(index.tables.pop())),
        ("sequence", |index| index.sequences.clear()),
        ("object", |index| index.tables[0].object = Some("0/rows-9-9.zst".into())),
    ];
    for (what, change) in changes {
        let store = TestStore::new();
        let written = store.write(&mut random()).await;
        let mut index = written.index.clone();
        change(&mut index);
        // The same objects and manifest below another prefix, with the changed index.
        let image = ImageId::new();
        let writer = ImageWriter::new(store.store.clone(), format!("images/{image}/1"), image);
        for object in written.manifest.objects.iter().filter(|object| object.key != image::GUIDE) {
            let mut bytes =
                std::fs::read(store.path(&format!("{}/{}", written.prefix, object.key))).expect("readable");
            if object.key == Index::key(0) {
                bytes = index.pack().expect("packed");
            }
            let compression = object.compression.as_deref();
            writer.write(&object.key, &object.format, compression, &bytes).await.expect("written");
        }
        writer.commit(written.manifest.clone()).await.expect("committed");
        let error = store.verify(&format!("images/{image}/1")).await.expect_err(what);
        assert_eq!(error.code(), FailureCode::ObjectDamaged, "{what}: {error}");
        assert_eq!(error.failure().subject, Some(Index::key(0)), "{what}: {error}");
    }
}

/// Replaces a file, verifies the image, and puts the file back.
async fn verify_with(
    store: &TestStore,
    written: &TestImage,
    file: &str,
    replace: impl FnOnce(&Path),
) -> image::Error {
    let (path, kept) = (store.path(file), store.path(file).with_extension("kept"));
    std::fs::rename(&path, &kept).expect("moved");
    replace(&path);
    let verified = tokio::time::timeout(LIMIT, store.verify(&written.prefix)).await;
    std::fs::remove_file(&path).expect("removed");
    std::fs::rename(&kept, &path).expect("moved");
    verified.expect("the verification hangs").expect_err(file)
}

fn make_special(path: &Path, kind: FileType) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).expect("a special file");
}

#[test]
fn fifo_socket_or_device_in_the_place_of_an_object_is_damage() {
    // Not dropped: that would wait for a thread that is blocked in open(2).
    let runtime = std::mem::ManuallyDrop::new(tokio::runtime::Runtime::new().expect("a runtime"));
    runtime.block_on(async {
        let store = TestStore::new();
        let written = store.write(&mut random()).await;
        for file in store.files() {
            let replaced = [
                verify_with(&store, &written, &file, |path| make_special(path, FileType::Fifo)).await,
                verify_with(&store, &written, &file, |path| make_special(path, FileType::Socket)).await,
                verify_with(&store, &written, &file, |path| {
                    std::os::unix::fs::symlink("/dev/zero", path).expect("a link");
                })
                .await,
            ];
            for error in replaced {
                assert_eq!(error.code(), FailureCode::ObjectDamaged, "{file}: {error}");
                assert!(error.to_string().contains("not a regular file"), "{file}: {error}");
            }
        }
        store.verify(&written.prefix).await.expect("restored");
    });
}

#[test]
fn fifo_in_the_place_of_an_object_blocks_no_request() {
    // Not dropped: that would wait for a thread that is blocked in open(2).
    let runtime = std::mem::ManuallyDrop::new(tokio::runtime::Runtime::new().expect("a runtime"));
    runtime.block_on(async {
        let store = TestStore::new();
        let key = "images/a/1/object";
        store.store.put(key, "x").await.expect("written");
        std::fs::remove_file(store.path(key)).expect("removed");
        make_special(&store.path(key), FileType::Fifo);
        let got = tokio::time::timeout(LIMIT, store.store.get(key)).await.expect("get hangs");
        assert_eq!(got.expect_err("a FIFO").code(), FailureCode::ObjectDamaged);
        let size = tokio::time::timeout(LIMIT, store.store.size(key)).await.expect("size hangs");
        assert_eq!(size.expect_err("a FIFO").code(), FailureCode::ObjectDamaged);
        let created = tokio::time::timeout(LIMIT, store.store.create(key, "x")).await.expect("create hangs");
        assert_eq!(created.expect_err("a FIFO").code(), FailureCode::ObjectExists);
        tokio::time::timeout(LIMIT, store.store.put(key, "x")).await.expect("put hangs").expect("replaced");
        assert_eq!(store.store.get(key).await.expect("an object"), "x");
    });
}
