//! The log collector on a platform that loses events and results.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use control::workflows::CreateInstance;
use model::instance::NewInstance;
use model::{AgentTask, EventBody, Failure, FailureCode, Level, Location, Work};
use platform::{JobEnd, JobSpec, Jobs, job_name};
use sqlx::PgPool;
use sqlx::types::Json;
use workflow::RunId;
use workflow::testing::{Fault, perform};
use world::flaky::{Faults, FlakyPlatform};
use world::{World, admin};

const STEP: &str = "TestConnection";
const PREFIX: &str = "images/a/1";

/// Starts a run that no worker executes, for a job to belong to.
async fn start_run(world: &World) -> uuid::Uuid {
    let new = NewInstance { name: "created".to_owned(), ..NewInstance::default() };
    control::commands::create_instance(&world.services, &admin(), new).await.unwrap().run_id.0
}

/// Launches a job that writes `lines` log lines, and records it for the collector.
async fn launch(world: &World, platform: &dyn Jobs, lines: u64) -> (uuid::Uuid, String) {
    let (run, store) = (start_run(world).await, world.platform.store_url());
    let name = job_name(run, STEP, 1);
    let log = Some(Location { store: store.clone(), prefix: PREFIX.to_owned() });
    let work = Work::EmitLines { lines };
    let task = AgentTask { run, step: STEP.to_owned(), attempt: 1, work, log, network: None };
    let job = JobSpec {
        name: name.clone(),
        task,
        secrets: std::collections::BTreeMap::new(),
        volume: None,
        major: None,
        identity: None,
        deadline: Duration::from_secs(600),
    };
    platform.launch(&job).await.unwrap();
    sqlx::query(
        "insert into toygres.job (name, platform, run_id, step, attempt, position, store, log_prefix)
         select $1, $2, $3, $4, 1, 3, id, $6 from toygres.store where url = $5",
    )
    .bind(&name)
    .bind(world.services.platform_id().0)
    .bind(run)
    .bind(STEP)
    .bind(store)
    .bind(PREFIX)
    .execute(world.services.db())
    .await
    .unwrap();
    (run, name)
}

