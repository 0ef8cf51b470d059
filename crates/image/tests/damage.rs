//! Whatever happens to an image's bytes is seen before anybody trusts them, and named.

#[expect(dead_code, reason = "it does not read back what was written")]
mod scratch;

use std::process::Command;

use image::{Error, ImageWriter, Index, Store};
use model::{ExitClass, ImageId};
use rand::RngExt as _;
use scratch::{Desk, Written, files_below, random};

/// The error must be of the class "not what was written" and name what is damaged.
async fn assert_seen(desk: &Desk, written: &Written, file: &str, how: &str) {
    let seen = desk.verify(&written.prefix).await.expect_err(how);
    assert_eq!(seen.class(), ExitClass::Verification, "{file} {how}: {seen}");
    let key = file.strip_prefix(&written.prefix).expect("below").trim_start_matches('/');
    assert!(seen.to_string().contains(key), "{file} {how}: {seen}");
}

#[tokio::test]
async fn a_flipped_bit_is_seen_wherever_it_is() {
    let desk = Desk::new();
    let random = &mut random();
    let written = desk.write(random).await;
    for file in desk.files() {
        let whole = std::fs::read(desk.path(&file)).expect("there");
        for _ in 0..4 {
            let (at, bit) = (random.random_range(0..whole.len()), random.random_range(0..8));
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            std::fs::write(desk.path(&file), &flipped).expect("written");
            // A digit of the version may have become another: that is refused too, as unknown.
            if !file.ends_with("manifest.json") {
                assert_seen(&desk, &written, &file, &format!("bit {bit} of byte {at}")).await;
            } else {
                desk.verify(&written.prefix).await.expect_err("changed manifest");
            }
        }
        std::fs::write(desk.path(&file), &whole).expect("written");
    }
    desk.verify(&written.prefix).await.expect("whole again");
}

#[tokio::test]
async fn a_truncated_longer_or_missing_object_is_seen() {
    let desk = Desk::new();
    let random = &mut random();
    let written = desk.write(random).await;
    for file in desk.files() {
        let whole = std::fs::read(desk.path(&file)).expect("there");
        let cuts = [0, 1, whole.len() / 2, whole.len() - 1, random.random_range(0..whole.len())];
        for cut in cuts {
            std::fs::write(desk.path(&file), &whole[..cut]).expect("written");
            assert_seen(&desk, &written, &file, &format!("cut after {cut} of {}", whole.len())).await;
        }
        std::fs::write(desk.path(&file), [&whole[..], b"\n"].concat()).expect("written");
        assert_seen(&desk, &written, &file, "one byte longer").await;
        std::fs::remove_file(desk.path(&file)).expect("removed");
        assert_seen(&desk, &written, &file, "missing").await;
        std::fs::write(desk.path(&file), &whole).expect("written");
    }
    desk.verify(&written.prefix).await.expect("whole again");
}

#[tokio::test]
async fn parts_of_another_image_are_seen() {
    let desk = Desk::new();
    let random = &mut random();
    let (one, other) = (desk.write(random).await, desk.write(random).await);
    let swapped = ["0/schema.dump", "0/rows-0-0.zst", "0/index.jsonl.zst", "manifest.json"];
    for key in swapped {
        let (a, b) =
            (desk.path(&format!("{}/{key}", one.prefix)), desk.path(&format!("{}/{key}", other.prefix)));
        let swap = || {
            let kept = std::fs::read(&a).expect("there");
            std::fs::copy(&b, &a).expect("copied");
            std::fs::write(&b, kept).expect("written");
        };
        swap();
        for written in [&one, &other] {
            assert_seen(&desk, written, &format!("{}/{key}", written.prefix), "swapped").await;
        }
        swap();
    }
    desk.verify(&one.prefix).await.expect("whole again");
}

