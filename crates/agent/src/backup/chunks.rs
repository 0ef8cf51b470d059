//! Splits tables into chunks that several connections copy in parallel: whole tables, or ranges of blocks of large tables.

use crate::catalog::TableRow;
use crate::sql::{qualified, quoted};

/// The minimum size in bytes of a range of blocks.
const SMALLEST: u64 = 8 << 20;
/// The approximate maximum size in bytes of a range of blocks.
const LARGEST: u64 = 1 << 30;
/// Chunks per connection of a large table. More than one, so that all connections end at about the same time.
const PER_STREAM: u64 = 4;
/// The first major version that reads a range of blocks without a scan of the whole table.
const RANGES_SINCE: i32 = 14;

/// A table, or a range of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The table's index in the list of tables.
    pub(crate) table: usize,
    /// The first block, and the first block after the range; the last range of a table has no end.
    pub(crate) blocks: Option<(u64, Option<u64>)>,
}

/// Splits tables into chunks, in the order of the tables.
pub(crate) fn split(tables: &[TableRow], streams: usize, major: i32) -> Vec<Chunk> {
    tables.iter().enumerate().flat_map(|(i, table)| split_table(i, table, streams as u64, major)).collect()
}

fn split_table(table: usize, row: &TableRow, streams: u64, major: i32) -> Vec<Chunk> {
    let size = (row.bytes / (PER_STREAM * streams.max(1))).clamp(SMALLEST, LARGEST);
    let count = (row.bytes / size).min(row.blocks);
    if count < 2 || !row.heap || row.condition.is_some() || major < RANGES_SINCE {
        return vec![Chunk { table, blocks: None }];
    }
    let boundary = |k: u64| row.blocks * k / count;
    (0..count)
        .map(|k| Chunk { table, blocks: Some((boundary(k), (k + 1 < count).then(|| boundary(k + 1)))) })
        .collect()
}

impl Chunk {
    /// Whether it contains the end of the table.
    pub(crate) fn is_last(&self) -> bool {
        self.blocks.is_none_or(|(_, to)| to.is_none())
    }

    /// The statement that copies it, in the encoding of the database.
    pub(crate) fn copy_out(&self, row: &TableRow, encoding: &str) -> String {
        let columns: Vec<String> = row.columns.iter().map(|c| quoted(c)).collect();
        let columns = columns.join(", ");
        let name = qualified(&row.schema, &row.name);
        let options = format!("with (format text, encoding '{encoding}')");
        match (&self.blocks, &row.condition) {
            (None, None) if columns.is_empty() => format!("copy {name} to stdout {options}"),
            (None, None) => format!("copy {name} ({columns}) to stdout {options}"),
            (None, Some(condition)) => {
                format!("copy (select {columns} from only {name} {condition}) to stdout {options}")
            }
            (Some((from, to)), _) => {
                let until = to.map(|to| format!(" and ctid < '({to},0)'")).unwrap_or_default();
                format!(
                    "copy (select {columns} from only {name} where ctid >= '({from},0)'{until}) to stdout {options}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: u64) -> TableRow {
        TableRow {
            oid: 1,
            schema: "s".into(),
            name: "t".into(),
            columns: vec!["a".into(), "b\"c".into()],
            condition: None,
            bytes,
            blocks: bytes / 8192,
            heap: true,
            root: None,
        }
    }

    #[test]
    fn ranges_cover_a_large_table_without_gaps_or_overlaps() {
        for bytes in [100, 8 << 20, 17 << 20, 1 << 30, 900 << 30] {
            let chunks = split(&[table(bytes)], 2, 15);
            let mut next = 0;
            for (i, chunk) in chunks.iter().enumerate() {
                let Some((from, to)) = chunk.blocks else {
                    assert_eq!(chunks.len(), 1);
                    break;
                };
                assert_eq!(from, next);
                assert_eq!(to.is_none(), i + 1 == chunks.len());
                next = to.unwrap_or_default();
            }
        }
        assert!(split(&[table(1 << 30)], 2, 15).len() > 4);
        assert_eq!(split(&[table(1 << 30)], 2, 13).len(), 1);
    }

    #[test]
    fn copy_statement_names_columns_and_range() {
        let chunk = Chunk { table: 0, blocks: Some((5, Some(9))) };
        assert_eq!(
            chunk.copy_out(&table(0), "UTF8"),
            "copy (select \"a\", \"b\"\"c\" from only \"s\".\"t\" where ctid >= '(5,0)' and ctid < '(9,0)') to stdout with (format text, encoding 'UTF8')"
        );
        let nothing = TableRow { columns: Vec::new(), ..table(0) };
        assert_eq!(
            Chunk { table: 0, blocks: None }.copy_out(&nothing, "LATIN1"),
            "copy \"s\".\"t\" to stdout with (format text, encoding 'LATIN1')"
        );
    }
}
