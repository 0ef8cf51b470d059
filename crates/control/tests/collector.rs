//! What becomes of a job's lines and of its end, on a platform that forgets both.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use control::workflows::CreateInstance;
use model::instance::NewInstance;
use model::{AgentTask, ExitClass, Location, Work};
use platform::{JobEnd, JobSpec, Platform, job_name};
use sqlx::PgPool;
use sqlx::types::Json;
use workflow::RunId;
use workflow::testing::{Fault, perform};
use world::bent::{Bent, Habits};
use world::{World, somebody};

const STEP: &str = "TestConnection";
const PREFIX: &str = "images/a/1";

/// A run that nobody performs, for a job to belong to.
async fn run(world: &World) -> uuid::Uuid {
    let new = NewInstance { name: "made".to_owned(), ..NewInstance::default() };
    control::instances::create(&world.services, &somebody(), new).await.unwrap().run_id.0
}

/// Launches a job that says so many lines, and has it followed.
async fn talk(world: &World, platform: &dyn Platform, lines: u64) -> (uuid::Uuid, String) {
    let (run, store) = (run(world).await, world.platform.store_url());
    let name = job_name(run, STEP, 1);
    let log = Some(Location { store: store.clone(), prefix: PREFIX.to_owned() });
    let task = AgentTask { run, step: STEP.to_owned(), attempt: 1, work: Work::Talk { lines }, log };
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

/// Waits for the end of a job and gives its result and the reason of its end.
async fn harvest(db: &PgPool, name: &str) -> (Option<serde_json::Value>, Option<String>) {
    for _ in 0..1200 {
        let ended =
            sqlx::query_as("select result, reason from toygres.job where name = $1 and ended_at is not null");
        if let Some(end) = ended.bind(name).fetch_optional(db).await.unwrap() {
            return end;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the job {name} was not harvested")
}

/// The messages of a run's log that are the job's.
async fn messages(db: &PgPool, run: uuid::Uuid) -> Vec<String> {
    let chunks: Vec<Json<Vec<serde_json::Value>>> =
        sqlx::query_scalar("select lines from toygres.log_chunk where run_id = $1 order by first")
            .bind(run)
            .fetch_all(db)
            .await
            .unwrap();
    let lines = chunks.into_iter().flat_map(|chunk| chunk.0);
    lines
        .filter(|line| line["step"] == STEP)
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

/// The number of a line that a job said.
fn number(message: &str) -> Option<u64> {
    message.strip_prefix("line ")?.split(':').next()?.parse().ok()
}

/// The most memory that this process has ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_the_platform_forgot_is_in_the_segments_also_how_it_ended(db: PgPool) {
    let habits = Habits { forgets: 100..190_000, loses_results: true, ..Habits::default() };
    let world = World::on(&db, |local| Arc::new(Bent::new(local, habits))).await;
    let before = peak();
    let (run, name) = talk(&world, &**world.services.platform(), 200_000).await;
    let (result, _) = harvest(&db, &name).await;
    let grown = peak() - before;
    assert!(grown < 48 * 1024 * 1024, "the log took {grown} bytes of memory");
    assert_eq!(result.unwrap()["class"], ExitClass::Ok.as_str());
    let lines = messages(&db, run).await;
    assert_eq!(lines.len(), 200_000);
    assert!((1..).zip(&lines).all(|(n, line)| number(line) == Some(n)), "lines are missing or come twice");
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_neither_has_is_shown_as_a_gap(db: PgPool) {
    let habits = Habits { forgets: 11..21, ..Habits::default() };
    let world = World::on(&db, |local| Arc::new(Bent::new(local, habits))).await;
    // Nobody can write there: the job's segments go nowhere.
    let images = world.platform.store_url().trim_start_matches("file://").to_owned() + "/images";
    std::fs::write(images, "").unwrap();
    let (run, name) = talk(&world, &**world.services.platform(), 40).await;
    harvest(&db, &name).await;
    let mut lines = messages(&db, run).await;
    // What the agent could not put into the log it said beside it.
    lines.retain(|line| !line.starts_with("toygres-agent: "));
    let numbers: Vec<Option<u64>> = lines.iter().map(|line| number(line)).collect();
    let expected: Vec<Option<u64>> = (1..=10).map(Some).chain([None]).chain((21..=40).map(Some)).collect();
    assert_eq!(numbers, expected);
    assert!(lines[10].starts_with("10 lines of the job are missing here"), "{}", lines[10]);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn words_without_a_number_are_kept_once_however_often_the_stream_breaks_off(db: PgPool) {
    let says = vec![
        "It waits for its image.".to_owned(),
        "It waits again.".to_owned(),
        "It waits again.".to_owned(),
    ];
    let habits = Habits {
        says: says.clone(),
        breaks_after: Some(13),
        seems_to_run: Duration::from_secs(8),
        ..Habits::default()
    };
    let world = World::on(&db, |local| Arc::new(Bent::new(local, habits))).await;
    let (run, name) = talk(&world, &**world.services.platform(), 45).await;
    harvest(&db, &name).await;
    let lines = messages(&db, run).await;
    let words: Vec<&String> = lines.iter().filter(|line| number(line).is_none()).collect();
    assert_eq!(words, says.iter().collect::<Vec<_>>());
    let numbers: Vec<u64> = lines.iter().filter_map(|line| number(line)).collect();
    assert_eq!(numbers, (1..=45).collect::<Vec<u64>>());
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_job_may_wait_for_long_and_a_fatal_end_is_not_tried_again(db: PgPool) {
    let reason = "The image postgres:99 cannot be pulled: there is none of that name.";
    let end = JobEnd { code: None, result: None, reason: Some(reason.to_owned()), fatal: true };
    let habits = Habits {
        waits: Some((Duration::from_secs(20), end)),
        says: vec!["It waits for its image.".to_owned()],
        ..Habits::default()
    };
    let mut platform = None;
    let world = World::on(&db, |local| Arc::clone(platform.insert(Arc::new(Bent::new(local, habits))))).await;
    let run = RunId(run(&world).await);
    let state = perform::<CreateInstance>(&db, world.services.clone(), &world.pool(), Fault::None, run)
        .await
        .unwrap();
    assert_eq!(state, "failed");
    assert_eq!(platform.unwrap().launched().len(), 1, "it was tried again");
    let error: String = sqlx::query_scalar("select error from toygres.run where id = $1")
        .bind(run.0)
        .fetch_one(&db)
        .await
        .unwrap();
    assert!(error.contains(reason), "{error}");
    let lines = messages(&db, run.0).await;
    assert_eq!(lines.iter().filter(|line| *line == "It waits for its image.").count(), 1, "{lines:?}");
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_platform_that_does_not_answer_is_no_end_of_a_job(db: PgPool) {
    let end = JobEnd { code: None, result: None, reason: Some("It has ended.".to_owned()), fatal: true };
    let habits = Habits { waits: Some((Duration::from_secs(25), end)), is_deaf: true, ..Habits::default() };
    let mut platform = None;
    let world = World::on(&db, |local| Arc::clone(platform.insert(Arc::new(Bent::new(local, habits))))).await;
    let run = RunId(run(&world).await);
    perform::<CreateInstance>(&db, world.services.clone(), &world.pool(), Fault::None, run).await.unwrap();
    assert_eq!(platform.unwrap().launched().len(), 1, "another job was launched beside the first one");
    let error: String = sqlx::query_scalar("select error from toygres.run where id = $1")
        .bind(run.0)
        .fetch_one(&db)
        .await
        .unwrap();
    assert!(error.contains("It has ended."), "{error}");
    world.end().await;
}
