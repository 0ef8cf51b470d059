//! `RESTORE.md`: how to restore an image with stock tools when Toygres is gone. It knows the format, not the objects.

use std::fmt::Write as _;

use model::image::Manifest;

/// What is the same for every image, the script above all.
const GUIDE: &str = include_str!("guide.md");

/// The guide for an image.
pub(crate) fn guide(manifest: &Manifest) -> String {
    let source = &manifest.source;
    let mut text = GUIDE.to_owned();
    let _ = write!(
        text,
        "\n## This image\n\n- Image {}, made {}\n- PostgreSQL {}\n- Superuser: {}\n",
        manifest.image,
        manifest.created_at.to_rfc3339(),
        source.version,
        shown(source.bootstrap.as_deref().unwrap_or("postgres")),
    );
    if !source.preload.is_empty() {
        let _ = writeln!(text, "- Libraries: {}", shown(&source.preload.join(", ")));
    }
    for database in &manifest.databases {
        let rows: u64 = database.tables.iter().map(|table| table.rows).sum();
        let _ = writeln!(
            text,
            "- Database {}: {}, {} tables with {rows} rows, {} sequences, {} large objects",
            database.ordinal,
            shown(&database.name),
            database.tables.len(),
            database.sequences,
            database.large_objects
        );
    }
    text
}

/// A name is data: it must not look like anything else on this page.
fn shown(name: &str) -> String {
    format!("`{}`", name.escape_debug().to_string().replace('`', "'"))
}
