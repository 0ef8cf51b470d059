//! Runs: queries over the engine's tables. The commands on runs are in `commands/runs.rs`.

pub(crate) mod start;

use model::page::{Page, existing_page};
use model::run::{Progress, Receipt, RunDetail, step_title};
use model::{
    Failure, ImageId, InstanceId, LogFilter, LogLine, LogPage, LogStretch, Run, RunId, RunState, StepRow,
    StepState, WorkflowName,
};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::services::Services;
use crate::{diagnosis, logs, search};

/// The most log lines in one answer. A line has up to 8,192 characters, and the server holds an answer completely.
pub const MAX_LINES: i64 = 1_000;

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// The state.
    pub state: Option<RunState>,
    /// The workflow.
    pub workflow: Option<WorkflowName>,
    /// The instance.
    pub instance: Option<InstanceId>,
    /// The image.
    pub image: Option<ImageId>,
    /// Part of the title, a name, the user or the error.
    pub search: Option<String>,
    /// The page, from 1.
    pub page: i64,
    /// Rows on a page; 0 is 25, the maximum is 200.
    pub per_page: i64,
    /// Only runs that are running or rolling back.
    pub active: bool,
}

/// A `query_as!` of runs with the given tail; its rows convert into [`Run`].
macro_rules! runs {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            RunColumns,
            r#"select id as "id!: RunId", workflow as "workflow!", version as "version!", state as "state!: RunState",
                   position as "position!", steps as "steps!", step, title as "title?", instance as "instance: InstanceId",
                   instance_name, image as "image: ImageId", image_name, started_by as "started_by!",
                   cancel as "cancel!", error, error_code, error_subject, progress, created_at as "created_at!", finished_at, due_at,
                   labels as "labels!"
               from toygres.run_seen "# + $tail
            $(, $value)*
        )
    };
}

/// The columns of the view `run_seen`.
pub(crate) struct RunColumns {
    id: RunId,
    pub(crate) workflow: String,
    version: i32,
    pub(crate) state: RunState,
    position: i32,
    steps: i32,
    step: Option<String>,
    title: Option<String>,
    pub(crate) instance: Option<InstanceId>,
    instance_name: Option<String>,
    pub(crate) image: Option<ImageId>,
    image_name: Option<String>,
    started_by: String,
    cancel: bool,
    error: Option<String>,
    error_code: Option<String>,
    error_subject: Option<String>,
    progress: Option<Value>,
    created_at: chrono::DateTime<chrono::Utc>,
    finished_at: Option<chrono::DateTime<chrono::Utc>>,
    due_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) labels: Value,
}

