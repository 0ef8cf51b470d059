//! The overview: the health and protection of all instances, running runs, and what needs attention.

use std::collections::HashMap;

use model::overview::{Counts, Overview, OverviewInstance};
use model::{Image, InstanceId};

use crate::error::Result;
use crate::images::{ImageColumns, images};
use crate::instances;
use crate::runs::{self, RunQuery};
use crate::services::Services;

const DAYS: i32 = 14;
/// The number of recent runs.
const RECENT: i64 = 8;

/// Reads the overview.
///
/// # Errors
/// The state database is unavailable.
pub async fn get(services: &Services) -> Result<Overview> {
    let all = instances::list(services).await?;
    let ids: Vec<uuid::Uuid> = all.iter().map(|instance| instance.id.0).collect();
    let mut days: HashMap<InstanceId, Vec<_>> = HashMap::new();
    for (instance, day) in instances::history_of(services.db(), &ids, DAYS).await? {
        days.entry(instance).or_default().push(day);
    }
    let newest = images!(
        "where id in (select distinct on (instance) id from toygres.image where instance = any($1)
             order by instance, created_at desc)",
        &ids
    );
    let mut newest = by_instance(newest.fetch_all(services.db()).await?);
    let complete = images!(
        "where id in (select distinct on (instance) id from toygres.image where instance = any($1) and status = 'available'
             and (source_databases is null or databases >= source_databases)
             order by instance, created_at desc)",
        &ids
    );
    let mut complete = by_instance(complete.fetch_all(services.db()).await?);
    let needs_attention = runs::needing_attention(services).await?;
    let running =
        runs::list(services, RunQuery { active: true, per_page: 50, ..RunQuery::default() }).await?.rows;
    let ended = runs::recently_ended(services, RECENT).await?;
    let totals = sqlx::query!(
        r#"select (select count(*) from toygres.image where status <> 'failed') as "images!",
               (select count(*) from toygres.image where status = 'corrupt') as "corrupt!",
               (select coalesce(sum(stored_bytes), 0)::bigint from toygres.image where status = 'available') as "stored_bytes!""#
    )
    .fetch_one(services.db())
    .await?;
    let free = services.platform().free_bytes().await.unwrap_or_default();
    Ok(Overview {
        instances: all
            .into_iter()
            .map(|instance| OverviewInstance {
                newest: newest.remove(&Some(instance.id)),
                newest_complete: complete.remove(&Some(instance.id)),
                days: days.remove(&instance.id).unwrap_or_default(),
                instance,
            })
            .collect(),
        counts: Counts {
            instances: i64::try_from(ids.len()).unwrap_or(i64::MAX),
            images: totals.images,
            runs_needing_attention: i64::try_from(needs_attention.len()).unwrap_or(0),
            corrupt_images: totals.corrupt,
        },
        running,
        needs_attention,
        ended,
        store_free_bytes: free.and_then(|bytes| i64::try_from(bytes).ok()),
        stored_bytes: totals.stored_bytes,
    })
}

fn by_instance(rows: Vec<ImageColumns>) -> HashMap<Option<InstanceId>, Image> {
    rows.into_iter().map(|row| (row.instance, Image::from(row))).collect()
}
