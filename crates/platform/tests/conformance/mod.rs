//! The behaviour of every platform: instances from the creation of their volume to its deletion, and jobs that run the real
//! agent. It uses nothing but the traits.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use model::agent::Connection;
use model::{
    AgentEvent, AgentTask, EventBody, ExitClass, FailureCode, ImageType, InstanceId, Level, TlsMode, Work,
};
use platform::{
    Endpoint, Facts, InstanceSpec, Instances, JobEnd, JobSpec, JobState, Jobs, Platform, Secret, ServerState,
    job_name,
};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// A value that must occur in secrets only.
pub(crate) const CANARY: &str = "canary-5up3rs3cr3t";

/// A platform under test.
pub(crate) type Tested = Arc<dyn Platform>;

/// Polls until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(150), polling)
        .await
        .unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// An instance of the newest version.
pub(crate) async fn spec(platform: &(impl Facts + ?Sized)) -> InstanceSpec {
    InstanceSpec {
        id: InstanceId::from(Uuid::now_v7()),
        name: "tested".to_owned(),
        major: platform.installations().await.expect("installations")[0].major,
        image_type: ImageType::Stock,
        trust_loopback: false,
        preload: vec![],
        username: "postgres".to_owned(),
        volume_bytes: None,
        dns_label: None,
    }
}

/// Connects to the server of an instance.
pub(crate) async fn connect(
    platform: &(impl Instances + ?Sized),
    id: InstanceId,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let endpoint = platform.endpoint(id).await.expect("endpoint").expect("a deployed server has one");
    connect_to(endpoint, password).await
}

/// Connects to a server.
pub(crate) async fn connect_to(
    endpoint: Endpoint,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(endpoint.host).port(endpoint.port).user("postgres").password(password).dbname("postgres");
    config.connect_timeout(Duration::from_secs(10));
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The state of a server that is neither starting nor waiting.
pub(crate) async fn settled(platform: &(impl Instances + ?Sized), id: InstanceId) -> ServerState {
    until("the server is neither starting nor waiting", async || {
        let state = platform.observe_server(id).await.expect("observe");
        (!matches!(state, ServerState::Starting(_) | ServerState::Waiting(_))).then_some(state)
    })
    .await
}

/// The life of an instance, with every call repeated. `reach` converts an endpoint into an address for this process.
pub(crate) async fn instances(
    platform: &(impl Facts + Instances + ?Sized),
    reach: impl AsyncFn(Endpoint) -> Endpoint,
) {
    let spec = spec(platform).await;
    let id = spec.id;
    let connect = async |password: &str| {
        let endpoint = platform.endpoint(id).await.expect("endpoint").expect("a deployed server has one");
        connect_to(reach(endpoint).await, password).await
    };
    assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Absent);
    for _ in 0..2 {
        platform.create_volume(&spec).await.expect("create the volume");
        assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Absent);
        assert_eq!(platform.endpoint(id).await.expect("endpoint"), None);
        assert_eq!(platform.instances().await.expect("instances"), [id]);
    }
    for _ in 0..2 {
        platform.deploy_server(&spec, &Secret::from(CANARY)).await.expect("deploy");
        assert_eq!(settled(platform, id).await, ServerState::Running);
    }
    let client = connect(CANARY).await.expect("connect");
    client.batch_execute("create table kept as select 42 as n").await.expect("write");
    let Err(refused) = connect("wrong").await else { panic!("a wrong password is accepted") };
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));

    let before = platform.endpoint(id).await.expect("endpoint");
    for _ in 0..2 {
        platform.stop_server(id).await.expect("stop");
        assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Stopped);
    }
    assert!(connect(CANARY).await.is_err(), "a stopped server accepts a client");
    for _ in 0..2 {
        platform.start_server(id).await.expect("start");
        assert_eq!(settled(platform, id).await, ServerState::Running);
    }
    assert_eq!(platform.endpoint(id).await.expect("endpoint"), before);

    for _ in 0..2 {
        platform.delete_server(id).await.expect("delete the server");
        assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Absent);
        assert_eq!(platform.endpoint(id).await.expect("endpoint"), None);
    }
    assert_eq!(platform.instances().await.expect("instances"), [id], "the volume is kept");
    platform.deploy_server(&spec, &Secret::from("another")).await.expect("deploy again");
    assert_eq!(settled(platform, id).await, ServerState::Running);
    let client = connect(CANARY).await.expect("a volume with data keeps its password");
    let kept: i32 = client.query_one("select n from kept", &[]).await.expect("read").get(0);
    assert_eq!(kept, 42);

    for _ in 0..2 {
        platform.delete_volume(id).await.expect("delete the volume");
        assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Absent);
    }
    assert_eq!(platform.instances().await.expect("instances"), []);
}

