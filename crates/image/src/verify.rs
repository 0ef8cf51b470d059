//! Reads every byte of an image back and compares it with the manifest. It changes nothing.

use std::collections::BTreeMap;

use model::Database;

use crate::error::{Error, Result};
use crate::index::{Index, TableLine};
use crate::reader::ImageReader;

/// How many damaged objects an error names.
const NAMED: usize = 5;

/// What a verification read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
}

impl ImageReader {
    /// Reads every byte of every object and compares it with the manifest; a damaged object does not hide the others.
    /// `progress` is told after each chunk.
    ///
    /// # Errors
    /// Objects are missing or damaged, or the store does not give them.
    pub async fn verify(&self, mut progress: impl FnMut(Verified) + Send) -> Result<Verified> {
        let mut verified = Verified::default();
        let mut damaged = Vec::new();
        for object in &self.manifest.objects {
            match self.read_through(&object.key, &mut verified, &mut progress).await {
                Err(error @ (Error::Missing(_) | Error::Corrupt { .. })) => damaged.push(error),
                other => other?,
            }
            verified.objects += 1;
            progress(verified);
        }
        match damaged.len() {
            0 => {}
            1 => return Err(damaged.remove(0)),
            n => {
                let words: Vec<String> = damaged.iter().take(NAMED).map(ToString::to_string).collect();
                let more = if n > NAMED { "; …" } else { "" };
                return Err(Error::corrupt(
                    "the image",
                    format!("{n} objects are damaged: {}{more}", words.join("; ")),
                ));
            }
        }
        for database in &self.manifest.databases {
            self.compare(database, &self.index(database.ordinal).await?)?;
        }
        Ok(verified)
    }

    async fn read_through(
        &self,
        key: &str,
        verified: &mut Verified,
        progress: &mut (impl FnMut(Verified) + Send),
    ) -> Result<()> {
        let mut reader = self.object(key).await?;
        while let Some(bytes) = reader.next().await? {
            verified.bytes += bytes.len() as u64;
            progress(*verified);
        }
        Ok(())
    }

    /// Whether an index says the same as the manifest: all rows of all tables, every byte of every object of rows.
    fn compare(&self, database: &Database, index: &Index) -> Result<()> {
        let key = Index::key(database.ordinal);
        let wrong = |why: String| Err(Error::corrupt(&key, why));
        if index.sequences.len() as u64 != database.sequences {
            let (found, said) = (index.sequences.len(), database.sequences);
            return wrong(format!("it has {found} sequences, and the manifest says {said}"));
        }
        let mut rows: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut objects: BTreeMap<&str, Vec<&TableLine>> = BTreeMap::new();
        for line in &index.tables {
            *rows.entry((&line.schema, &line.name)).or_default() += line.rows;
            if let Some(object) = &line.object {
                objects.entry(object).or_default().push(line);
            }
        }
        for table in &database.tables {
            let found = rows.remove(&(table.schema.as_str(), table.name.as_str())).unwrap_or(0);
            if found != table.rows {
                let (schema, name, said) = (&table.schema, &table.name, table.rows);
                return wrong(format!(
                    "it has {found} rows of {schema}.{name}, and the manifest says {said}"
                ));
            }
        }
        if let Some((schema, name)) = rows.keys().next() {
            return wrong(format!("it has rows of {schema}.{name}, which the manifest does not list"));
        }
        let prefix = format!("{}/rows-", database.ordinal);
        for object in self.manifest.objects.iter().filter(|object| object.key.starts_with(&prefix)) {
            let covered = covered(objects.remove(object.key.as_str()).unwrap_or_default());
            if covered != Some(object.bytes) {
                return wrong(format!("it does not say where all rows of {} are", object.key));
            }
        }
        match objects.keys().next() {
            None => Ok(()),
            Some(object) => wrong(format!("it names {object}, which the image does not have")),
        }
    }
}

/// How many bytes these lines cover from the first on, without gap and overlap; none if they do not.
fn covered(mut lines: Vec<&TableLine>) -> Option<u64> {
    lines.sort_by_key(|line| line.offset);
    lines
        .iter()
        .try_fold(0_u64, |end, line| if line.offset == end { end.checked_add(line.length) } else { None })
}
