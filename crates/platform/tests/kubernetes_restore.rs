//! A backup and a restore in a real cluster, and what the code of the restored image reaches there.

mod conformance;
mod namespace;

use std::collections::BTreeMap;

use conformance::{CANARY, Tested, connect_to, end_of, settled, spec, waiting_job};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use model::agent::{Connection, SECRET_STORE};
use model::{AgentEvent, EventBody, FailureCode, ImageId, ImageType, Location, TlsMode, Work};
use namespace::{TestNamespace, in_namespace};
use platform::{InstanceSpec, JobEnd, JobSpec, Secret, ServerState};
use serde_json::json;

/// The file in which the attack lists what it reached, in the data directory.
const LOOT: &str = "loot";
/// What the attack looks for: where a container of a job has secrets, tokens and stores.
const SECRETS: &[&str] = &["/secrets", "/task", "/stores", "/var/run/secrets"];

/// Commands that write the name of each secret that exists, and variables with credentials. `test -e` also finds files that may
/// not be read.
fn attack() -> String {
    let paths = SECRETS.iter().map(|path| format!("test -e {path} && echo {path} >> {LOOT}"));
    let paths: Vec<String> = paths.collect();
    let variables = format!("env | grep -qE 'TOYGRES|PASS|TOKEN|AWS|AZURE|KEY' && echo variables >> {LOOT}");
    let processes = format!("ls -d /proc/[0-9]*/root/secrets >/dev/null 2>&1 && echo processes >> {LOOT}");
    format!("cat; {}; {variables}; {processes}; echo ran >> {LOOT}", paths.join("; "))
}

async fn deploy(platform: &Tested, spec: &InstanceSpec) {
    platform.create_volume(spec).await.expect("create the volume");
    platform.deploy_server(spec, &Secret::from(CANARY)).await.expect("deploy");
    assert_eq!(settled(&**platform, spec.id).await, ServerState::Running);
}

async fn client(namespace: &TestNamespace, platform: &Tested, spec: &InstanceSpec) -> tokio_postgres::Client {
    let endpoint = platform.endpoint(spec.id).await.expect("endpoint").expect("deployed");
    connect_to(namespace.reach(endpoint).await, CANARY).await.expect("connect")
}

/// A job with a password and the credentials of a store.
fn job(work: Work, volume: Option<&InstanceSpec>) -> JobSpec {
    let mut job = waiting_job(1);
    job.task.work = work;
    job.volume = volume.map(|spec| spec.id);
    job.major = Some(15);
    job.deadline = std::time::Duration::from_secs(240);
    job.secrets = BTreeMap::from([
        ("password".to_owned(), Secret::from(CANARY)),
        (SECRET_STORE.to_owned(), Secret::from("{}")),
    ]);
    job
}

async fn run(platform: &Tested, job: &JobSpec) -> JobEnd {
    platform.launch(job).await.expect("launch");
    end_of(&**platform, &job.name).await
}

fn succeeded(end: &JobEnd) {
    assert!(end.result.as_ref().is_some_and(|result| result.failure.is_none()), "{end:?}");
}

fn backup(at: &Location, image: ImageId, endpoint: platform::Endpoint) -> Work {
    let source = Connection {
        host: endpoint.host,
        port: endpoint.port,
        username: "postgres".to_owned(),
        database: "postgres".to_owned(),
        tls: TlsMode::Disable,
    };
    Work::Backup {
        image,
        to: at.clone(),
        source,
        image_type: ImageType::Stock,
        databases: vec![],
        streams: 1,
        bin_dir: None,
        fixed_clients: false,
        previous: None,
    }
}