impl From<RunColumns> for Run {
    fn from(row: RunColumns) -> Self {
        let code = row.error_code;
        Self {
            id: row.id,
            workflow: WorkflowName::of(&row.workflow),
            title: row.title.unwrap_or(row.workflow),
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
            error: row.error.map(|detail| Failure::from_columns(code.as_deref(), row.error_subject, detail)),
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
/// The state database is unavailable.
pub async fn list(services: &Services, query: RunQuery) -> Result<Page<Run>> {
    let per_page = if query.per_page <= 0 { 25 } else { query.per_page.min(200) };
    let (state, workflow) = (query.state.map(RunState::as_str), query.workflow.map(WorkflowName::as_str));
    let (instance, image) = (query.instance.map(|id| id.0), query.image.map(|id| id.0));
    let search = search::pattern(query.search.as_deref());
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from toygres.run_seen
           where ($1::text is null or state = $1) and ($2::text is null or workflow = $2)
             and ($3::uuid is null or instance = $3) and ($4::uuid is null or image = $4)
             and (not $5 or state in ('running', 'undoing'))
             and ($6::text is null or title ilike $6 or workflow ilike $6 or instance_name ilike $6 or image_name ilike $6
                  or started_by ilike $6 or error ilike $6)"#,
        state,
        workflow,
        instance,
        image,
        query.active,
        search
    )
    .fetch_one(services.db())
    .await?;
    let page = existing_page(query.page, total, per_page);
    let rows = runs!(
        "where ($1::text is null or state = $1) and ($2::text is null or workflow = $2)
           and ($3::uuid is null or instance = $3) and ($4::uuid is null or image = $4)
           and (not $5 or state in ('running', 'undoing'))
           and ($6::text is null or title ilike $6 or workflow ilike $6 or instance_name ilike $6 or image_name ilike $6
                or started_by ilike $6 or error ilike $6)
         order by created_at desc limit $7 offset $8",
        state,
        workflow,
        instance,
        image,
        query.active,
        search,
        per_page,
        (page - 1) * per_page
    )
    .fetch_all(services.db())
    .await?;
    Ok(Page { rows: rows.into_iter().map(Run::from).collect(), total, page, per_page })
}

/// The runs that ended most recently.
pub(crate) async fn recently_ended(services: &Services, limit: i64) -> Result<Vec<Run>> {
    let rows = runs!(
        "where state in ('succeeded', 'failed', 'cancelled') order by finished_at desc nulls last limit $1",
        limit
    )
    .fetch_all(services.db())
    .await?;
    Ok(rows.into_iter().map(Run::from).collect())
}

/// Runs that need attention: stuck ones, and failures of the last three days without a later success.
pub(crate) async fn needing_attention(services: &Services) -> Result<Vec<Run>> {
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

/// A run with its steps, its diagnosis and the receipt of a restore.
///
/// # Errors
/// The run does not exist.
pub async fn get(services: &Services, id: RunId) -> Result<RunDetail> {
    let row = row(services, id).await?;
    let (due_at, at) = (row.due_at, row.position);
    let run = Run::from(row);
    let (mut step_rows, receipt) = steps(services, &run).await?;
    if let Some(step) = step_rows.iter_mut().find(|step| step.position == at) {
        match step.state {
            StepState::Running | StepState::Waiting => {
                step.waits_for = waits_for(services, id, &step.name).await?;
            }
            _ => {}
        }
        step.due_at = due_at.filter(|_| step.state != StepState::Running);
    }
    let log_lines = sqlx::query_scalar!("select lines from toygres.run_log where run_id = $1", id.0)
        .fetch_optional(services.db())
        .await?
        .unwrap_or(0);
    let diagnosis = diagnosis_of(&run, &step_rows);
    Ok(RunDetail { run, step_rows, diagnosis, log_lines, receipt })
}

/// The diagnosis of the failure that a page shows first: that of a stuck rollback, the first one of the run, what the step
/// waits for, or the newest failed attempt.
fn diagnosis_of(run: &Run, steps: &[StepRow]) -> Option<model::run::Diagnosis> {
    let waits_for = steps.iter().find_map(|step| step.waits_for.as_ref());
    let stuck =
        steps.iter().find(|step| step.state == StepState::Stuck).and_then(|step| step.undo_error.as_ref());
    let first = steps.iter().find_map(|step| step.first_error.as_ref());
    let newest = steps.iter().find_map(|step| step.error.as_ref());
    let failure = stuck.or_else(|| run.error.as_ref().map(|error| first.unwrap_or(error)));
    let waits = failure.is_none() && waits_for.is_some();
    let failure = failure.or(waits_for).or(newest)?;
    diagnosis::of_run(run.workflow, run.state, waits, failure)
}

/// The steps of a run, and the receipt among their outputs.
async fn steps(services: &Services, run: &Run) -> Result<(Vec<StepRow>, Option<Receipt>)> {
    let rows = sqlx::query!(
        r#"select position, name, state as "state: StepState", attempt, attempts, deadline, error, error_code, error_subject,
               first_failure as "first_failure: sqlx::types::Json<Failure>",
               undo_failure as "undo_failure: sqlx::types::Json<Failure>", undo_attempt, undo_started_at, undo_finished_at,
               progress, started_at, finished_at, output
           from toygres.step where run_id = $1 order by position"#,
        run.id.0
    )
    .fetch_all(services.db())
    .await?;
    let receipt = rows.iter().find_map(|step| {
        let receipt = step.output.as_ref()?.get("receipt")?;
        serde_json::from_value::<Receipt>(receipt.clone()).ok()
    });
    let rows = rows.into_iter().map(|step| {
        let code = step.error_code;
        let error =
            step.error.map(|detail| Failure::from_columns(code.as_deref(), step.error_subject, detail));
        StepRow {
            position: step.position,
            title: step_title(run.workflow, &step.name),
            name: step.name,
            state: step.state,
            attempt: step.attempt,
            attempts: step.attempts,
            deadline: step.deadline,
            due_at: None,
            first_error: step
                .first_failure
                .map(|first| first.0)
                .filter(|first| Some(first) != error.as_ref()),
            error,
            waits_for: None,
            progress: progress(step.progress),
            started_at: step.started_at,
            finished_at: step.finished_at,
            undo_attempt: step.undo_attempt,
            undo_error: step.undo_failure.map(|failure| failure.0),
            undo_started_at: step.undo_started_at,
            undo_finished_at: step.undo_finished_at,
        }
    });
    Ok((rows.collect(), receipt))
}

/// What a step waits for outside of Toygres: what the platform reports of its job, or of the instance's server.
async fn waits_for(services: &Services, run: RunId, step: &str) -> Result<Option<Failure>> {
    let waiting = sqlx::query_scalar!(
        r#"select waiting as "waiting!: sqlx::types::Json<Failure>" from toygres.job
           where run_id = $1 and step = $2 and ended_at is null and waiting is not null
           order by attempt desc limit 1"#,
        run.0,
        step
    )
    .fetch_optional(services.db())
    .await?;
    if let Some(waiting) = waiting {
        return Ok(Some(waiting.0));
    }
    let server = sqlx::query!(
        r#"select health_code as "code!", health_subject as subject, health_detail as "detail!" from toygres.instance
           where run = $1 and status in ('creating', 'starting') and health_code is not null and health_detail is not null"#,
        run.0
    )
    .fetch_optional(services.db())
    .await?;
    Ok(server.map(|row| Failure::from_columns(Some(&row.code), row.subject, row.detail)))
}

/// The log lines of a run after number `after`, at most `limit` (1 to [`MAX_LINES`]).
///
/// # Errors
/// The run does not exist.
pub async fn log(services: &Services, id: RunId, after: i64, limit: i64) -> Result<Vec<LogLine>> {
    require_run(services, id).await?;
    logs::read(services.db(), id, after.max(0), limit.clamp(1, MAX_LINES)).await
}

/// A range of the log lines of a run that pass a filter, at most `limit` (1 to [`MAX_LINES`]).
///
/// # Errors
/// The run does not exist.
pub async fn log_page(
    services: &Services,
    id: RunId,
    filter: &LogFilter,
    stretch: LogStretch,
    limit: i64,
) -> Result<LogPage> {
    require_run(services, id).await?;
    logs::page(services, id, filter, stretch, limit.clamp(1, MAX_LINES)).await
}

async fn require_run(services: &Services, id: RunId) -> Result<()> {
    let known =
        sqlx::query_scalar!(r#"select exists (select from toygres.run where id = $1) as "known!""#, id.0);
    if known.fetch_one(services.db()).await? { Ok(()) } else { Err(unknown(id)) }
}

pub(crate) async fn row(services: &Services, id: RunId) -> Result<RunColumns> {
    runs!("where id = $1", id.0).fetch_optional(services.db()).await?.ok_or_else(|| unknown(id))
}

pub(crate) fn unknown(id: RunId) -> Error {
    Error::NotFound(format!("Run {id} does not exist."))
}
