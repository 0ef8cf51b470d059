//! What the code of a restored image, and the superuser of an instance, reach on this machine. The tests need a kernel with
//! Landlock.

mod conformance;
mod machine;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use conformance::{CANARY, Tested, connect, end_of, spec, waiting_job};
use machine::Machine;
use model::agent::Connection;
use model::{ImageId, ImageType, Location, TlsMode, Work};
use platform::local::LocalPlatform;
use platform::local::find_installations;
use platform::postgres_server::{EMBEDDED_USER, EmbeddedServer};
use platform::{InstanceSpec, JobSpec, Secret};

/// The file in which an attack lists what succeeded, in the directory of the server's data.
const LOOT: &str = "loot";

/// A machine with an instance, secrets, and a state database.
struct Target {
    machine: Machine,
    local: LocalPlatform,
    platform: Tested,
    source: InstanceSpec,
    state_database: EmbeddedServer,
}

impl Target {
    async fn new() -> Self {
        let machine = Machine::new();
        let local = machine.open().await;
        let platform = machine.platform().await;
        let installed = find_installations(&[]).await.expect("installations");
        let (dir, sockets) = (machine.dir.path().join("cms"), local.run_dir().join("cms"));
        let account = local.account().clone();
        let state_database =
            EmbeddedServer::ensure(&installed, &dir, &sockets, account).await.expect("a state database");
        let source = spec(&*platform).await;
        platform.deploy_server(&source, &Secret::from(CANARY)).await.expect("deploy");
        let target = Self { machine, local, platform, source, state_database };
        for secret in ["encryption.key", "store/precious"] {
            target.give(secret);
        }
        target
    }

    fn path(&self, name: &str) -> PathBuf {
        self.machine.dir.path().join(name)
    }

    /// Creates a file that the account of the instances owns, as where Toygres does not run as root.
    fn give(&self, name: &str) {
        let path = self.path(name);
        std::fs::write(&path, CANARY).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
        let store = std::os::unix::fs::MetadataExt::uid(&self.path("store").metadata().expect("the store"));
        chown(&path, Some(store), None).expect("give");
    }

    /// Commands that write the name of each secret that they read, of each file that they change, and of each process and
    /// port that they reach.
    async fn attack(&self) -> String {
        let endpoint = self.platform.endpoint(self.source.id).await.expect("endpoint").expect("deployed");
        let installed = self.platform.installations().await.expect("installations");
        let bin_dir = installed[0].bin_dir.clone().expect("a directory");
        let server = std::fs::read_to_string(self.path("cms/data/postmaster.pid")).expect("the server runs");
        let pid = server.lines().next().expect("a process").to_owned();
        let attempts = [
            ("key", format!("cat {}", self.path("encryption.key").display())),
            ("store", format!("cat {}", self.path("store/precious").display())),
            ("rows", format!("cat {}/PG_VERSION", self.platform.data_dir(self.source.id))),
            ("state", format!("cat {}/data/PG_VERSION", self.path("cms").display())),
            ("write", format!("echo x > {}", self.path("store/planted").display())),
            ("tmp", format!("echo x > /tmp/toygres-{pid} && rm /tmp/toygres-{pid}")),
            ("environment", format!("cat /proc/{pid}/environ")),
            ("signal", format!("kill -0 {pid}")),
            ("tcp", format!("bash -c 'exec 3<>/dev/tcp/{}/{}'", endpoint.host, endpoint.port)),
            ("udp", "bash -c 'exec 3<>/dev/udp/127.0.0.1/9'".to_owned()),
            // A server that trusted the account would execute its statements.
            ("socket", format!("{bin_dir}/pg_isready -h {}", self.state_database.socket_dir().display())),
            (
                "query",
                format!(
                    "{bin_dir}/psql -w -h {} -U {EMBEDDED_USER} -c 'select 1' postgres",
                    self.state_database.socket_dir().display()
                ),
            ),
        ];
        let attempts = attempts.map(|(name, command)| format!("( {command} ) && echo {name} >> {LOOT}"));
        format!("exec >/dev/null 2>&1; cat; {}; echo ran >> {LOOT}", attempts.join("; "))
    }

    /// A job whose directory has the password.
    fn job(&self, work: Work, volume: Option<&InstanceSpec>) -> JobSpec {
        let mut job = waiting_job(1);
        job.task.work = work;
        job.volume = volume.map(|spec| spec.id);
        job
    }

    async fn run(&self, job: &JobSpec) {
        self.platform.launch(job).await.expect("launch");
        let end = end_of(&*self.platform, &job.name).await;
        assert!(end.result.as_ref().is_some_and(|result| result.failure.is_none()), "{end:?}");
    }