fn restore(platform: &Tested, at: Location, into: &InstanceSpec) -> JobSpec {
    let work = Work::Restore {
        from: at,
        manifest_sha256: None,
        data_dir: platform.data_dir(into.id),
        superuser: "postgres".to_owned(),
        preload: None,
        streams: 1,
        bin_dir: None,
        fixed_clients: false,
    };
    job(work, Some(into))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn code_in_an_image_meets_no_secret() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let claim = json!({
            "metadata": {"name": "images"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        });
        namespace.create_object::<PersistentVolumeClaim>(claim).await;
        let source = spec(&*platform).await;
        deploy(&platform, &source).await;
        // The constraint executes harmless code at the source, and the attack where the rows are restored.
        let program = attack().replace('\'', "''''");
        let trap = format!(
            "create function f(int) returns bool language sql as 'select true';
             create table t (i int check (f(i)));
             insert into t values (1);
             create or replace function f(int) returns bool language plpgsql as $f$
             begin
               begin
                 perform pg_read_file('/secrets/store.json');
                 execute 'copy (select 1) to program ''cat; echo store.json >> {LOOT}''';
               exception when others then null;
               end;
               execute 'copy (select 1) to program ''{program}''';
               return true;
             end $f$"
        );
        client(namespace, &platform, &source).await.batch_execute(&trap).await.expect("set the trap");

        let image = ImageId::new();
        let at = Location { store: "pvc://images/deep".to_owned(), prefix: format!("images/{image}/1") };
        let endpoint = platform.endpoint(source.id).await.expect("endpoint").expect("deployed");
        succeeded(&run(&platform, &job(backup(&at, image, endpoint), None)).await);
        let copy = InstanceSpec { name: "copy".to_owned(), ..spec(&*platform).await };
        platform.create_volume(&copy).await.expect("create the volume");
        let restore = restore(&platform, at.clone(), &copy);
        succeeded(&run(&platform, &restore).await);
        let of_job = ListParams::default().labels(&format!("toygres.io/job={}", restore.name));
        let pod = namespace.all::<Pod>().list(&of_job).await.expect("list pods").items.pop().expect("a pod");
        let status = pod.status.and_then(|status| status.init_container_statuses).expect("init containers");
        let server = status.iter().find(|container| container.name == "postgres").expect("the sidecar");
        assert_eq!(server.restart_count, 0);
        platform.remove(&restore.name).await.expect("remove");

        platform.deploy_server(&copy, &Secret::from(CANARY)).await.expect("deploy");
        assert_eq!(settled(&*platform, copy.id).await, ServerState::Running);
        let client = client(namespace, &platform, &copy).await;
        let loot: String =
            client.query_one("select pg_read_file($1)", &[&LOOT]).await.expect("the attack ran").get(0);
        assert_eq!(loot, "ran\n");
        let found = reached_by_the_agent(namespace, at.clone()).await;
        assert_eq!(found, ["/secrets", "/task", "/stores", "variables", "processes", "ran"]);
        sidecar_that_cannot_start_is_explained(namespace, at).await;
    })
    .await;
}

/// What the same commands find in the container of the agent.
async fn reached_by_the_agent(namespace: &TestNamespace, image: Location) -> Vec<String> {
    let commands = format!("cd /tmp; ({}) </dev/null; cat {LOOT}; exit 11", attack());
    let (from, to) = ("[/agent/toygres-agent, run]", format!("[sh, -c, {}]", json!(commands)));
    let platform = namespace.open_with_template("restore-job.yaml", from, &to).await;
    let copy = InstanceSpec { name: "third".to_owned(), ..spec(&*platform).await };
    platform.create_volume(&copy).await.expect("create the volume");
    let job = restore(&platform, image, &copy);
    platform.launch(&job).await.expect("launch");
    let events = platform.events(&job.name, 0).await.expect("follow");
    let events: Vec<AgentEvent> = events.try_collect().await.expect("events");
    let messages = events.into_iter().filter_map(|event| match event.body {
        EventBody::Log { message, .. } => Some(message),
        _ => None,
    });
    messages.collect()
}

/// Restores the image with a container of the server that ends at once.
async fn sidecar_that_cannot_start_is_explained(namespace: &TestNamespace, image: Location) {
    let (from, to) = ("/server/control", "/nowhere/control");
    let platform = namespace.open_with_template("restore-job.yaml", from, to).await;
    let copy = InstanceSpec { name: "second".to_owned(), ..spec(&*platform).await };
    platform.create_volume(&copy).await.expect("create the volume");
    let end = run(&platform, &restore(&platform, image, &copy)).await;
    let failure = end.failure.expect("a failure");
    assert_eq!(failure.code, FailureCode::AgentNotStarted, "{failure}");
    assert!(failure.detail.contains("cannot listen"), "{failure}");
}
