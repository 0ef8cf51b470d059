//! The index of a database: where which rows are, and where each sequence stands. It reads and writes no store.

use serde::{Deserialize, Serialize};

/// A line of `<n>/index.jsonl.zst`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IndexEntry {
    /// Rows of a table.
    Rows(RowsEntry),
    /// A sequence.
    Sequence(SequenceEntry),
}

/// A run of whole frames in one object that holds rows of one table; a table has as many as it had ranges, and none if it
/// is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsEntry {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The columns in the order of the text.
    pub columns: Vec<String>,
    /// The object's key, relative to the image's prefix.
    pub object: String,
    /// Where the first frame begins in it.
    pub offset: u64,
    /// Bytes of the frames in it.
    pub length: u64,
    /// How many rows they hold.
    pub rows: u64,
    /// Bytes of the text.
    pub bytes: u64,
}

/// A sequence with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceEntry {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its last value.
    pub last_value: i64,
    /// Whether that value was given out.
    pub is_called: bool,
}

/// One entry as a line.
pub(crate) fn to_line(entry: &IndexEntry) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

/// All entries of an index, or what is wrong with it.
pub(crate) fn from_lines(text: &[u8]) -> Result<Vec<IndexEntry>, String> {
    if !text.is_empty() && text.last() != Some(&b'\n') {
        return Err("its last line has no end".to_owned());
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(i, line)| serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", i + 1)))
        .collect()
}
