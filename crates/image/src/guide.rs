//! `RESTORE.md`: how to restore an image with stock tools when Toygres is gone. It knows the format, not the objects.

use std::fmt::Write;

use model::image::Manifest;

/// The guide for an image.
pub(crate) fn guide(manifest: &Manifest) -> String {
    let major = manifest.source.major;
    let mut text = format!(
        "# Restoring this image without Toygres\n\n\
         This prefix holds a logical copy of a PostgreSQL {} server. You need the programs of PostgreSQL {major} or\n\
         newer, `zstd` and `jq`. `manifest.json` has the SHA-256 of every object: check them first.\n\n\
         ```\n\
         jq -r '.objects[] | \"\\(.sha256)  \\(.key)\"' manifest.json | sha256sum -c\n\
         ```\n\n\
         1. Make an empty server of version {major} or newer and read `globals.sql.zst` (roles, memberships, settings).\n   \
         It holds password verifiers; errors about roles that exist are fine.\n\n   \
         ```\n   zstd -dc globals.sql.zst | psql -d postgres\n   ```\n",
        manifest.source.version
    );
    for database in &manifest.databases {
        let n = database.ordinal;
        let _ = write!(
            text,
            "\n## Database {n}: {name}\n\n\
             2. `pg_restore --create --section=pre-data -d template1 {n}/schema.dump` makes the database and its tables.\n\
             3. Rows. Each line of the index of kind `rows` names a table, its columns, and a range of bytes of an object\n   \
             that is whole zstd frames of COPY text:\n\n   \
             ```\n   \
             zstd -dc {n}/index.jsonl.zst | jq -c 'select(.kind == \"rows\" and .object)' | while read -r line; do\n     \
             f() {{ jq -r \"$1\" <<<\"$line\"; }}\n     \
             q='def q: \"\\\"\" + gsub(\"\\\"\"; \"\\\"\\\"\") + \"\\\"\"; '\n     \
             tail -c +$(($(f .offset) + 1)) \"$(f .object)\" | head -c \"$(f .length)\" | zstd -dc |\n       \
             psql -d \"$DATABASE\" -c \"copy $(f \"$q\"'(.schema|q) + \".\" + (.name|q) + \" (\" + (.columns|map(q)|join(\",\")) + \")\"') from stdin\"\n   \
             done\n   ```\n\
             4. Sequences: for each line of kind `sequence`, `select setval('schema.name', last_value, is_called)`.\n\
             5. `pg_restore -d \"$DATABASE\" {n}/large-objects.dump`, if that object is there.\n\
             6. `pg_restore --section=post-data -d \"$DATABASE\" {n}/schema.dump`, then `analyze`.\n",
            name = database.name.escape_debug()
        );
    }
    text
}