/// Waits for the recorded end of a job and returns its result.
async fn wait_for_end(db: &PgPool, name: &str) -> Option<serde_json::Value> {
    for _ in 0..1200 {
        let ended =
            sqlx::query_scalar("select result from toygres.job where name = $1 and ended_at is not null");
        if let Some(result) = ended.bind(name).fetch_optional(db).await.unwrap() {
            return result;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the end of the job {name} was not recorded")
}

/// Waits until a run's job waits for something, and returns the code.
async fn wait_for_waiting(db: &PgPool, run: uuid::Uuid) -> String {
    for _ in 0..300 {
        let waiting = "select waiting ->> 'code' from toygres.job where run_id = $1 and waiting is not null";
        if let Some(code) = sqlx::query_scalar(waiting).bind(run).fetch_optional(db).await.unwrap() {
            return code;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it was not recorded what the job waits for")
}

/// The messages of the job's lines in a run's log.
async fn messages(db: &PgPool, run: uuid::Uuid) -> Vec<String> {
    let chunks: Vec<Json<Vec<serde_json::Value>>> =
        sqlx::query_scalar("select lines from toygres.log_chunk where run_id = $1 order by first")
            .bind(run)
            .fetch_all(db)
            .await
            .unwrap();
    let lines = chunks.into_iter().flat_map(|chunk| chunk.0);
    lines
        .filter(|line| line["step"] == STEP && line["event"].is_null())
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

/// The number in a line of the test job.
fn number(message: &str) -> Option<u64> {
    message.strip_prefix("line ")?.split(':').next()?.parse().ok()
}

/// The peak memory of this process, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

async fn error_code(db: &PgPool, run: RunId) -> Option<String> {
    let code = sqlx::query_scalar("select error_code from toygres.run where id = $1");
    code.bind(run.0).fetch_one(db).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn segments_replace_events_and_results_that_the_platform_lost(db: PgPool) {
    let faults = Faults { omitted: 100..190_000, loses_results: true, ..Faults::default() };
    let world = World::on(&db, |local| Arc::new(FlakyPlatform::new(local, faults))).await;
    let before = peak_memory();
    let (run, name) = launch(&world, &**world.services.platform(), 200_000).await;
    let result = wait_for_end(&db, &name).await.unwrap();
    let grown = peak_memory() - before;
    assert!(grown < 48 * 1024 * 1024, "the log took {grown} bytes of memory");
    assert!(result["failure"].is_null(), "{result}");
    let lines = messages(&db, run).await;
    assert_eq!(lines.len(), 200_000);
    assert!((1..).zip(&lines).all(|(n, line)| number(line) == Some(n)), "lines are missing or repeated");
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn events_in_neither_output_nor_segments_are_logged_as_a_gap(db: PgPool) {
    let faults = Faults { omitted: 11..21, ..Faults::default() };
    let world = World::on(&db, |local| Arc::new(FlakyPlatform::new(local, faults))).await;
    // A file at the place of the directory: the job cannot write its segments.
    let images = world.platform.store_url().trim_start_matches("file://").to_owned() + "/images";
    std::fs::write(images, "").unwrap();
    let (run, name) = launch(&world, &**world.services.platform(), 40).await;
    wait_for_end(&db, &name).await;
    let mut lines = messages(&db, run).await;
    // The agent reports on its standard error that it cannot write the segments.
    lines.retain(|line| !line.starts_with("toygres-agent: "));
    let numbers: Vec<Option<u64>> = lines.iter().map(|line| number(line)).collect();
    let expected: Vec<Option<u64>> = (1..=10).map(Some).chain([None]).chain((21..=40).map(Some)).collect();
    assert_eq!(numbers, expected);
    assert!(lines[10].starts_with("10 lines of the job are missing"), "{}", lines[10]);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn unnumbered_lines_are_stored_once_although_the_stream_breaks(db: PgPool) {
    let messages_sent = ["pulling", "retrying", "retrying"];
    let unnumbered = messages_sent
        .map(|message| EventBody::Log { level: Level::Info, message: message.to_owned() })
        .to_vec();
    let faults = Faults {
        unnumbered,
        breaks_after: Some(13),
        delays_end: Duration::from_secs(8),
        ..Faults::default()
    };
    let world = World::on(&db, |local| Arc::new(FlakyPlatform::new(local, faults))).await;
    let (run, name) = launch(&world, &**world.services.platform(), 45).await;
    wait_for_end(&db, &name).await;
    let lines = messages(&db, run).await;
    let unnumbered: Vec<&String> = lines.iter().filter(|line| number(line).is_none()).collect();
    assert_eq!(unnumbered, messages_sent);
    let numbers: Vec<u64> = lines.iter().filter_map(|line| number(line)).collect();
    assert_eq!(numbers, (1..=45).collect::<Vec<u64>>());
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn cause_of_waiting_is_recorded_and_a_permanent_failure_is_not_retried(db: PgPool) {
    let waiting = Failure::new(FailureCode::Unschedulable, "0/3 nodes are available").on("t-1");
    let end = Failure::new(FailureCode::ContainerImagePull, "manifest unknown").on("postgres:99");
    let faults = Faults {
        never_starts: Some((Duration::from_secs(20), JobEnd::failed(end))),
        unnumbered: vec![EventBody::Waiting(waiting.clone())],
        ..Faults::default()
    };
    let mut platform = None;
    let world =
        World::on(&db, |local| Arc::clone(platform.insert(Arc::new(FlakyPlatform::new(local, faults)))))
            .await;
    let run = RunId(start_run(&world).await);
    let (state, waiting_code) = tokio::join!(
        async {
            perform::<CreateInstance>(&db, world.services.clone(), &world.pool(), Fault::None, run).await
        },
        wait_for_waiting(&db, run.0)
    );
    assert_eq!((state.unwrap(), waiting_code), ("failed".to_owned(), waiting.code.to_string()));
    assert_eq!(platform.unwrap().launched().len(), 1, "the job was launched again");
    assert_eq!(error_code(&db, run).await.as_deref(), Some("container_image_pull"));
    let still_waiting: i64 = sqlx::query_scalar("select count(*) from toygres.job where waiting is not null")
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(still_waiting, 0);
    assert_eq!(messages(&db, run.0).await, [waiting.to_string()]);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn unreachable_platform_does_not_end_a_job(db: PgPool) {
    let end = Failure::new(FailureCode::AdmissionDenied, "denied the request");
    let faults = Faults {
        never_starts: Some((Duration::from_secs(25), JobEnd::failed(end))),
        is_unreachable: true,
        ..Faults::default()
    };
    let mut platform = None;
    let world =
        World::on(&db, |local| Arc::clone(platform.insert(Arc::new(FlakyPlatform::new(local, faults)))))
            .await;
    let run = RunId(start_run(&world).await);
    perform::<CreateInstance>(&db, world.services.clone(), &world.pool(), Fault::None, run).await.unwrap();
    assert_eq!(platform.unwrap().launched().len(), 1, "a second job was launched");
    assert_eq!(error_code(&db, run).await.as_deref(), Some("admission_denied"));
    world.end().await;
}