    /// Backs up the instance and restores it into another one.
    async fn restored(&self) -> InstanceSpec {
        let endpoint = self.platform.endpoint(self.source.id).await.expect("endpoint").expect("deployed");
        let image = ImageId::new();
        let at = Location { store: self.local.store_url(), prefix: format!("images/{image}/1") };
        let source = Connection {
            host: endpoint.host,
            port: endpoint.port,
            username: "postgres".to_owned(),
            database: "postgres".to_owned(),
            tls: TlsMode::Disable,
        };
        let backup = Work::Backup {
            image,
            to: at.clone(),
            source,
            image_type: ImageType::Stock,
            databases: vec![],
            streams: 1,
            bin_dir: None,
            fixed_clients: false,
            previous: None,
        };
        self.run(&self.job(backup, None)).await;
        let copy = spec(&*self.platform).await;
        self.platform.create_volume(&copy).await.expect("create the volume");
        let restore = Work::Restore {
            from: at,
            data_dir: self.platform.data_dir(copy.id),
            superuser: "postgres".to_owned(),
            streams: 1,
            bin_dir: None,
            fixed_clients: false,
            manifest_sha256: None,
            preload: None,
        };
        self.run(&self.job(restore, Some(&copy))).await;
        copy
    }

    /// What an attack reached in the data directory of an instance.
    fn loot(&self, id: model::InstanceId) -> String {
        std::fs::read_to_string(Path::new(&self.platform.data_dir(id)).join(LOOT)).expect("the attack ran")
    }
}

#[tokio::test]
async fn code_in_an_image_and_superusers_of_instances_reach_their_own_files_only() {
    let target = Target::new().await;
    let attack = target.attack().await;

    // The same commands, as the same account, without a restriction: what they would reach.
    let free = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(free.path(), std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let mut shell = target.local.account().command(Path::new("/bin/sh"));
    shell.args(["-c", &attack]).stdin(std::process::Stdio::null()).current_dir(free.path());
    assert!(shell.status().await.expect("start sh").success());
    let loot = std::fs::read_to_string(free.path().join(LOOT)).expect("the attack ran");
    assert_eq!(loot, "key\nstore\nrows\nstate\nwrite\ntmp\nenvironment\nsignal\ntcp\nudp\nsocket\nran\n");

    std::fs::remove_file(target.path("store/planted")).expect("remove");

    // The constraint executes harmless code at the source, and the attack where the rows are restored.
    let client = connect(&*target.platform, target.source.id, CANARY).await.expect("connect");
    let program = attack.replace('\'', "''''");
    let trap = format!(
        "create function f(int) returns bool language sql as 'select true';
         create table t (i int check (f(i)));
         insert into t values (1);
         create or replace function f(int) returns bool language plpgsql as $f$
         begin execute 'copy (select 1) to program ''{program}'''; return true; end $f$"
    );
    client.batch_execute(&trap).await.expect("set the trap");
    let copy = target.restored().await;
    assert_eq!(target.loot(copy.id), "ran\n", "the restore");

    target.platform.deploy_server(&copy, &Secret::from(CANARY)).await.expect("deploy");
    std::fs::remove_file(Path::new(&target.platform.data_dir(copy.id)).join(LOOT)).expect("remove");
    let client = connect(&*target.platform, copy.id, CANARY).await.expect("connect");
    let program = attack.replace('\'', "''");
    client.batch_execute(&format!("copy (select 1) to program '{program}'")).await.expect("attack");
    // Instances may connect to other servers, which ask for a password.
    assert_eq!(target.loot(copy.id), "tcp\nudp\nran\n", "the instance");

    for id in [target.source.id, copy.id] {
        target.platform.delete_volume(id).await.expect("delete");
    }
    target.state_database.stop().await.expect("stop");
}

/// A parallel query needs shared memory between processes.
#[tokio::test]
async fn confined_instance_executes_parallel_queries() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&*platform).await;
    platform.deploy_server(&spec, &Secret::from(CANARY)).await.expect("deploy");
    let client = connect(&*platform, spec.id, CANARY).await.expect("connect");
    let parallel =
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
                    create table numbers as select generate_series(1, 100000) as n; analyze numbers";
    client.batch_execute(parallel).await.expect("prepare");
    let plan = client.query("explain analyze select sum(n) from numbers", &[]).await.expect("explain");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("Workers Launched: 2")), "{plan:#?}");
    platform.delete_volume(spec.id).await.expect("delete");
}
