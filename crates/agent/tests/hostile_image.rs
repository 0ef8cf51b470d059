//! Images that were changed by a person who can write to the store: all checksums are right, and the content is not what the backup
//! wrote.

mod scratch;

use image::{ImageReader, ImageWriter, Index, Store, StoreOptions};
use model::agent::{Outcome, Work};
use model::{FailureCode, ImageId, Manifest};
use scratch::{Server, Workspace};

const ROWS: &str = "0/rows-0-0.zst";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// Backs up a server with one table of one row, and returns the SHA-256 of the manifest.
fn backed_up(workspace: &Workspace, image: ImageId) -> String {
    let source = Server::new();
    source.psql("postgres", "create table t as select 'original'::text as a");
    let ended = workspace.run(workspace.backup(&source, image)).succeeded();
    let Outcome::Backup { manifest_sha256, .. } = ended.outcome() else { panic!("{ended:?}") };
    manifest_sha256
}

fn object(workspace: &Workspace, image: ImageId, key: &str) -> std::path::PathBuf {
    workspace.store().join(workspace.image(image).prefix).join(key)
}

/// Replaces objects of an image, and computes the entries and the checksum of the manifest again.
fn reseal(workspace: &Workspace, image: ImageId, replaced: &[(&str, Vec<u8>)]) {
    reseal_with(workspace, image, replaced, |_| {});
}

/// The same, with a change of the manifest.
fn reseal_with(
    workspace: &Workspace,
    image: ImageId,
    replaced: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut Manifest),
) {
    let at = workspace.image(image);
    let forged = format!("images/{image}/2");
    block_on(async {
        let store = Store::open(&at.store, &StoreOptions::default()).expect("opened");
        let mut reader = ImageReader::open(store.clone(), &at.prefix).await.expect("an image");
        change(&mut reader.manifest);
        let writer = ImageWriter::new(store, forged.as_str(), image);
        for entry in reader.manifest.objects.iter().filter(|entry| entry.key != "RESTORE.md") {
            let changed = replaced.iter().find(|(key, _)| *key == entry.key).map(|(_, bytes)| bytes.clone());
            let bytes = changed
                .unwrap_or_else(|| std::fs::read(object(workspace, image, &entry.key)).expect("exists"));
            let compression = entry.compression.as_deref();
            writer.write(&entry.key, &entry.format, compression, &bytes).await.expect("written");
        }
        writer.commit(reader.manifest).await.expect("committed");
    });
    let prefix = workspace.store().join(&at.prefix);
    std::fs::remove_dir_all(&prefix).expect("removed");
    std::fs::rename(workspace.store().join(forged), prefix).expect("renamed");
}

/// The objects of the image with other rows, and an index that fits them.
fn with_rows(
    workspace: &Workspace,
    image: ImageId,
    change: impl Fn(&str) -> String,
) -> [(&'static str, Vec<u8>); 2] {
    let text = zstd::decode_all(&std::fs::read(object(workspace, image, ROWS)).expect("exists")[..]);
    let text = change(&String::from_utf8(text.expect("zstd")).expect("text"));
    let rows = zstd::bulk::compress(text.as_bytes(), 1).expect("compressed");
    let bytes = std::fs::read(object(workspace, image, "0/index.jsonl.zst")).expect("exists");
    let mut index = Index::parse("index", &bytes).expect("an index");
    for line in &mut index.tables {
        line.length = rows.len() as u64;
    }
    [(ROWS, rows), ("0/index.jsonl.zst", index.pack().expect("packed"))]
}

fn written(mut work: Work, sha256: &str) -> Work {
    if let Work::Verify { manifest_sha256, .. } | Work::Restore { manifest_sha256, .. } = &mut work {
        *manifest_sha256 = Some(sha256.to_owned());
    }
    work
}

#[test]
fn consistently_changed_image_is_refused_by_the_digest_of_its_manifest() {
    let (workspace, image) = (Workspace::new(), ImageId::new());
    let sha256 = backed_up(&workspace, image);
    workspace.run(written(workspace.verify(image), &sha256)).succeeded();
    let replaced = with_rows(&workspace, image, |rows| rows.replace("original", "planted!"));
    reseal(&workspace, image, &replaced);

    let verified = workspace.run(written(workspace.verify(image), &sha256));
    verified.expect_failure(FailureCode::ManifestReplaced);
    let restored = workspace.run(written(workspace.restore(image), &sha256));
    restored.expect_failure(FailureCode::ManifestReplaced);
    assert!(!workspace.data_dir().exists());

    // Nothing but the digest tells that it was changed.
    workspace.run(workspace.verify(image)).succeeded();
    workspace.run(workspace.restore(image)).succeeded();
    assert_eq!(Server::on(&workspace.data_dir()).psql("postgres", "table t"), "planted!");
}

/// 10 MB of zstd that decompress to more than 300 GB of line breaks.
fn bomb() -> Vec<u8> {
    const BLOCKS: usize = 2_500_000;
    // The frame's header: no checksum, an unknown size of the content, and a window of 1 MiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
    // Each block repeats one byte 128 Ki times. The last one is empty.
    frame.extend([0x02, 0x00, 0x10, b'\n'].repeat(BLOCKS));
    frame.extend([0x01, 0, 0]);
    frame
}

#[test]
fn objects_that_decompress_to_more_than_fits_in_memory_are_refused() {
    let (workspace, image) = (Workspace::new(), ImageId::new());
    backed_up(&workspace, image);
    for key in [image::GLOBALS, "0/index.jsonl.zst", ROWS] {
        let intact = std::fs::read(object(&workspace, image, key)).expect("exists");
        reseal(&workspace, image, &[(key, bomb())]);
        let restored = workspace.start_limited(workspace.restore(image)).wait();
        let failure = restored.expect_failure(FailureCode::ObjectDamaged);
        assert_eq!(failure.subject.as_deref(), Some(key));
        assert!(!workspace.data_dir().exists(), "{key}");
        if key.contains("index") {
            let verified = workspace.start_limited(workspace.verify(image)).wait();
            verified.expect_failure(FailureCode::ObjectDamaged);
        }
        reseal(&workspace, image, &[(key, intact)]);
    }
    let manifest = object(&workspace, image, "manifest.json");
    std::fs::File::create(&manifest).and_then(|file| file.set_len(100 << 30)).expect("a sparse file");
    let verified = workspace.start_limited(workspace.verify(image)).wait();
    verified.expect_failure(FailureCode::ObjectDamaged);
}

#[test]
fn rows_that_are_longer_than_the_index_lists_are_refused() {
    let (workspace, image) = (Workspace::new(), ImageId::new());
    backed_up(&workspace, image);
    let replaced = with_rows(&workspace, image, |rows| rows.trim_end().repeat(100_000) + "\n");
    reseal(&workspace, image, &replaced);
    let restored = workspace.run(workspace.restore(image));
    assert_eq!(restored.expect_failure(FailureCode::ObjectDamaged).subject.as_deref(), Some(ROWS));
}

#[test]
fn only_the_libraries_of_the_instance_are_preloaded() {
    let (workspace, image) = (Workspace::new(), ImageId::new());
    backed_up(&workspace, image);
    reseal_with(&workspace, image, &[], |manifest| {
        manifest.source.preload = vec!["not_installed".to_owned()];
    });
    workspace.run(workspace.restore(image)).expect_failure(FailureCode::LibraryMissing);
    let mut restore = workspace.restore(image);
    if let Work::Restore { preload, .. } = &mut restore {
        *preload = Some(Vec::new());
    }
    workspace.run(restore).succeeded();
}
