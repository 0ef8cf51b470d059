//! What is written is read back, and nothing is an image that was not written to its end.

mod scratch;

use std::collections::BTreeMap;

use image::{Error, ImageWriter, Index};
use model::{ExitClass, ImageId};
use scratch::{Desk, manifest_of, random};

#[tokio::test]
async fn what_was_written_is_read_back() {
    let desk = Desk::new();
    let written = desk.write(&mut random()).await;
    let image = desk.open(&written.prefix).await.expect("an image");
    assert_eq!((&image.manifest, &image.manifest_sha256), (&written.manifest, &written.sha256));
    assert_eq!(image.read("0/schema.dump").await.expect("read"), written.schema);
    assert_eq!(image.index(0).await.expect("read"), written.index);
    let verified = image.verify(|_| {}).await.expect("whole");
    assert_eq!(verified.bytes, written.manifest.stored_bytes());
    assert_eq!(verified.objects, written.manifest.objects.len() as u64);
    assert!(image.has("0/rows-0-1.zst"), "one table needs more than one object");

    // Frame by frame: each lies within one line of the index, and together they are the tables.
    let mut tables: BTreeMap<String, Vec<u8>> =
        written.tables.keys().map(|name| (name.clone(), Vec::new())).collect();
    for object in image.manifest.objects.iter().filter(|object| object.format == "copy-text") {
        let mut rows = image.rows(&object.key).await.expect("begun");
        while let Some(frame) = rows.frame().await.expect("whole") {
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
async fn stock_zstd_reads_a_range_of_rows() {
    let desk = Desk::new();
    let written = desk.write(&mut random()).await;
    let line = written.index.tables.iter().find(|line| line.name == "small").expect("there");
    let object =
        std::fs::read(desk.path(&format!("{}/{}", written.prefix, line.object.as_deref().expect("rows"))))
            .expect("there");
    let (from, to) = (
        usize::try_from(line.offset).expect("small"),
        usize::try_from(line.offset + line.length).expect("small"),
    );
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("x.zst"), &object[from..to]).expect("written");
    let Ok(output) =
        std::process::Command::new("zstd").args(["-dc", "x.zst"]).current_dir(dir.path()).output()
    else {
        println!("SKIPPED: there is no zstd program here");
        return;
    };
    assert_eq!(output.stdout, written.tables["small"], "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_manifest_is_written_once() {
    let desk = Desk::new();
    let written = desk.write(&mut random()).await;
    let before = std::fs::read(desk.path(&format!("{}/manifest.json", written.prefix))).expect("there");
    let again = ImageWriter::new(desk.store.clone(), written.prefix.as_str(), written.image);
    let manifest = model::Manifest { databases: Vec::new(), ..manifest_of(written.image, &written.tables) };
    let refused = again.commit(manifest).await.expect_err("there is one");
    assert!(matches!(refused, Error::Exists(_)), "{refused}");
    assert_eq!(
        std::fs::read(desk.path(&format!("{}/manifest.json", written.prefix))).expect("there"),
        before
    );
}

#[tokio::test]
async fn an_object_that_is_gone_or_short_stops_the_commit() {
    for damage in ["gone", "short"] {
        let desk = Desk::new();
        let image = ImageId::new();
        let writer = ImageWriter::new(desk.store.clone(), "images/a/1", image);
        writer.write("0/schema.dump", "pg_dump-custom", None, b"schema").await.expect("written");
        writer
            .write(&Index::key(0), "jsonl", Some("zstd"), &Index::default().pack().expect("packed"))
            .await
            .expect("written");
        let path = desk.path("images/a/1/0/schema.dump");
        match damage {
            "gone" => std::fs::remove_file(path).expect("removed"),
            _ => std::fs::write(path, b"sch").expect("cut"),
        }
        let refused = writer.commit(manifest_of(image, &BTreeMap::new())).await.expect_err(damage);
        assert_eq!(refused.class(), ExitClass::Verification, "{refused}");
        assert!(refused.to_string().contains("schema.dump"), "{refused}");
        assert!(matches!(desk.open("images/a/1").await, Err(Error::NoImage(_))));
    }
}

#[tokio::test]
async fn an_object_that_was_not_finished_leaves_nothing() {
    let desk = Desk::new();
    let writer = ImageWriter::new(desk.store.clone(), "images/a/1", ImageId::new());
    for bytes in [0, 10, 5_000_000] {
        let mut object = writer.object("0/schema.dump", "pg_dump-custom", None).await.expect("begun");
        object.write(&vec![1; bytes]).await.expect("taken");
        drop(object);
        desk.store.settle().await;
        assert_eq!(desk.files(), Vec::<String>::new(), "dropped after {bytes} bytes");
        let object = writer.object("0/schema.dump", "pg_dump-custom", None).await.expect("begun");
        object.abort().await;
        assert_eq!(desk.files(), Vec::<String>::new(), "aborted");
    }
    assert_eq!(writer.objects(), Vec::new());
}

#[tokio::test]
async fn a_deleted_image_is_gone_whole_and_its_neighbours_stay() {
    let desk = Desk::new();
    let random = &mut random();
    let (one, other) = (desk.write(random).await, desk.write(random).await);
    std::fs::write(desk.path(&format!("{}/0/schema.dump#1", one.prefix)), b"left by a kill")
        .expect("written");
    for _ in 0..2 {
        desk.store.delete_image(&one.prefix).await.expect("deleted");
        assert!(matches!(desk.open(&one.prefix).await, Err(Error::NoImage(_))));
        assert!(!desk.path(&one.prefix).exists());
    }
    desk.verify(&other.prefix).await.expect("untouched");
    for prefix in ["", "/", "..", "images/../images"] {
        desk.store.delete_image(prefix).await.expect_err(prefix);
    }
    desk.verify(&other.prefix).await.expect("untouched");
}

#[tokio::test]
async fn what_an_attempt_left_is_discarded_but_for_its_log() {
    let desk = Desk::new();
    let writer = ImageWriter::new(desk.store.clone(), "images/a/1", ImageId::new());
    writer.write("0/schema.dump", "pg_dump-custom", None, b"schema").await.expect("written");
    desk.store.put("images/a/1/log-0.jsonl", "{}\n").await.expect("written");
    std::fs::write(desk.path("images/a/1/0/rows-0-0.zst#12"), b"left by a kill").expect("written");
    desk.store.discard("images/a/1").await.expect("discarded");
    assert_eq!(desk.files(), ["images/a/1/log-0.jsonl"]);

    let written = desk.write(&mut random()).await;
    let refused = desk.store.discard(&written.prefix).await.expect_err("an image");
    assert!(matches!(refused, Error::Exists(_)), "{refused}");
    desk.verify(&written.prefix).await.expect("untouched");
}
