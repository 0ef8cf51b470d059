//! Stores on a file system that is full or mounted read-only. The tests mount a tmpfs, for which they need root.

#[expect(dead_code, reason = "these tests use only a part of the fixture")]
mod scratch;

use std::process::Command;

use image::{ImageWriter, Store};
use model::{FailureCode, ImageId};
use scratch::files_below;

/// A mounted tmpfs, unmounted when dropped.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(size: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "toygres-test"])
            .arg(dir.path())
            .status()
            .expect("mount");
        assert!(mounted.success(), "this account may not mount");
        Self(dir)
    }

    fn remount_read_only(&self) {
        let remounted =
            Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).status().expect("mount");
        assert!(remounted.success());
    }

    fn store(&self) -> Store {
        Store::open(&format!("file://{}", self.0.path().display()), &image::StoreOptions::default())
            .expect("a store")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
#[ignore = "needs root and mount"]
async fn mounted_full_store_is_reported_and_keeps_no_partial_object() {
    let mount = Mount::new("3m");
    let store = mount.store();
    let writer = ImageWriter::new(store.clone(), "images/a/1", ImageId::new());
    let written = async {
        let mut object = writer.object("0/schema.dump", "pg_dump-custom", None).await?;
        for _ in 0..80 {
            object.write(&[7; 100_000]).await?;
        }
        object.finish().await
    };
    let error = written.await.expect_err("8 MB do not fit");
    assert_eq!(error.code(), FailureCode::StoreFull, "{error}");
    store.settle().await;
    assert_eq!(files_below(mount.0.path()), Vec::<String>::new());
    writer.write("0/schema.dump", "pg_dump-custom", None, &[7; 100_000]).await.expect("space is free again");
}

/// The state database and instances can be on the same file system.
#[tokio::test]
#[ignore = "needs root and mount"]
async fn mounted_store_keeps_its_reserve_free() {
    let mount = Mount::new("200m");
    let store = mount.store();
    let space = async || store.space().await.expect("the space").expect("a directory has one");
    let before = space().await;
    assert_eq!(before.reserved, (200 << 20) / 20);
    let writer = ImageWriter::new(store.clone(), "images/a/1", ImageId::new());
    // Two streams, as in a backup.
    let write = async |key: &'static str| {
        let mut object = writer.object(key, "copy-text", None).await?;
        loop {
            object.write(&[7; 100_000]).await?;
            // What a write left free, before the aborted upload is removed.
            let free = space().await.free;
            assert!(free + (4 << 20) >= before.reserved, "{free} bytes are free");
        }
        #[expect(unreachable_code, reason = "the type of the result")]
        Ok::<(), image::Error>(())
    };
    let (first, second) = tokio::join!(write("0/rows-0-0.zst"), write("0/rows-1-0.zst"));
    for error in [first.expect_err("no space"), second.expect_err("no space")] {
        assert_eq!(error.code(), FailureCode::StoreFull, "{error}");
    }
    store.settle().await;
    assert_eq!(space().await, before);
    // Another program uses the free space up to the reserve: no new object is begun, but the log of the job can be written.
    let fill = vec![0_u8; usize::try_from(before.usable() + (1 << 20)).expect("a size")];
    std::fs::write(mount.0.path().join("other"), fill).expect("written");
    let error = writer.write("0/schema.dump", "pg_dump-custom", None, b"x").await.expect_err("no space");
    assert_eq!(error.code(), FailureCode::StoreFull, "{error}");
    store.put("images/a/1/log-0.jsonl", "x").await.expect("written");
}

#[tokio::test]
#[ignore = "needs root and mount"]
async fn mounted_read_only_store_is_reported() {
    let mount = Mount::new("3m");
    let store = mount.store();
    store.put("images/a/1/log-0.jsonl", "x").await.expect("written");
    mount.remount_read_only();
    let writer = ImageWriter::new(store.clone(), "images/a/1", ImageId::new());
    let error = writer.write("0/schema.dump", "pg_dump-custom", None, b"x").await.expect_err("read-only");
    assert_eq!(error.code(), FailureCode::StoreReadOnly, "{error}");
    let error = store.delete_image("images/a/1").await.expect_err("read-only");
    assert_eq!(error.code(), FailureCode::StoreReadOnly, "{error}");
}
