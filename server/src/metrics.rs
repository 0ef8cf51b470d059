//! `/health`, `/ready` and `/metrics`: for whoever watches over Toygres.

use std::fmt::Write;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::auth::Somebody;
use crate::errors::Refusal;
use crate::router::App;

/// The process lives.
#[utoipa::path(get, path = "/health", tag = "operations", responses((status = 200, description = "The process lives")))]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// The process can work: the CMS answers.
#[utoipa::path(get, path = "/ready", tag = "operations",
    responses((status = 200, description = "It can work"), (status = 503, description = "The CMS does not answer")))]
pub(crate) async fn ready(State(app): State<App>) -> impl IntoResponse {
    match sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(app.services.db()).await {
        Ok(_) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the CMS does not answer\n"),
    }
}

/// Counts in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, description = "Counts, as Prometheus reads them"),
    (status = 401, body = crate::errors::ErrorBody)))]
pub(crate) async fn metrics(State(app): State<App>, _: Somebody) -> Result<impl IntoResponse, Refusal> {
    let rows = sqlx::query!(
        r#"select 'toygres_runs' as "name!", 'state' as "label!", state as "value!", count(*)::float8 as "count!" from toygres.run group by state
           union all select 'toygres_instances', 'health', health, count(*)::float8 from toygres.instance group by health
           union all select 'toygres_images', 'status', status, count(*)::float8 from toygres.image group by status
           union all select 'toygres_stored_bytes', 'store', s.name, coalesce(sum(i.stored_bytes), 0)::float8
               from toygres.store s left join toygres.image i on i.store = s.id group by s.name
           union all select 'toygres_oldest_due_seconds', 'pool', pool,
               greatest(extract(epoch from clock_timestamp() - min(due_at)), 0)::float8
               from toygres.run where due_at is not null and worker is null group by pool"#
    )
    .fetch_all(app.services.db())
    .await
    .map_err(control::Error::from)?;
    let mut text = String::new();
    let mut last = String::new();
    for row in rows {
        if row.name != last {
            let _ = writeln!(text, "# TYPE {} gauge", row.name);
            last.clone_from(&row.name);
        }
        let value = row.value.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "{}{{{}=\"{value}\"}} {}", row.name, row.label, row.count);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}
