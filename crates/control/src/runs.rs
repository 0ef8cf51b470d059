//! Runs: looking at them; what a person may do to one, and who is told of changes, is a file each. The engine's own rows
//! are read, never written, here.

mod changes;
mod commands;

use model::page::Page;
use model::run::{Progress, Receipt, RunDetail};
use model::{
    ImageId, InstanceId, LogFilter, LogLine, LogPage, LogStretch, Run, RunId, RunState, StepRow, StepState,
};
use serde_json::Value;

pub use changes::changes;
pub(crate) use changes::listen;
pub use commands::{accept, cancel, retry};

use crate::error::{Error, Result};
use crate::search;
use crate::services::Services;

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// Only of this state.
    pub state: Option<RunState>,
    /// Only of this workflow.
    pub workflow: Option<String>,
    /// Only about this instance.
    pub instance: Option<InstanceId>,
    /// Only about this image.
    pub image: Option<ImageId>,
    /// Only those of whose title, names, starter or error this text is a part.
    pub search: Option<String>,
    /// The page, from 1.
    pub page: i64,
    /// Rows of a page; 25 if 0, at most 200.
    pub per_page: i64,
    /// Only those that have not ended.
    pub active: bool,
}

/// A `query_as!` of [`Run`]s with the given tail.
macro_rules! runs {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            RunColumns,
            r#"select id as "id!: RunId", workflow as "workflow!", version as "version!", state as "state!: RunState",
                   position as "position!", steps as "steps!", step, title as "title?", instance as "instance: InstanceId",
                   instance_name, image as "image: ImageId", image_name, started_by as "started_by!",
                   cancel as "cancel!", error, progress, created_at as "created_at!", finished_at, due_at,
                   labels as "labels!"
               from toygres.run_seen "# + $tail
            $(, $value)*
        )
    };
}

/// The view's columns.
struct RunColumns {
    id: RunId,
    workflow: String,
    version: i32,
    state: RunState,
    position: i32,
    steps: i32,
    step: Option<String>,
    title: Option<String>,
    instance: Option<InstanceId>,
    instance_name: Option<String>,
    image: Option<ImageId>,
    image_name: Option<String>,
    started_by: String,
    cancel: bool,
    error: Option<String>,
    progress: Option<Value>,
    created_at: chrono::DateTime<chrono::Utc>,
    finished_at: Option<chrono::DateTime<chrono::Utc>>,
    due_at: Option<chrono::DateTime<chrono::Utc>>,
    labels: Value,
}

impl From<RunColumns> for Run {
    fn from(row: RunColumns) -> Self {
        Self {
            id: row.id,
            title: row.title.unwrap_or_else(|| row.workflow.clone()),
            workflow: row.workflow,
            version: row.version,
            state: row.state,
            position: row.position,
            steps: row.steps,
            step: row.step,
            instance: row.instance,
            instance_name: row.instance_name,
            image: row.image,
            image_name: row.image_name,
            started_by: row.started_by,
            cancel: row.cancel,
            error: row.error,
            progress: progress(row.progress),
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

fn progress(value: Option<Value>) -> Option<Progress> {
    value.and_then(|value| serde_json::from_value(value).ok())
}

/// A page of runs, the newest first.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services, query: RunQuery) -> Result<Page<Run>> {
    let per_page = if query.per_page <= 0 { 25 } else { query.per_page.min(200) };
    let page = query.page.clamp(1, 1_000_000);
    let state = query.state.map(RunState::as_str);
    let (instance, image) = (query.instance.map(|id| id.0), query.image.map(|id| id.0));
    let search = search::pattern(query.search.as_deref());
    let rows = runs!(
        "where ($1::text is null or state = $1) and ($2::text is null or workflow = $2)
           and ($3::uuid is null or instance = $3) and ($4::uuid is null or image = $4)
           and (not $5 or finished_at is null)
           and ($6::text is null or title ilike $6 or workflow ilike $6 or instance_name ilike $6 or image_name ilike $6
                or started_by ilike $6 or error ilike $6)
         order by created_at desc limit $7 offset $8",
        state,
        query.workflow.as_deref(),
        instance,
        image,
        query.active,
        search,
        per_page,
        (page - 1) * per_page
    )
    .fetch_all(services.db())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from toygres.run_seen
           where ($1::text is null or state = $1) and ($2::text is null or workflow = $2)
             and ($3::uuid is null or instance = $3) and ($4::uuid is null or image = $4)
             and (not $5 or finished_at is null)
             and ($6::text is null or title ilike $6 or workflow ilike $6 or instance_name ilike $6 or image_name ilike $6
                  or started_by ilike $6 or error ilike $6)"#,
        state,
        query.workflow.as_deref(),
        instance,
        image,
        query.active,
        search
    )
    .fetch_one(services.db())
    .await?;
    Ok(Page { rows: rows.into_iter().map(Run::from).collect(), total, page, per_page })
}

/// Runs that wait for a person: stuck ones, and failures of the last days that no later success made good.
pub(crate) async fn needing_you(services: &Services) -> Result<Vec<Run>> {
    let rows = runs!(
        "r where state = 'stuck' or (state = 'failed' and finished_at > clock_timestamp() - interval '3 days'
             and (r.instance is null or exists (select from toygres.instance i where i.id = r.instance))
             and (r.instance is not null or r.image is null or exists (select from toygres.image i where i.id = r.image))
             and not exists (select from toygres.run_seen later
                 where later.created_at > r.created_at and later.workflow = r.workflow
                   and (later.instance = r.instance or later.instance_name = r.instance_name or later.image = r.image)
                   and later.state in ('succeeded', 'running')))
         order by state desc, created_at desc limit 20"
    )
    .fetch_all(services.db())
    .await?;
    Ok(rows.into_iter().map(Run::from).collect())
}

