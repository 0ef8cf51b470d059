//! Cuts tables into pieces that several connections copy at once: whole tables, or ranges of blocks of large ones. It
//! knows no connection.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::catalog::{TableRow, qualified, quoted};

/// A piece is not smaller than this, but for whole tables.
const SMALLEST: u64 = 8 << 20;
/// A piece is about this large at most.
const LARGEST: u64 = 1 << 30;
/// Into how many pieces a connection's share of a large table is cut, so that all end together.
const PER_STREAM: u64 = 4;
/// The first version that reads a range of blocks without reading the whole table.
const RANGES_SINCE: i32 = 14;

/// A table or some of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its place in the list of tables.
    pub(crate) table: usize,
    /// The first block, and the first one after it; the last range of a table has no end.
    pub(crate) blocks: Option<(u64, Option<u64>)>,
}

/// All pieces, in the order in which to copy them: what belongs to large tables first.
pub(crate) fn cut(tables: &[TableRow], streams: usize, major: i32) -> Vec<Piece> {
    tables.iter().enumerate().flat_map(|(i, table)| cut_one(i, table, streams as u64, major)).collect()
}

fn cut_one(table: usize, row: &TableRow, streams: u64, major: i32) -> Vec<Piece> {
    let size = (row.bytes / (PER_STREAM * streams.max(1))).clamp(SMALLEST, LARGEST);
    let count = (row.bytes / size).min(row.blocks);
    if count < 2 || !row.heap || row.condition.is_some() || major < RANGES_SINCE {
        return vec![Piece { table, blocks: None }];
    }
    let edge = |k: u64| row.blocks * k / count;
    (0..count)
        .map(|k| Piece { table, blocks: Some((edge(k), (k + 1 < count).then(|| edge(k + 1)))) })
        .collect()
}

impl Piece {
    /// Whether it holds a table's end.
    pub(crate) fn is_last(&self) -> bool {
        self.blocks.is_none_or(|(_, to)| to.is_none())
    }

    /// The statement that copies it, in the database's own encoding.
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

/// Pieces that wait for a connection.
#[derive(Debug)]
pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

impl<T> Queue<T> {
    /// Fills it.
    pub(crate) fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self(Mutex::new(items.into_iter().collect()))
    }

    /// Takes the next one.
    pub(crate) fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
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
    fn ranges_cover_a_large_table_without_gap_or_overlap() {
        for bytes in [100, 8 << 20, 17 << 20, 1 << 30, 900 << 30] {
            let pieces = cut(&[table(bytes)], 2, 15);
            let mut next = 0;
            for (i, piece) in pieces.iter().enumerate() {
                let Some((from, to)) = piece.blocks else {
                    assert_eq!(pieces.len(), 1);
                    break;
                };
                assert_eq!(from, next);
                assert_eq!(to.is_none(), i + 1 == pieces.len());
                next = to.unwrap_or_default();
            }
        }
        assert!(cut(&[table(1 << 30)], 2, 15).len() > 4);
        assert_eq!(cut(&[table(1 << 30)], 2, 13).len(), 1);
    }

    #[test]
    fn statements_name_what_they_copy() {
        let piece = Piece { table: 0, blocks: Some((5, Some(9))) };
        assert_eq!(
            piece.copy_out(&table(0), "UTF8"),
            "copy (select \"a\", \"b\"\"c\" from only \"s\".\"t\" where ctid >= '(5,0)' and ctid < '(9,0)') to stdout with (format text, encoding 'UTF8')"
        );
        let nothing = TableRow { columns: Vec::new(), ..table(0) };
        assert_eq!(
            Piece { table: 0, blocks: None }.copy_out(&nothing, "LATIN1"),
            "copy \"s\".\"t\" to stdout with (format text, encoding 'LATIN1')"
        );
    }
}
