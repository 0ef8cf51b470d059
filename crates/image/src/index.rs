//! The index of a database: where the rows of each table are, and where each sequence stands. It reads and writes no store.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest index, as text, that a reader takes into memory.
const LARGEST: u64 = 256 * 1024 * 1024;

/// A line of `<n>/index.jsonl.zst`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IndexLine {
    /// Rows of a table.
    Rows(TableLine),
    /// A sequence.
    Sequence(SequenceLine),
}

/// A run of whole frames in one object that holds rows of one table. A table has as many lines as it had pieces; one
/// without rows has one line without object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableLine {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// The columns in the order of the text.
    pub columns: Vec<String>,
    /// The object's key, relative to the image's prefix; none if there are no rows.
    pub object: Option<String>,
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
pub struct SequenceLine {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its last value.
    pub last_value: i64,
    /// Whether that value was given out.
    pub is_called: bool,
}

/// All lines of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Its tables' rows.
    pub tables: Vec<TableLine>,
    /// Its sequences.
    pub sequences: Vec<SequenceLine>,
}

impl Index {
    /// The key of the index of database number `ordinal`.
    #[must_use]
    pub fn key(ordinal: u32) -> String {
        format!("{ordinal}/index.jsonl.zst")
    }

    /// The object's bytes.
    ///
    /// # Errors
    /// None in practice: memory to compress in.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let tables = self.tables.iter().cloned().map(IndexLine::Rows);
        for line in tables.chain(self.sequences.iter().cloned().map(IndexLine::Sequence)) {
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| Error::corrupt("the index", error.to_string()))?;
            text.push(b'\n');
        }
        zstd::encode_all(&text[..], crate::rows::LEVEL).map_err(|error| Error::io("the index", error))
    }

    /// Reads the object's bytes, whose SHA-256 was checked.
    ///
    /// # Errors
    /// It is no index of this version.
    pub fn parse(key: &str, bytes: &[u8]) -> Result<Self> {
        let bad = |why: String| Error::corrupt(key, why);
        let mut text = Vec::new();
        let decoder = zstd::Decoder::new(bytes).map_err(|error| bad(error.to_string()))?;
        decoder.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| bad(error.to_string()))?;
        if text.len() as u64 > LARGEST {
            return Err(bad("it is larger than any that Toygres writes".to_owned()));
        }
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
