//! The text of `RESTORE.md`: how to restore an image with stock tools when Toygres is gone. It reads nothing.

use std::fmt::Write as _;

use model::Manifest;

/// The text for an image.
pub(crate) fn text(manifest: &Manifest) -> String {
    let mut text = format!(
        "# How to restore this image without Toygres\n\n\
         It is a copy of PostgreSQL {version}, image {image}, made at {at}. Needed: PostgreSQL {major} or newer (`initdb`,\n\
         `psql`, `pg_restore`), `zstd`, `jq` and a shell. It holds password verifiers: treat it as a secret.\n\n\
         1. Check it: every object's SHA-256 is in `manifest.json`, and the last line there is the SHA-256 of all that precedes it.\n\
         \x20  `jq -r '.objects[] | .sha256 + \"  \" + .key' manifest.json | sha256sum -c`\n\
         2. Make an empty server, and restore roles and settings into it:\n\
         \x20  `zstd -dc globals.sql.zst | psql -X -d postgres` (that the bootstrap superuser exists already is fine)\n\
         3. For each database `<n>` below, in this order:\n\n\
         ```sh\n\
         n=0 db='the database'\n\
         # Creates the database and its tables; no indexes, constraints and triggers yet. For `postgres` and `template1`, which\n\
         # exist already, leave --create out and give -d \"$db\".\n\
         pg_restore --create --section=pre-data -d postgres \"$n/schema.dump\"\n\
         # Rows: each line of the index names a table, its columns, and a range of bytes of an object.\n\
         zstd -dc \"$n/index.jsonl.zst\" | jq -c 'select(.kind == \"rows\")' | while read -r line; do\n\
         \x20 get() {{ printf '%s' \"$line\" | jq -r \"$1\"; }}\n\
         \x20 into=$(get 'def q: \"\\\"\" + gsub(\"\\\"\"; \"\\\"\\\"\") + \"\\\"\"; (.schema|q) + \".\" + (.table|q) + \" (\" + ([.columns[]|q]|join(\", \")) + \")\"')\n\
         \x20 tail -c +$(( $(get .offset) + 1 )) \"$(get .object)\" | head -c \"$(get .length)\" | zstd -dc |\n\
         \x20   psql -X -v ON_ERROR_STOP=1 -d \"$db\" -c \"copy $into from stdin\"\n\
         done\n\
         # Sequences.\n\
         zstd -dc \"$n/index.jsonl.zst\" | jq -r 'select(.kind == \"sequence\") | def q: \"\\\"\" + gsub(\"\\\"\"; \"\\\"\\\"\") + \"\\\"\";\n\
         \x20 def l: \"\\u0027\" + gsub(\"\\u0027\"; \"\\u0027\\u0027\") + \"\\u0027\";\n\
         \x20 \"select setval(\" + (((.schema|q) + \".\" + (.name|q))|l) + \", \" + (.last_value|tostring) + \", \" + (.is_called|tostring) + \");\"' |\n\
         \x20 psql -X -v ON_ERROR_STOP=1 -d \"$db\"\n\
         # Large objects, where there are any; then indexes, constraints and triggers.\n\
         [ ! -e \"$n/large-objects.dump\" ] || pg_restore -d \"$db\" \"$n/large-objects.dump\"\n\
         pg_restore --section=post-data -d \"$db\" \"$n/schema.dump\"\n\
         vacuumdb --analyze-only -d \"$db\"\n\
         ```\n\n\
         ## Databases\n\n",
        version = manifest.source.version,
        major = manifest.source.major,
        image = manifest.image,
        at = manifest.created_at.to_rfc3339(),
    );
    for database in &manifest.databases {
        // A name is data: it must not look like anything else on this page.
        let name = serde_json::to_string(&database.name).unwrap_or_default().replace('`', "'");
        let rows: u64 = database.tables.iter().map(|table| table.rows).sum();
        let _ = writeln!(
            text,
            "- `{}`: {name}, {} tables, {rows} rows, {} sequences, {} large objects",
            database.ordinal,
            database.tables.len(),
            database.sequences,
            database.large_objects
        );
    }
    text
}