/// A run with its steps.
///
/// # Errors
/// There is no such run.
pub async fn get(services: &Services, id: RunId) -> Result<RunDetail> {
    let row = row(services, id).await?;
    let due_at = row.due_at;
    let steps = sqlx::query!(
        r#"select position, name, state as "state: StepState", attempt, attempts, deadline, error, progress, started_at,
               finished_at, output from toygres.step where run_id = $1 order by position"#,
        id.0
    )
    .fetch_all(services.db())
    .await?;
    let receipt = steps.iter().find_map(|step| {
        let receipt = step.output.as_ref()?.get("receipt")?;
        serde_json::from_value::<Receipt>(receipt.clone()).ok()
    });
    let at = row.position;
    let step_rows = steps.into_iter().map(|step| StepRow {
        due_at: due_at.filter(|_| step.position == at && step.state != StepState::Running),
        position: step.position,
        name: step.name,
        state: step.state,
        attempt: step.attempt,
        attempts: step.attempts,
        deadline: step.deadline,
        error: step.error,
        waits_for: None,
        progress: progress(step.progress),
        started_at: step.started_at,
        finished_at: step.finished_at,
    });
    let mut step_rows: Vec<StepRow> = step_rows.collect();
    let current = step_rows
        .iter_mut()
        .find(|step| step.position == at && matches!(step.state, StepState::Running | StepState::Waiting));
    if let Some(step) = current {
        step.waits_for = crate::logs::waits_for(services, id, &step.name).await?;
    }
    let log_lines = sqlx::query_scalar!("select lines from toygres.run_log where run_id = $1", id.0)
        .fetch_optional(services.db())
        .await?
        .unwrap_or(0);
    let run = Run::from(row);
    let waits_for = step_rows.iter().find_map(|step| step.waits_for.clone());
    let waits = waits_for.is_some();
    let words = run.error.clone().or(waits_for);
    let words = words.or_else(|| step_rows.iter().find_map(|step| step.error.clone()));
    let diagnosis = words.and_then(|words| crate::diagnosis::of(&run.workflow, run.state, waits, &words));
    Ok(RunDetail { run, step_rows, diagnosis, log_lines, receipt })
}

/// Lines of a run's log after number `after`, at most `limit` (1 to 10,000).
///
/// # Errors
/// There is no such run.
pub async fn log(services: &Services, id: RunId, after: i64, limit: i64) -> Result<Vec<LogLine>> {
    known(services, id).await?;
    crate::logs::read(services.db(), id, after.max(0), limit.clamp(1, 10_000)).await
}

/// A stretch of the lines of a run's log that pass a filter, at most `limit` (1 to 10,000).
///
/// # Errors
/// There is no such run.
pub async fn log_page(
    services: &Services,
    id: RunId,
    filter: &LogFilter,
    stretch: LogStretch,
    limit: i64,
) -> Result<LogPage> {
    known(services, id).await?;
    crate::logs::page(services, id, filter, stretch, limit.clamp(1, 10_000)).await
}

async fn known(services: &Services, id: RunId) -> Result<()> {
    let known =
        sqlx::query_scalar!(r#"select exists (select from toygres.run where id = $1) as "known!""#, id.0);
    if known.fetch_one(services.db()).await? { Ok(()) } else { Err(unknown(id)) }
}

async fn row(services: &Services, id: RunId) -> Result<RunColumns> {
    runs!("where id = $1", id.0).fetch_optional(services.db()).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: RunId) -> Error {
    Error::NotFound(format!("There is no run {id}."))
}
