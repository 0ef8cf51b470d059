//! Objects that no row needs. Those of a known image's earlier attempts are deleted; all others are listed for users, because
//! they may be images that a restored, older state database does not know, or belong to another installation of Toygres.

use std::collections::{BTreeMap, HashMap};

use image::{ImageReader, PrefixUsage};
use model::{ImageId, Seal};

use super::scope::Scope;
use crate::error::Result;
use crate::services::Services;

/// What the rows say about a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// It is an image, or a run may still write to it.
    Needed,
    /// A row says that it is not needed any more.
    Leftover,
    /// No row names it.
    Unknown,
}

/// Compares the objects of a store with the rows.
///
/// # Errors
/// The store or the state database is unavailable.
pub(super) async fn compare(services: &Services, scope: &Scope) -> Result<()> {
    let store = scope.open(services).await?;
    let found = store.prefixes().await?;
    // The rows after the objects, so that the row of every listed attempt is read.
    let known = Known::read(services, scope).await?;
    let unused: BTreeMap<&str, (PrefixUsage, Need)> = found
        .iter()
        .map(|(prefix, usage)| (prefix.as_str(), (*usage, known.need(prefix))))
        .filter(|(_, (_, need))| *need != Need::Needed)
        .collect();
    let repeated = record(services, scope, &unused).await?;
    for prefix in repeated {
        let Some((usage, need)) = unused.get(prefix.as_str()) else { continue };
        // With a manifest it is a complete image, whatever the rows say.
        if *need == Need::Leftover && !usage.has_manifest {
            delete(services, scope, &store, &prefix).await?;
        } else {
            let seal = if usage.has_manifest { seal(services, &store, &prefix).await } else { None };
            quarantine(services, scope, &prefix, seal).await?;
        }
    }
    Ok(())
}

/// The prefixes that rows name.
struct Known {
    /// The published prefix of each image, and whether a run may still write to the image.
    images: HashMap<String, (Option<String>, bool)>,
    /// The prefix of each job's log, and whether the log is still read.
    logs: HashMap<String, bool>,
}

impl Known {
    async fn read(services: &Services, scope: &Scope) -> Result<Self> {
        let images = sqlx::query!(
            r#"select i.id, i.prefix, i.status in ('creating', 'deleting')
                   or exists (select from toygres.run r where r.id = i.run and r.finished_at is null)
                   or exists (select from toygres.run_lock l where l.key = 'image/' || i.id and not l.shared) as "busy!"
               from toygres.image i where i.store = $1"#,
            scope.store.0
        )
        .fetch_all(services.db())
        .await?;
        let logs = sqlx::query!(
            r#"select j.log_prefix as "prefix!", j.ended_at is null or r.finished_at is null as "open!"
               from toygres.job j join toygres.run r on r.id = j.run_id where j.store = $1 and j.log_prefix is not null"#,
            scope.store.0
        )
        .fetch_all(services.db())
        .await?;
        Ok(Self {
            images: images.into_iter().map(|row| (row.id.to_string(), (row.prefix, row.busy))).collect(),
            logs: logs.into_iter().map(|row| (row.prefix, row.open)).collect(),
        })
    }

    fn need(&self, prefix: &str) -> Need {
        if let Some(is_open) = self.logs.get(prefix).filter(|_| !prefix.starts_with("images/")) {
            return if *is_open { Need::Needed } else { Need::Leftover };
        }
        let mut parts = prefix.split('/');
        let (Some("images"), Some(image), Some(attempt), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Need::Unknown;
        };
        // Only names that Toygres gives.
        let is_own = image.parse::<ImageId>().is_ok() && attempt.parse::<uuid::Uuid>().is_ok();
        match self.images.get(image).filter(|_| is_own) {
            None => Need::Unknown,
            Some((published, is_busy)) if *is_busy || published.as_deref() == Some(prefix) => Need::Needed,
            Some(_) => Need::Leftover,
        }
    }
}