/// A version that is not available.
pub(crate) async fn unknown_version(platform: &(impl Facts + Instances + ?Sized)) {
    let spec = InstanceSpec { major: 8, ..spec(platform).await };
    platform.create_volume(&spec).await.expect("create the volume");
    let error = platform.deploy_server(&spec, &Secret::default()).await.expect_err("version 8");
    assert_eq!(error.code(), FailureCode::ProgramsMissing);
    assert_eq!(error.failure().subject.as_deref(), Some("PostgreSQL 8"));
    platform.delete_volume(spec.id).await.expect("delete the volume");
}

/// A job that waits `seconds` for a name that never resolves, then ends as unreachable.
pub(crate) fn waiting_job(seconds: u64) -> JobSpec {
    let run = Uuid::now_v7();
    let target = Connection {
        host: "nowhere.invalid".to_owned(),
        port: 5432,
        username: "postgres".to_owned(),
        database: "postgres".to_owned(),
        tls: TlsMode::Disable,
    };
    let work = Work::Probe { target, dns_seconds: seconds };
    JobSpec {
        name: job_name(run, "TestConnection", 1),
        task: AgentTask {
            run,
            step: "TestConnection".to_owned(),
            attempt: 1,
            work,
            log: None,
            network: None,
        },
        secrets: BTreeMap::from([("password".to_owned(), Secret::from(CANARY))]),
        volume: None,
        major: None,
        identity: None,
        deadline: Duration::from_secs(120),
    }
}

/// Waits for the end of a job.
pub(crate) async fn end_of(platform: &(impl Jobs + ?Sized), name: &str) -> JobEnd {
    until("the job ended", async || match platform.observe(name).await.expect("observe") {
        JobState::Ended(end) => Some(end),
        _ => None,
    })
    .await
}

/// All events, except those that are reported only while a job has not started.
async fn events(platform: &(impl Jobs + ?Sized), name: &str, after: u64) -> Vec<AgentEvent> {
    let stream = platform.events(name, after).await.expect("follow");
    let all = tokio::time::timeout(Duration::from_secs(60), stream.try_collect::<Vec<AgentEvent>>());
    let mut all = all.await.expect("the events end with the job").expect("events");
    let is_pending =
        |body: &EventBody| matches!(body, EventBody::Waiting(_) | EventBody::Log { level: Level::Warn, .. });
    all.retain(|event| event.seq > 0 || !is_pending(&event.body));
    all
}

/// The life of a job, followed while it runs and after its end.
pub(crate) async fn jobs(platform: &(impl Jobs + ?Sized)) {
    let job = waiting_job(1);
    assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
    let (first, second) = tokio::join!(platform.launch(&job), platform.launch(&job));
    first.expect("launch");
    second.expect("launch again");
    assert_eq!(platform.jobs().await.expect("jobs"), std::slice::from_ref(&job.name));

    let live = events(platform, &job.name, 0).await;
    let end = end_of(platform, &job.name).await;
    let result = end.result.expect("a result");
    assert_eq!((result.class(), end.code, end.failure), (ExitClass::Unreachable, Some(12), None));
    let numbers: Vec<u64> = live.iter().map(|event| event.seq).filter(|seq| *seq > 0).collect();
    assert!(numbers.len() >= 2, "a log line and the result at least: {live:?}");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "one job, without gaps");
    for after in 0..=numbers.len() as u64 {
        let later = events(platform, &job.name, after).await;
        let expected: Vec<_> = live.iter().filter(|event| event.seq > after || event.seq == 0).collect();
        assert_eq!(later.iter().collect::<Vec<_>>(), expected);
    }

    platform.launch(&job).await.expect("launch a job that ended");
    assert!(matches!(platform.observe(&job.name).await.expect("observe"), JobState::Ended(_)));
    let other = JobSpec { name: job.name.clone(), ..waiting_job(2) };
    let error = platform.launch(&other).await.expect_err("another task under this name");
    assert_eq!(error.code(), FailureCode::NotOwned);
    let subject = error.failure().subject.as_deref();
    assert!(subject.is_some_and(|subject| subject.ends_with(&job.name)), "{error:?}");

    for _ in 0..2 {
        platform.remove(&job.name).await.expect("remove");
        assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
    }
    assert_eq!(platform.jobs().await.expect("jobs"), Vec::<String>::new());
}

/// A job that is asked to stop ends with a result.
pub(crate) async fn stopping(platform: &(impl Jobs + ?Sized)) {
    let job = waiting_job(300);
    platform.stop(&job.name, Duration::ZERO).await.expect("stop a missing job");
    platform.launch(&job).await.expect("launch");
    let mut stream = platform.events(&job.name, 0).await.expect("follow");
    while stream.try_next().await.expect("events").expect("an event of the agent").seq == 0 {}
    platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
    let JobState::Ended(end) = platform.observe(&job.name).await.expect("observe") else {
        panic!("stop returned before the end")
    };
    assert_eq!(end.result.expect("a result").class(), ExitClass::Cancelled);
    assert_eq!(end.code, Some(143));
    platform.remove(&job.name).await.expect("remove");
}
