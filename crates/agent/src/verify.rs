//! Reads an image and compares every byte with its manifest. It changes nothing.

use anyhow::Result;
use image::{ImageReader, Store, Verified};
use model::{Level, Location, Outcome};

use crate::job::Job;
use crate::progress::Meter;

/// Verifies an image. Its manifest must have the SHA-256 `written`, in hexadecimal; any if none.
pub(crate) async fn verify(job: &Job, from: &Location, written: Option<&str>) -> Result<Outcome> {
    let store = Store::existing(&from.store, job.store_options())?;
    let image = ImageReader::open_as_written(store, &from.prefix, written).await?;
    let manifest = &image.manifest;
    job.log(
        Level::Info,
        format!(
            "image {} of PostgreSQL {}: {} objects, {} bytes",
            manifest.image,
            manifest.source.version,
            manifest.objects.len(),
            manifest.stored_bytes()
        ),
    );
    let report = |progress| job.progress(progress);
    let meter = Meter::new(&report, "verify", 0);
    meter.begin(manifest.objects.len() as u64, manifest.stored_bytes(), 0);
    let mut before = Verified::default();
    let read = image
        .verify(|now| {
            meter.add(now.bytes - before.bytes);
            for _ in before.objects..now.objects {
                meter.table_done();
            }
            before = now;
        })
        .await?;
    meter.phase("verified");
    job.log(Level::Info, format!("all checksums match: {} objects, {} bytes", read.objects, read.bytes));
    Ok(Outcome::Verify { objects: read.objects, bytes: read.bytes })
}
