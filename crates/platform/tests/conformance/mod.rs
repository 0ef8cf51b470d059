//! What every platform must do, whatever it is made of: instances from their volume to its end, and jobs that run the
//! real agent. It knows only the trait.
#![allow(dead_code, reason = "a test of a platform may run a part of the suite")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use model::agent::Connection;
use model::{AgentEvent, AgentTask, EventBody, ExitClass, ImageType, InstanceId, Level, TlsMode, Work};
use platform::{
    Endpoint, Error, InstanceSpec, JobEnd, JobSpec, JobState, Platform, Secret, ServerState, job_name,
};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// A value that must appear nowhere but in secrets.
pub(crate) const CANARY: &str = "canary-5up3rs3cr3t";

/// A platform under test.
pub(crate) type Tested = Arc<dyn Platform>;

/// An instance of the newest version.
pub(crate) async fn spec(platform: &Tested) -> InstanceSpec {
    let id = InstanceId::from(Uuid::now_v7());
    InstanceSpec {
        id,
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

/// Connects to an instance as a client of the platform.
pub(crate) async fn connect(
    platform: &Tested,
    id: InstanceId,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let endpoint = platform.endpoint(id).await.expect("endpoint").expect("a deployed server has one");
    connect_to(endpoint, password).await
}

/// Connects to where a server is.
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

/// Waits while a server is starting; where deploying waits itself, it is not.
pub(crate) async fn settled(platform: &Tested, id: InstanceId) -> ServerState {
    let look = async {
        loop {
            match platform.observe_server(id).await.expect("observe") {
                ServerState::Starting(_) | ServerState::Waiting(_) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                state => return state,
            }
        }
    };
    let Ok(state) = tokio::time::timeout(Duration::from_secs(120), look).await else {
        panic!("it is still {:?}", platform.observe_server(id).await)
    };
    state
}

/// From nothing to nothing, each call twice. `reach` says where to connect from here for an endpoint of the platform.
pub(crate) async fn instances(platform: &Tested, reach: impl AsyncFn(Endpoint) -> Endpoint) {
    let spec = spec(platform).await;
    let id = spec.id;
    let connect = async |password: &str| {
        let endpoint = platform.endpoint(id).await.expect("endpoint").expect("a deployed server has one");
        connect_to(reach(endpoint).await, password).await
    };
    let password = Secret::new(CANARY.to_owned());
    assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Absent);
    for _ in 0..2 {
        platform.create_volume(&spec).await.expect("create the volume");
        assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Absent);
        assert_eq!(platform.endpoint(id).await.expect("endpoint"), None);
        assert_eq!(platform.instances().await.expect("instances"), [id]);
    }
    for _ in 0..2 {
        platform.deploy_server(&spec, &password).await.expect("deploy");
        assert_eq!(settled(platform, id).await, ServerState::Running);
    }
    let client = connect(CANARY).await.expect("connect");
    client.batch_execute("create table kept as select 42 as n").await.expect("write");
    let Err(refused) = connect("wrong").await else { panic!("a wrong password is refused") };
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));

    let before = platform.endpoint(id).await.expect("endpoint");
    for _ in 0..2 {
        platform.stop_server(id).await.expect("stop");
        assert_eq!(platform.observe_server(id).await.expect("observe"), ServerState::Stopped);
    }
    assert!(connect(CANARY).await.is_err(), "a stopped server takes nobody");
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
    assert_eq!(platform.instances().await.expect("instances"), [id], "the volume stays");
    platform.deploy_server(&spec, &Secret::new("another".to_owned())).await.expect("deploy again");
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

/// A version that is not there is named.
pub(crate) async fn unknown_version(platform: &Tested) {
    let spec = InstanceSpec { major: 8, ..spec(platform).await };
    platform.create_volume(&spec).await.expect("create the volume");
    let error =
        platform.deploy_server(&spec, &Secret::default()).await.expect_err("there is no such version");
    assert!(matches!(&error, Error::Impossible(words) if words.contains("PostgreSQL 8")), "{error}");
    platform.delete_volume(spec.id).await.expect("delete the volume");
}

