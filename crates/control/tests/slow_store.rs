//! The log collector and backups on a remote store that is slow or refuses requests.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use control::commands::{add_store, set_default_store};
use control::stores::TypedKeys;
use control::workflows::{CreateImage, DeleteImage};
use model::image::NewImage;
use model::instance::NewInstance;
use model::{AgentEvent, AgentTask, EventBody, Level, StoreAccess, StoreAuth, StoreId, Work};
use platform::{JobSpec, job_name};
use sqlx::PgPool;
use sqlx::types::Json;
use workflow::RunId;
use workflow::testing::{Fault, perform};
use world::flaky::{Faults, FlakyPlatform};
use world::object_server::{BUCKET, ObjectServer};
use world::{World, admin};

const STEP: &str = "TestConnection";
const PREFIX: &str = "images/a/1";
/// About as many segments as a job with a million lines writes.
const SEGMENTS: u64 = 650;
const LINES_PER_SEGMENT: u64 = 10;
/// The positions of the steps of a backup.
const BACKUP: i32 = 2;
const PUBLISH: i32 = 4;
const LINES: u64 = SEGMENTS * LINES_PER_SEGMENT;

/// Adds the server's bucket as the default store.
async fn add_bucket(world: &World, server: &ObjectServer) -> StoreId {
    let access = StoreAccess {
        auth: StoreAuth::Sealed,
        endpoint: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        ..StoreAccess::default()
    };
    let keys = [("access_key_id", "key"), ("secret_access_key", "secret")];
    let keys = TypedKeys(keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let url = format!("s3://{BUCKET}");
    let store = add_store(&world.services, &admin(), "bucket", &url, &access, keys).await.unwrap();
    set_default_store(&world.services, &admin(), store).await.unwrap();
    store
}

/// Writes the segments that a job with [`LINES`] lines leaves in the store.
fn put_segments(server: &ObjectServer) {
    for k in 0..SEGMENTS {
        let numbers = k * LINES_PER_SEGMENT + 1..=(k + 1) * LINES_PER_SEGMENT;
        let events = numbers.map(|seq| {
            let body = EventBody::Log { level: Level::Info, message: format!("line {seq}:") };
            serde_json::to_string(&AgentEvent { seq, at: chrono::Utc::now(), body }).unwrap() + "\n"
        });
        server.put(&format!("{PREFIX}/log-{k}.jsonl"), events.collect::<String>().into_bytes());
    }
}

/// Launches a job whose segments are in the store, and records it for the collector.
async fn launch(world: &World, store: StoreId) -> (uuid::Uuid, String) {
    let new = NewInstance { name: "created".to_owned(), ..NewInstance::default() };
    let run = control::commands::create_instance(&world.services, &admin(), new).await.unwrap().run_id.0;
    let name = job_name(run, STEP, 1);
    let work = Work::EmitLines { lines: LINES };
    let job = JobSpec {
        name: name.clone(),
        task: AgentTask { run, step: STEP.to_owned(), attempt: 1, work, log: None, network: None },
        secrets: std::collections::BTreeMap::new(),
        volume: None,
        major: None,
        identity: None,
        deadline: Duration::from_secs(600),
    };
    world.services.platform().launch(&job).await.unwrap();
    sqlx::query(
        "insert into toygres.job (name, platform, run_id, step, attempt, position, store, log_prefix)
         values ($1, $2, $3, $4, 1, 3, $5, $6)",
    )
    .bind(&name)
    .bind(world.services.platform_id().0)
    .bind(run)
    .bind(STEP)
    .bind(store.0)
    .bind(PREFIX)
    .execute(world.services.db())
    .await
    .unwrap();
    (run, name)
}

/// Waits for the recorded end of a job and returns how often it was claimed.
async fn wait_for_end(db: &PgPool, name: &str) -> i64 {
    for _ in 0..1500 {
        let ended =
            sqlx::query_scalar("select epoch from toygres.job where name = $1 and ended_at is not null");
        if let Some(epoch) = ended.bind(name).fetch_optional(db).await.unwrap() {
            return epoch;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the end of the job {name} was not recorded")
}

/// The number of the job's lines in a run's log; fails if one is missing or repeated.
async fn count_lines(db: &PgPool, run: uuid::Uuid) -> u64 {
    let chunks: Vec<Json<Vec<serde_json::Value>>> =
        sqlx::query_scalar("select lines from toygres.log_chunk where run_id = $1 order by first")
            .bind(run)
            .fetch_all(db)
            .await
            .unwrap();
    let lines = chunks.into_iter().flat_map(|chunk| chunk.0).filter(|line| line["step"] == STEP);
    let messages: Vec<String> =
        lines.filter_map(|line| line["message"].as_str().map(ToOwned::to_owned)).collect();
    for (n, message) in (1..).zip(&messages) {
        assert!(message.starts_with(&format!("line {n}:")), "line {n} is missing or repeated: {message}");
    }
    messages.len().try_into().unwrap()
}

/// Harvests a job whose output has `faults` and whose segments are behind 100 ms of latency. Returns the number of GETs.
async fn harvest(db: &PgPool, faults: Faults) -> usize {
    let world = World::on(db, |local| Arc::new(FlakyPlatform::new(local, faults))).await;
    let server = ObjectServer::start(Duration::from_millis(100)).await;
    let store = add_bucket(&world, &server).await;
    put_segments(&server);
    server.take_counts();
    let (run, name) = launch(&world, store).await;
    let begun = std::time::Instant::now();
    let epoch = wait_for_end(db, &name).await;
    let (gets, lists) = server.take_counts();
    println!("harvested in {:?} with {gets} GETs, {lists} lists and {epoch} claims", begun.elapsed());
    assert_eq!(epoch, 1, "the job was claimed again while it was harvested");
    assert_eq!(count_lines(db, run).await, LINES);
    assert_eq!(lists, 0);
    world.end().await;
    gets
}

#[sqlx::test(migrations = "../../migrations")]
async fn complete_output_is_harvested_without_reading_segments(db: PgPool) {
    assert_eq!(harvest(&db, Faults::default()).await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_gap_at_the_end_is_found_in_a_logarithmic_number_of_reads(db: PgPool) {
    let faults = Faults { omitted: LINES - 15..LINES - 5, ..Faults::default() };
    let gets = harvest(&db, faults).await;
    let search = 2 * usize::try_from(SEGMENTS.ilog2()).unwrap();
    assert!(gets <= search + 10, "{gets} requests");
}

#[sqlx::test(migrations = "../../migrations")]
async fn lost_output_is_read_from_each_segment_once_under_one_lease(db: PgPool) {
    let faults = Faults { omitted: 100..LINES, loses_results: true, ..Faults::default() };
    let gets = harvest(&db, faults).await;
    let segments = usize::try_from(SEGMENTS).unwrap();
    assert!(gets <= segments + 40, "{gets} requests");
}

/// Performs a backup into the bucket with a fault. Returns the state of the run, and the status and the prefix of the image.
async fn back_up(world: &World, source: model::InstanceId, fault: Fault) -> (String, String, Option<String>) {
    let new = NewImage { instance_id: Some(source), ..NewImage::default() };
    let started = control::commands::back_up(&world.services, &admin(), new).await.unwrap();
    let (db, run) = (world.services.db(), RunId(started.run_id.0));
    let state = perform::<CreateImage>(db, world.services.clone(), &world.pool(), fault, run).await.unwrap();
    let image: (String, Option<String>) =
        sqlx::query_as("select status, prefix from toygres.image where id = $1")
            .bind(started.id.0)
            .fetch_one(db)
            .await
            .unwrap();
    (state, image.0, image.1)
}

#[sqlx::test(migrations = "../../migrations")]
async fn published_image_survives_leftovers_that_cannot_be_deleted(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let server = ObjectServer::start(Duration::ZERO).await;
    add_bucket(&world, &server).await;
    server.refuse_deletes(true);
    // The first attempt fails after it has written everything.
    let (state, status, prefix) = back_up(&world, source, Fault::FailOnce(BACKUP)).await;
    assert_eq!((state.as_str(), status.as_str()), ("succeeded", "available"));
    let published = server.keys(&prefix.unwrap());
    assert!(published.iter().any(|key| key.ends_with("manifest.json")), "{published:?}");
    assert!(
        server.keys("images/").len() > published.len(),
        "the first attempt left nothing: the test tests nothing"
    );
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn rollback_after_the_publication_deletes_no_object_of_the_image(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let server = ObjectServer::start(Duration::ZERO).await;
    add_bucket(&world, &server).await;
    for fault in [Fault::FailAt(PUBLISH), Fault::CancelAfter(PUBLISH)] {
        let (state, status, prefix) = back_up(&world, source, fault).await;
        assert_eq!((state.as_str(), status.as_str()), (fault.ends(), "available"));
        let options = [
            ("endpoint", server.endpoint()),
            ("access_key_id", "key".to_owned()),
            ("secret_access_key", "secret".to_owned()),
        ];
        let options = options.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let opened = image::Store::existing(&format!("s3://{BUCKET}"), &options).unwrap();
        let prefix = prefix.unwrap();
        let reader = image::ImageReader::open(opened, &prefix).await.unwrap();
        assert!(reader.manifest.stored_bytes() > 0);
        let passwords: i64 =
            sqlx::query_scalar("select count(*) from toygres.secret where kind = 'image-password'")
                .fetch_one(&db)
                .await
                .unwrap();
        assert!(passwords > 0, "the password of the image is missing");
    }
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn deletion_that_the_store_refused_leaves_the_image_available(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let server = ObjectServer::start(Duration::ZERO).await;
    add_bucket(&world, &server).await;
    let image = world.image(source, "kept").await;
    server.refuse_deletes(true);
    let started = control::commands::delete_image(&world.services, &admin(), image, "kept").await.unwrap();
    let run = RunId(started.run_id.0);
    let state = perform::<DeleteImage>(&db, world.services.clone(), &world.pool(), Fault::None, run).await;
    assert_eq!(state.unwrap(), "failed");
    assert_eq!(world::status(&db, "image", image.0).await.as_deref(), Some("available"));
    server.refuse_deletes(false);
    let started = control::commands::delete_image(&world.services, &admin(), image, "kept").await.unwrap();
    world.finish::<DeleteImage>(started.run_id).await;
    assert_eq!(server.keys("images/"), Vec::<String>::new());
    world.end().await;
}
