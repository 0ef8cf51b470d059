//! Compares a restored database with the image: the number of rows of every table, the value of every sequence, the number of
//! large objects. It counts in the target and changes nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use model::Receipt;
use tokio_postgres::Client;

use crate::catalog::{self, SequenceRow, TableRow};
use crate::sql::qualified;

/// The maximum number of differences in the list.
const LISTED: usize = 20;
/// The longest name of an object in a difference, in characters.
const NAME_LENGTH: usize = 80;

/// The content of one database, as the image lists it.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Rows by schema and table.
    pub(crate) rows: BTreeMap<(String, String), u64>,
    pub(crate) sequences: Vec<SequenceRow>,
    pub(crate) large_objects: u64,
}

/// Counts the rows of a table.
pub(crate) async fn count(client: &Client, table: &TableRow) -> Result<u64> {
    let condition = table.condition.as_deref().unwrap_or_default();
    let name = qualified(&table.schema, &table.name);
    let row = client
        .query_one(&format!("select pg_catalog.count(*) from only {name} {condition}"), &[])
        .await
        .with_context(|| format!("cannot count the rows of {name}"))?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// Compares a database and adds the result to the receipt.
pub(crate) async fn compare(
    client: &Client,
    database: &str,
    counted: &[(TableRow, u64)],
    expected: &Expected,
    receipt: &mut Receipt,
) -> Result<()> {
    let mut differ = |difference: String| {
        receipt.difference_count += 1;
        if receipt.differences.len() < LISTED {
            receipt.differences.push(format!("{}: {difference}", printable(database)));
        }
    };
    let (expected_rows, found_rows) = (by_root(counted, &expected.rows), by_root(counted, &as_map(counted)));
    for ((schema, name), rows) in &expected_rows {
        let label = printable(&format!("{schema}.{name}"));
        match found_rows.get(&(schema.clone(), name.clone())) {
            None => differ(format!("table {label} is missing")),
            Some(found) if found != rows => {
                differ(format!("table {label} has {found} rows, the image has {rows}"));
            }
            Some(_) => {}
        }
    }
    for (schema, name) in found_rows.keys().filter(|key| !expected_rows.contains_key(*key)) {
        differ(format!("table {} is not in the image", printable(&format!("{schema}.{name}"))));
    }
    let sequences = catalog::sequences(client).await?;
    let found: BTreeMap<_, _> = sequences.iter().map(|s| ((&s.schema, &s.name), s)).collect();
    for expected in &expected.sequences {
        let label = printable(&format!("{}.{}", expected.schema, expected.name));
        match found.get(&(&expected.schema, &expected.name)) {
            None => differ(format!("sequence {label} is missing")),
            Some(found) if **found != *expected => differ(format!(
                "sequence {label} has the value {}, the image has {}",
                found.last_value, expected.last_value
            )),
            Some(_) => {}
        }
    }
    let large_objects = catalog::large_objects(client).await?;
    if large_objects != expected.large_objects {
        differ(format!("{large_objects} large objects, the image has {}", expected.large_objects));
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

/// The number of rows by table. Partitions whose rows a restore may assign to another partition (hashed by an enum) are counted
/// together, as their root.
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

/// The name without control characters, shortened.
fn printable(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match clean.char_indices().nth(NAME_LENGTH) {
        Some((cut, _)) => format!("{}…", &clean[..cut]),
        None => clean,
    }
}
