//! `/health`, `/ready` and `/metrics`, for monitoring.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use control::Error;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::rest::QueryErrors;
use crate::state::AppState;

/// The name and the help text of every metric.
const METRICS: [(&str, &str); 5] = [
    ("toygres_runs", "Runs by state"),
    ("toygres_instances", "Instances by the result of the last health check"),
    ("toygres_images", "Images by status"),
    ("toygres_stored_bytes", "Bytes of the images in each store"),
    ("toygres_oldest_due_seconds", "Seconds since the oldest due run of each pool became due"),
];

/// Check liveness
#[utoipa::path(get, path = "/health", tag = "operations",
    responses((status = 200, description = "The process is running")))]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// Check readiness
#[utoipa::path(get, path = "/ready", tag = "operations",
    responses((status = 200, description = "The state database is available"),
        (status = 503, description = "The state database is unavailable")))]
pub(crate) async fn ready(State(app): State<AppState>) -> impl IntoResponse {
    match sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(app.services.db()).await {
        Ok(_) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the state database is unavailable\n"),
    }
}

/// Get metrics
///
/// In the OpenMetrics text format, which Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Metrics", content_type = "application/openmetrics-text"), QueryErrors))]
pub(crate) async fn metrics(
    State(app): State<AppState>,
    _: CurrentUser,
) -> Result<impl IntoResponse, ErrorResponse> {
    let samples = samples(app.services.db()).await.map_err(Error::from)?;
    let mut text = String::new();
    encode(&mut text, &registry(samples)).map_err(|error| Error::Internal(error.into()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text))
}

/// One value of a metric with its only label.
struct Sample {
    metric: String,
    label: String,
    label_value: String,
    value: f64,
}

async fn samples(db: &sqlx::PgPool) -> sqlx::Result<Vec<Sample>> {
    sqlx::query_as!(
        Sample,
        r#"select 'toygres_runs' as "metric!", 'state' as "label!", state as "label_value!", count(*)::float8 as "value!"
               from toygres.run group by state
           union all select 'toygres_instances', 'health', health, count(*)::float8 from toygres.instance group by health
           union all select 'toygres_images', 'status', status, count(*)::float8 from toygres.image group by status
           union all select 'toygres_stored_bytes', 'store', s.name, coalesce(sum(i.stored_bytes), 0)::float8
               from toygres.store s left join toygres.image i on i.store = s.id group by s.name
           union all select 'toygres_oldest_due_seconds', 'pool', pool,
               greatest(extract(epoch from clock_timestamp() - min(due_at)), 0)::float8
               from toygres.run where due_at is not null and worker is null group by pool"#
    )
    .fetch_all(db)
    .await
}

fn registry(samples: Vec<Sample>) -> Registry {
    let mut registry = Registry::default();
    for (name, help) in METRICS {
        let family = Family::<Vec<(String, String)>, Gauge<f64, AtomicU64>>::default();
        for sample in samples.iter().filter(|sample| sample.metric == name) {
            let labels = vec![(sample.label.clone(), sample.label_value.clone())];
            family.get_or_create(&labels).set(sample.value);
        }
        registry.register(name, help, family);
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_and_label_values_are_encoded() {
        let sample = Sample {
            metric: "toygres_stored_bytes".to_owned(),
            label: "store".to_owned(),
            label_value: "a \"b\" \\c".to_owned(),
            value: 1.5e9,
        };
        let mut text = String::new();
        encode(&mut text, &registry(vec![sample])).expect("text");
        assert!(text.contains("# TYPE toygres_stored_bytes gauge\n"), "{text}");
        assert!(text.contains(r#"toygres_stored_bytes{store="a \"b\" \\c"} 1500000000.0"#), "{text}");
    }
}