/// A job that waits for a name that will never resolve: for `seconds`, then it ends as unreachable.
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
        task: AgentTask { run, step: "TestConnection".to_owned(), attempt: 1, work, log: None },
        secrets: BTreeMap::from([("password".to_owned(), Secret::new(CANARY.to_owned()))]),
        volume: None,
        major: None,
        identity: None,
        deadline: Duration::from_secs(120),
    }
}

/// Waits until a job has ended.
pub(crate) async fn end_of(platform: &Tested, name: &str) -> JobEnd {
    let look = async {
        loop {
            if let JobState::Ended(end) = platform.observe(name).await.expect("observe") {
                return end;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("the job ends")
}

/// All events, but for what it waited for before it began: that is said only while it waits.
async fn events(platform: &Tested, name: &str, after: u64) -> Vec<AgentEvent> {
    let stream = platform.events(name, after).await.expect("follow");
    let all = tokio::time::timeout(Duration::from_secs(60), stream.try_collect::<Vec<AgentEvent>>());
    let mut all = all.await.expect("a job's events end with it").expect("events");
    all.retain(|event| event.seq > 0 || !matches!(event.body, EventBody::Log { level: Level::Warn, .. }));
    all
}

/// A job from launch to removal, followed live and afterwards.
pub(crate) async fn jobs(platform: &Tested) {
    let job = waiting_job(1);
    assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
    let (first, second) = tokio::join!(platform.launch(&job), platform.launch(&job));
    first.expect("launch");
    second.expect("launch again");
    assert_eq!(platform.jobs().await.expect("jobs"), std::slice::from_ref(&job.name));

    let live = events(platform, &job.name, 0).await;
    let end = end_of(platform, &job.name).await;
    let result = end.result.expect("a result");
    assert_eq!((result.class, end.code), (ExitClass::Unreachable, Some(12)));
    let numbers: Vec<u64> = live.iter().map(|event| event.seq).filter(|seq| *seq > 0).collect();
    assert!(numbers.len() >= 2, "a log line and the result at least: {live:?}");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "one job, gapless");
    for after in 0..=numbers.len() as u64 {
        let later = events(platform, &job.name, after).await;
        let expected: Vec<_> = live.iter().filter(|event| event.seq > after || event.seq == 0).collect();
        assert_eq!(later.iter().collect::<Vec<_>>(), expected);
    }

    platform.launch(&job).await.expect("launch what has ended");
    assert!(matches!(platform.observe(&job.name).await.expect("observe"), JobState::Ended(_)));
    let other = JobSpec { name: job.name.clone(), ..waiting_job(2) };
    let error = platform.launch(&other).await.expect_err("another task under that name");
    assert!(matches!(&error, Error::Foreign(words) if words.contains(&job.name)), "{error}");

    for _ in 0..2 {
        platform.remove(&job.name).await.expect("remove");
        assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
    }
    assert_eq!(platform.jobs().await.expect("jobs"), Vec::<String>::new());
}

/// A job that is asked to stop ends its work itself.
pub(crate) async fn stopping(platform: &Tested) {
    let job = waiting_job(300);
    platform.stop(&job.name, Duration::ZERO).await.expect("stop what is not there");
    platform.launch(&job).await.expect("launch");
    let mut stream = platform.events(&job.name, 0).await.expect("follow");
    while stream.try_next().await.expect("events").expect("it says what it does").seq == 0 {}
    platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
    let JobState::Ended(end) = platform.observe(&job.name).await.expect("observe") else {
        panic!("stop returns when it has ended")
    };
    assert_eq!(end.result.expect("a result").class, ExitClass::Cancelled);
    assert_eq!(end.code, Some(143));
    platform.remove(&job.name).await.expect("remove");
}
