//! Verifies images: reads every byte back and compares it with the manifest. It changes nothing.

use std::collections::BTreeMap;

use model::{Database, FailureCode};

use crate::error::{Error, Result};
use crate::index::{Index, TableLine};
use crate::layout;
use crate::reader::ImageReader;

/// The number of damaged objects that an error names.
const NAMED: usize = 5;

/// What a verification has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The number of verified objects.
    pub objects: u64,
    /// The number of verified bytes.
    pub bytes: u64,
}

impl ImageReader {
    /// Reads every byte of every object and compares it with the manifest. All damaged objects are reported, not only the
    /// first. `progress` is called after each chunk.
    ///
    /// # Errors
    /// [`FailureCode::ObjectDamaged`], [`FailureCode::ObjectMissing`], or the store refuses or fails.
    pub async fn verify(&self, mut progress: impl FnMut(Verified) + Send) -> Result<Verified> {
        let mut verified = Verified::default();
        let mut damaged = Vec::new();
        for object in &self.manifest.objects {
            match self.read_through(&object.key, &mut verified, &mut progress).await {
                Err(error) if is_damage(&error) => damaged.push(error),
                other => other?,
            }
            verified.objects += 1;
            progress(verified);
        }
        if !damaged.is_empty() {
            return Err(self.summary(damaged));
        }
        for database in &self.manifest.databases {
            self.compare(database, &self.index(database.ordinal).await?)?;
        }
        Ok(verified)
    }

    /// One error for all damaged objects.
    fn summary(&self, mut damaged: Vec<Error>) -> Error {
        if damaged.len() == 1 {
            return damaged.remove(0);
        }
        let listed: Vec<String> = damaged.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if damaged.len() > NAMED { "; …" } else { "" };
        let detail = format!("{} objects are damaged: {}{more}", damaged.len(), listed.join("; "));
        Error::damaged(&self.prefix, detail)
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

    /// Compares an index with the manifest: the rows of all tables, and every byte of every row object.
    fn compare(&self, database: &Database, index: &Index) -> Result<()> {
        let key = Index::key(database.ordinal);
        let differs = |detail: String| Err(Error::damaged(&key, detail));
        if index.sequences.len() as u64 != database.sequences {
            let (found, listed) = (index.sequences.len(), database.sequences);
            return differs(format!("the index has {found} sequences, the manifest {listed}"));
        }
        let mut rows: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut objects: BTreeMap<&str, Vec<&TableLine>> = BTreeMap::new();
        for line in &index.tables {
            let sum = rows.entry((&line.schema, &line.name)).or_default();
            *sum = sum.saturating_add(line.rows);
            if let Some(object) = &line.object {
                objects.entry(object).or_default().push(line);
            }
        }
        for table in &database.tables {
            let found = rows.remove(&(table.schema.as_str(), table.name.as_str())).unwrap_or(0);
            if found != table.rows {
                let (schema, name, listed) = (&table.schema, &table.name, table.rows);
                return differs(format!(
                    "the index has {found} rows of {schema}.{name}, the manifest {listed}"
                ));
            }
        }
        if let Some((schema, name)) = rows.keys().next() {
            return differs(format!(
                "the index has rows of {schema}.{name}, which the manifest does not list"
            ));
        }
        let prefix = layout::rows(database.ordinal);
        for object in self.manifest.objects.iter().filter(|object| object.key.starts_with(&prefix)) {
            let covered = covered(objects.remove(object.key.as_str()).unwrap_or_default());
            if covered != Some(object.bytes) {
                return differs(format!("the index does not cover all bytes of {}", object.key));
            }
        }
        match objects.keys().next() {
            None => Ok(()),
            Some(object) => {
                differs(format!("the index refers to {object}, which the manifest does not list"))
            }
        }
    }
}

fn is_damage(error: &Error) -> bool {
    matches!(error.code(), FailureCode::ObjectDamaged | FailureCode::ObjectMissing)
}

/// The number of bytes that these lines cover from offset 0; none if there is a gap or an overlap.
fn covered(mut lines: Vec<&TableLine>) -> Option<u64> {
    lines.sort_by_key(|line| line.offset);
    lines
        .iter()
        .try_fold(0_u64, |end, line| if line.offset == end { end.checked_add(line.length) } else { None })
}
