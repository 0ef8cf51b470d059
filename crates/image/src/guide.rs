//! `RESTORE.md`: how to restore an image with stock tools, without Toygres.

use std::fmt::Write as _;

use model::image::Manifest;

/// The part that is equal in all images: the instructions and the script.
const GUIDE: &str = include_str!("guide.md");

/// The guide of an image.
pub(crate) fn guide(manifest: &Manifest) -> String {
    let source = &manifest.source;
    let mut text = GUIDE.to_owned();
    let _ = write!(
        text,
        "\n## This image\n\n- Image {}, created {}\n- PostgreSQL {}\n- Superuser: {}\n",
        manifest.image,
        manifest.created_at.to_rfc3339(),
        source.version,
        quoted(source.bootstrap.as_deref().unwrap_or("postgres")),
    );
    if !source.preload.is_empty() {
        let _ = writeln!(text, "- Libraries: {}", quoted(&source.preload.join(", ")));
    }
    for database in &manifest.databases {
        let rows: u64 = database.tables.iter().map(|table| table.rows).sum();
        let _ = writeln!(
            text,
            "- Database {}: {}, {} tables with {rows} rows, {} sequences, {} large objects",
            database.ordinal,
            quoted(&database.name),
            database.tables.len(),
            database.sequences,
            database.large_objects
        );
    }
    text
}

/// A name as inline code. Names are data: they must not contain Markdown.
fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug().to_string().replace('`', "'"))
}
