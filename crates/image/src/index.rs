//! The index of a database: where the rows of each table are, and the values of its sequences. It does not access the store.

use serde::{Deserialize, Serialize};

use crate::compression::{LEVEL, decompress};
use crate::error::{Error, Result};
use crate::layout;

/// A line of `<n>/index.jsonl.zst`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IndexLine {
    /// Rows of a table.
    Rows(TableLine),
    /// A sequence.
    Sequence(SequenceLine),
}

/// A range of whole frames of one object that contains rows of one table. A table has one line for each of its pieces; a
/// table without rows has one line without an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableLine {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// The columns, in the order of the COPY text.
    pub columns: Vec<String>,
    /// The object's key, relative to the image's prefix; none if there are no rows.
    pub object: Option<String>,
    /// The offset of the first frame in the object.
    pub offset: u64,
    /// The size of the frames in the object, in bytes.
    pub length: u64,
    /// The number of rows in the frames.
    pub rows: u64,
    /// The size of the rows as COPY text, in bytes.
    pub bytes: u64,
}

/// A sequence with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceLine {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its last value.
    pub last_value: i64,
    /// Whether `nextval` has returned that value (`is_called` of the sequence).
    pub is_called: bool,
}

/// All index lines of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The pieces of its tables.
    pub tables: Vec<TableLine>,
    /// Its sequences.
    pub sequences: Vec<SequenceLine>,
}

impl Index {
    /// The key of the index of database number `ordinal`.
    #[must_use]
    pub fn key(ordinal: u32) -> String {
        layout::index(ordinal)
    }

    /// Serializes and compresses the index.
    ///
    /// # Errors
    /// Compression fails, for lack of memory.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let tables = self.tables.iter().cloned().map(IndexLine::Rows);
        for line in tables.chain(self.sequences.iter().cloned().map(IndexLine::Sequence)) {
            serde_json::to_writer(&mut text, &line).map_err(|error| Error::internal("index", error))?;
            text.push(b'\n');
        }
        zstd::encode_all(&text[..], LEVEL).map_err(|error| Error::internal("index", error))
    }

    /// Reads an index from the bytes of its object, whose SHA-256 was checked.
    ///
    /// # Errors
    /// [`FailureCode::ObjectDamaged`](model::FailureCode::ObjectDamaged): it is not an index of this version,
    /// or its text is larger than 256 MiB.
    pub fn parse(key: &str, bytes: &[u8]) -> Result<Self> {
        let bad = |detail: String| Error::damaged(key, detail);
        let text = decompress(key, bytes)?;
        let mut index = Self::default();
        for (number, line) in
            text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
        {
            match serde_json::from_slice(line)
                .map_err(|error| bad(format!("line {}: {error}", number + 1)))?
            {
                IndexLine::Rows(table) => index.tables.push(table),
                IndexLine::Sequence(sequence) => index.sequences.push(sequence),
            }
        }
        Ok(index)
    }
}
