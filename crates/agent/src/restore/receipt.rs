//! Compares a restored database with what the image says: the rows of every table, every sequence's value, the number
//! of large objects. It counts anew in the target and changes nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use model::Receipt;
use tokio_postgres::Client;

use crate::catalog::{self, SequenceRow, TableRow, qualified};

/// How many differences are named in words.
const NAMED: usize = 20;
/// The longest name of an object in a difference.
const SHOWN: usize = 80;

/// What an image says about one database.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Rows by schema and table.
    pub(crate) rows: BTreeMap<(String, String), u64>,
    pub(crate) sequences: Vec<SequenceRow>,
    pub(crate) large_objects: u64,
}

/// Rows of some tables of the target, as one connection counts them.
pub(crate) async fn count(client: &Client, table: &TableRow) -> Result<u64> {
    let condition = table.condition.as_deref().unwrap_or_default();
    let name = qualified(&table.schema, &table.name);
    let row = client
        .query_one(&format!("select count(*) from only {name} {condition}"), &[])
        .await
        .with_context(|| format!("cannot count the rows of {name}"))?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// Adds a database's comparison to the receipt.
pub(crate) async fn compare(
    client: &Client,
    database: &str,
    counted: &[(TableRow, u64)],
    expected: &Expected,
    receipt: &mut Receipt,
) -> Result<()> {
    let mut differ = |words: String| {
        receipt.difference_count += 1;
        if receipt.differences.len() < NAMED {
            receipt.differences.push(format!("{}: {words}", shown(database)));
        }
    };
    let (wanted, found) = (by_root(counted, &expected.rows), by_root(counted, &as_map(counted)));
    for ((schema, name), rows) in &wanted {
        let label = shown(&format!("{schema}.{name}"));
        match found.get(&(schema.clone(), name.clone())) {
            None => differ(format!("table {label} is missing")),
            Some(there) if there != rows => {
                differ(format!("table {label} has {there} rows, the image {rows}"));
            }
            Some(_) => {}
        }
    }
    for (schema, name) in found.keys().filter(|key| !wanted.contains_key(*key)) {
        differ(format!("table {} is not in the image", shown(&format!("{schema}.{name}"))));
    }
    let sequences = catalog::sequences(client).await?;
    let there: BTreeMap<_, _> = sequences.iter().map(|s| ((&s.schema, &s.name), s)).collect();
    for wanted in &expected.sequences {
        let label = shown(&format!("{}.{}", wanted.schema, wanted.name));
        match there.get(&(&wanted.schema, &wanted.name)) {
            None => differ(format!("sequence {label} is missing")),
            Some(s) if **s != *wanted => differ(format!(
                "sequence {label} stands at {}, in the image at {}",
                s.last_value, wanted.last_value
            )),
            Some(_) => {}
        }
    }
    let large_objects = catalog::large_objects(client).await?;
    if large_objects != expected.large_objects {
        differ(format!("{large_objects} large objects, in the image {}", expected.large_objects));
    }
    receipt.tables += counted.len() as u64;
    receipt.rows += counted.iter().map(|(_, rows)| rows).sum::<u64>();
    receipt.sequences += sequences.len() as u64;
    receipt.large_objects += large_objects;
    Ok(())
}

fn as_map(counted: &[(TableRow, u64)]) -> BTreeMap<(String, String), u64> {
    counted.iter().map(|(table, rows)| ((table.schema.clone(), table.name.clone()), *rows)).collect()
}

/// Partitions whose rows may lie elsewhere after a restore (hashed by an enum) are counted together, as their root.
fn by_root(
    tables: &[(TableRow, u64)],
    rows: &BTreeMap<(String, String), u64>,
) -> BTreeMap<(String, String), u64> {
    let roots: BTreeMap<_, _> = tables
        .iter()
        .filter_map(|(table, _)| Some(((table.schema.clone(), table.name.clone()), table.root.clone()?)))
        .collect();
    let mut sums = BTreeMap::new();
    for (key, rows) in rows {
        *sums.entry(roots.get(key).unwrap_or(key).clone()).or_insert(0) += rows;
    }
    sums
}

fn shown(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match clean.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &clean[..cut]),
        None => clean,
    }
}
