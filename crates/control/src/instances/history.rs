//! The images of instances by day.

use model::InstanceId;
use model::image::DayOfImages;
use sqlx::PgPool;

use crate::error::Result;
use crate::services::Services;

/// The images of an instance by day, the oldest day first, including days without images.
///
/// # Errors
/// The state database is unavailable.
pub async fn history(services: &Services, instance: InstanceId, days: i32) -> Result<Vec<DayOfImages>> {
    Ok(history_of(services.db(), &[instance.0], days).await?.into_iter().map(|(_, day)| day).collect())
}

/// The same for several instances at once.
pub(crate) async fn history_of(
    db: &PgPool,
    instances: &[uuid::Uuid],
    days: i32,
) -> Result<Vec<(InstanceId, DayOfImages)>> {
    let rows = sqlx::query!(
        r#"select o.instance as "instance!: InstanceId", d.day::date as "day!",
               count(i.id) filter (where i.status = 'available')::int as "created!",
               count(i.id) filter (where i.status in ('failed', 'corrupt'))::int as "failed!",
               count(i.id) filter (where i.status = 'available' and i.proven_at is not null
                   and (i.source_databases is null or i.databases >= i.source_databases))::int as "proven!",
               (array_agg(i.stored_bytes order by i.created_at desc) filter (where i.status = 'available'))[1] as stored_bytes,
               (array_agg(i.duration_ms order by i.created_at desc) filter (where i.status = 'available'))[1] as duration_ms
           from unnest($1::uuid[]) as o (instance)
           cross join generate_series(
               date_trunc('day', clock_timestamp() at time zone 'utc') - make_interval(days => $2 - 1),
               date_trunc('day', clock_timestamp() at time zone 'utc'), interval '1 day') as d (day)
           left join toygres.image i on i.instance = o.instance
               and i.created_at >= d.day at time zone 'utc' and i.created_at < (d.day + interval '1 day') at time zone 'utc'
           group by o.instance, d.day order by o.instance, d.day"#,
        instances,
        days.clamp(1, 90)
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let day = DayOfImages {
                day: row.day,
                created: row.created,
                failed: row.failed,
                proven: row.proven,
                stored_bytes: row.stored_bytes,
                duration_ms: row.duration_ms,
            };
            (row.instance, day)
        })
        .collect())
}