#[tokio::test]
async fn several_damaged_objects_are_all_named() {
    let desk = Desk::new();
    let written = desk.write(&mut random()).await;
    for key in ["0/schema.dump", "RESTORE.md"] {
        std::fs::remove_file(desk.path(&format!("{}/{key}", written.prefix))).expect("removed");
    }
    let seen = desk.verify(&written.prefix).await.expect_err("damaged").to_string();
    assert!(
        seen.contains("2 objects") && seen.contains("0/schema.dump") && seen.contains("RESTORE.md"),
        "{seen}"
    );
}

#[tokio::test]
async fn an_index_that_does_not_fit_its_image_is_seen() {
    type Change = fn(&mut Index);
    let changes: [(&str, Change); 5] = [
        ("rows", |index| index.tables[0].rows += 1),
        ("offset", |index| index.tables[0].offset += 1),
        ("forgotten", |index| drop(index.tables.pop())),
        ("sequence", |index| index.sequences.clear()),
        ("object", |index| index.tables[0].object = Some("0/rows-9-9.zst".into())),
    ];
    for (what, change) in changes {
        let desk = Desk::new();
        let written = desk.write(&mut random()).await;
        let mut index = written.index.clone();
        change(&mut index);
        // The same objects and manifest under another prefix, with that index.
        let image = ImageId::new();
        let writer = ImageWriter::new(desk.store.clone(), format!("images/{image}/1"), image);
        for object in written.manifest.objects.iter().filter(|object| object.key != image::GUIDE) {
            let mut bytes =
                std::fs::read(desk.path(&format!("{}/{}", written.prefix, object.key))).expect("there");
            if object.key == Index::key(0) {
                bytes = index.pack().expect("packed");
            }
            let compression = object.compression.as_deref();
            writer.write(&object.key, &object.format, compression, &bytes).await.expect("written");
        }
        writer.commit(written.manifest.clone()).await.expect("committed");
        let seen = desk.verify(&format!("images/{image}/1")).await.expect_err(what);
        assert_eq!(seen.class(), ExitClass::Verification, "{what}: {seen}");
        assert!(seen.to_string().contains("index"), "{what}: {seen}");
    }
}

/// A small file system of its own; taken away when dropped.
struct Mount(tempfile::TempDir);

impl Mount {
    /// None where one may not mount.
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "toygres-test"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        println!("SKIPPED: this user may not mount, so a full or read-only store was not tried");
        None
    }

    fn read_only(&self) {
        let done =
            Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).status().expect("mount");
        assert!(done.success());
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
async fn a_full_store_says_so_and_keeps_nothing_half() {
    let Some(mount) = Mount::new("3m") else { return };
    let store = mount.store();
    let writer = ImageWriter::new(store.clone(), "images/a/1", ImageId::new());
    let written = async {
        let mut object = writer.object("0/schema.dump", "pg_dump-custom", None).await?;
        for _ in 0..80 {
            object.write(&[7; 100_000]).await?;
        }
        object.finish().await
    };
    let full = written.await.expect_err("8 MB do not fit");
    assert!(matches!(full, Error::Full(_)), "{full}");
    assert_eq!(full.class(), ExitClass::Configuration);
    store.settle().await;
    assert_eq!(files_below(mount.0.path()), Vec::<String>::new());
    writer.write("0/schema.dump", "pg_dump-custom", None, &[7; 100_000]).await.expect("there is room again");
}

#[tokio::test]
async fn a_read_only_store_says_so() {
    let Some(mount) = Mount::new("3m") else { return };
    let store = mount.store();
    store.put("images/a/1/log-0.jsonl", "x").await.expect("written");
    mount.read_only();
    let writer = ImageWriter::new(store.clone(), "images/a/1", ImageId::new());
    let refused = writer.write("0/schema.dump", "pg_dump-custom", None, b"x").await.expect_err("read-only");
    assert!(matches!(refused, Error::ReadOnly(_)), "{refused}");
    assert_eq!(refused.class(), ExitClass::Configuration);
    let refused = store.delete_image("images/a/1").await.expect_err("read-only");
    assert!(matches!(refused, Error::ReadOnly(_)), "{refused}");
}