/// Records the unused prefixes. Returns those that were first seen at least a day ago.
async fn record(
    services: &Services,
    scope: &Scope,
    unused: &BTreeMap<&str, (PrefixUsage, Need)>,
) -> Result<Vec<String>> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let prefixes: Vec<String> = unused.keys().map(|prefix| (*prefix).to_owned()).collect();
    let objects: Vec<i64> = unused.values().map(|(usage, _)| count(usage.objects)).collect();
    let bytes: Vec<i64> = unused.values().map(|(usage, _)| count(usage.bytes)).collect();
    let mut tx = services.db().begin().await?;
    sqlx::query!(
        "delete from toygres.unused_prefix where store = $1 and prefix <> all($2)",
        scope.store.0,
        &prefixes
    )
    .execute(&mut *tx)
    .await?;
    let seen = sqlx::query!(
        r#"insert into toygres.unused_prefix as u (store, prefix, objects, bytes)
           select $1, prefix, objects, bytes from unnest($2::text[], $3::bigint[], $4::bigint[]) as t (prefix, objects, bytes)
           on conflict (store, prefix) do update
               set objects = excluded.objects, bytes = excluded.bytes, last_seen = clock_timestamp()
           returning prefix, first_seen < clock_timestamp() - interval '1 day' as "repeated!""#,
        scope.store.0,
        &prefixes,
        &objects,
        &bytes
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(seen.into_iter().filter(|row| row.repeated).map(|row| row.prefix).collect())
}

/// What the seal says about an image that no row names; `None` if its manifest cannot be read. That is no reason not to list it.
async fn seal(services: &Services, store: &image::Store, prefix: &str) -> Option<Seal> {
    let read = async {
        let reader = ImageReader::open(store.clone(), prefix).await?;
        reader.seal(services.keys().seal_key()).await
    };
    read.await
        .inspect_err(|error| tracing::warn!(%error, prefix, "the seal of an unused image cannot be read"))
        .ok()
}

/// Lists a prefix for users, with what its seal says.
async fn quarantine(services: &Services, scope: &Scope, prefix: &str, seal: Option<Seal>) -> Result<()> {
    sqlx::query!(
        "update toygres.unused_prefix set quarantined_at = coalesce(quarantined_at, clock_timestamp()), seal = $3
         where store = $1 and prefix = $2",
        scope.store.0,
        prefix,
        seal.map(Seal::as_str)
    )
    .execute(services.db())
    .await?;
    Ok(())
}

/// Deletes the objects of an attempt that its row does not need, or the log of a job whose run has ended.
async fn delete(services: &Services, scope: &Scope, store: &image::Store, prefix: &str) -> Result<()> {
    tracing::info!(store = %scope.store, prefix, "deleting objects that are no longer needed");
    store.delete_image(prefix).await?;
    sqlx::query!("delete from toygres.unused_prefix where store = $1 and prefix = $2", scope.store.0, prefix)
        .execute(services.db())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_decide_what_is_a_leftover() {
        let [available, failed, creating, foreign, attempt, other] =
            std::array::from_fn(|_| uuid::Uuid::now_v7().to_string());
        let published = format!("images/{available}/{attempt}");
        let known = Known {
            images: [
                (available.clone(), (Some(published.clone()), false)),
                (failed.clone(), (None, false)),
                (creating.clone(), (None, true)),
            ]
            .into(),
            logs: [("logs/open".to_owned(), true), ("logs/ended".to_owned(), false)].into(),
        };
        for (prefix, need) in [
            (published, Need::Needed),
            (format!("images/{available}/{other}"), Need::Leftover),
            (format!("images/{failed}/{attempt}"), Need::Leftover),
            (format!("images/{creating}/{attempt}"), Need::Needed),
            (format!("images/{foreign}/{attempt}"), Need::Unknown),
            (format!("images/{failed}/notes"), Need::Unknown),
            (format!("images/{failed}"), Need::Unknown),
            ("images".to_owned(), Need::Unknown),
            ("logs/open".to_owned(), Need::Needed),
            ("logs/ended".to_owned(), Need::Leftover),
            ("logs/other".to_owned(), Need::Unknown),
            (format!("probe/{attempt}"), Need::Unknown),
        ] {
            assert_eq!(known.need(&prefix), need, "{prefix}");
        }
    }
}
