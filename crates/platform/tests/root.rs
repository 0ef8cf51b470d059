//! Toygres as root follows nothing that the unprivileged account of instances and jobs controls. Without root there is no
//! difference between the two, and nothing to test.

mod conformance;
mod machine;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use conformance::{CANARY, end_of, spec, until, waiting_job};
use futures::TryStreamExt;
use machine::Machine;
use platform::local::LocalPlatform;
use platform::local::account::Account;
use platform::local::find_installations;
use platform::postgres_server::EmbeddedServer;
use platform::{InstanceSpec, Instances, Jobs, Secret};

/// Executes commands as the account of instances and jobs. Whether they succeed.
async fn as_account(local: &LocalPlatform, commands: &str) -> bool {
    let mut shell = local.account().command(Path::new("/bin/sh"));
    shell.args(["-c", commands]).stderr(std::process::Stdio::null());
    shell.status().await.expect("start sh").success()
}

/// A directory of root, with a file that only root can read.
fn precious() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secret");
    std::fs::write(&file, CANARY).expect("write");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    dir
}

/// Asserts that a directory of [`precious`] is as it was.
fn assert_untouched(dir: &Path) {
    let metadata = dir.metadata().expect("it exists");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o755));
    let names: Vec<_> = std::fs::read_dir(dir).expect("read").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["secret"]);
}

#[tokio::test]
#[ignore = "needs root"]
async fn directories_of_root_are_not_replaced() {
    let (machine, victim) = (Machine::new(), precious());
    let local = machine.open().await;
    let installed = find_installations(&[]).await.expect("installations");
    let (dir, sockets) = (machine.dir.path().join("cms"), local.run_dir().join("cms"));
    let account = local.account().clone();
    let server = EmbeddedServer::ensure(&installed, &dir, &sockets, account.clone()).await.expect("a server");
    server.stop().await.expect("stop");
    let run = local.run_dir();
    for name in ["run/cms", "jobs", "instances", "cms", "store"] {
        let path = machine.dir.path().join(name);
        assert!(!as_account(&local, &format!("mv {0} {0}.x", path.display())).await, "{name}");
    }
    // An earlier version let the account replace it.
    std::fs::rename(run.join("cms"), run.join("x")).expect("rename");
    symlink(victim.path(), run.join("cms")).expect("a link");
    let refused = EmbeddedServer::ensure(&installed, &dir, &sockets, account).await;
    assert!(refused.is_err(), "a link is not a directory of sockets");
    assert_untouched(victim.path());
}

#[tokio::test]
#[ignore = "needs root"]
async fn data_directory_that_became_a_link_is_not_written() {
    let (machine, victim) = (Machine::new(), precious());
    let local = machine.open().await;
    let spec: InstanceSpec = spec(&local).await;
    local.deploy_server(&spec, &Secret::from(CANARY)).await.expect("deploy");
    local.stop_server(spec.id).await.expect("stop");
    let data = platform::Instances::data_dir(&local, spec.id);
    let commands = format!("mv {data} {data}.x && ln -s {} {data}", victim.path().display());
    assert!(as_account(&local, &commands).await);
    local.start_server(spec.id).await.expect_err("the data directory is not that of a server");
    assert_untouched(victim.path());
    local.delete_volume(spec.id).await.expect("delete");
    assert_untouched(victim.path());
}

#[tokio::test]
#[ignore = "needs root"]
async fn log_of_a_job_that_became_a_link_is_not_read() {
    let (machine, victim) = (Machine::new(), precious());
    let local = machine.open().await;
    let job = waiting_job(300);
    local.launch(&job).await.expect("launch");
    let dir = machine.job(&job.name);
    until("the agent runs", async || dir.join("pid").exists().then_some(())).await;
    let secret = victim.path().join("secret");
    assert!(as_account(&local, &format!("ln -sf {} {}/stderr.log", secret.display(), dir.display())).await);
    local.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
    end_of(&local, &job.name).await;
    let events: Vec<_> =
        local.events(&job.name, 0).await.expect("follow").try_collect().await.expect("events");
    assert!(!events.is_empty() && !format!("{events:?}").contains(CANARY), "{events:?}");
    // A pipe that is never opened for writing would block a reader.
    assert!(as_account(&local, &format!("rm {0}/stderr.log && mkfifo {0}/stderr.log", dir.display())).await);
    let again: Vec<_> =
        local.events(&job.name, 0).await.expect("follow").try_collect().await.expect("events");
    assert_eq!(again.len(), events.len());
}

#[tokio::test]
#[ignore = "needs root"]
async fn process_of_another_account_is_not_killed() {
    let machine = Machine::new();
    let local = machine.open().await;
    let job = waiting_job(300);
    let dir = machine.job(&job.name);
    // A process of root, even with the job's environment.
    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .env(model::agent::ENV_RESULT, dir.join("result.json"))
        .spawn()
        .expect("start sleep");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).expect("it runs");
    let start = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).expect("its start");
    local.launch(&job).await.expect("launch");
    until("the agent runs", async || dir.join("pid").exists().then_some(())).await;
    let record = format!("{} {start}", other.id());
    assert!(as_account(&local, &format!("rm {0}/pid && echo '{record}' > {0}/pid", dir.display())).await);
    local.stop(&job.name, Duration::ZERO).await.expect("stop");
    assert_eq!(other.try_wait().expect("wait"), None, "it runs");
    local.remove(&job.name).await.expect("remove");
    assert_eq!(other.try_wait().expect("wait"), None, "it runs");
    other.kill().expect("kill");
    other.wait().expect("wait");
}

/// The account of an upgrade may differ from the one that created the directory.
#[tokio::test]
#[ignore = "needs root"]
async fn state_database_gets_another_account() {
    let (machine, victim) = (Machine::new(), precious());
    let local = machine.open().await;
    let installed = find_installations(&[]).await.expect("installations");
    let (dir, sockets) = (machine.dir.path().join("cms"), local.run_dir().join("cms"));
    let ensure = async |account: Account| {
        EmbeddedServer::ensure(&installed, &dir, &sockets, account).await.expect("a server")
    };
    ensure(local.account().clone()).await;
    symlink(victim.path().join("secret"), dir.join("data/link")).expect("a link");
    let other = Account::find(Some("daemon")).expect("an account");
    let server = ensure(other).await;
    let user = server_user(&dir);
    assert_ne!(user, machine.dir.path().join("store").metadata().expect("the store").uid());
    assert_eq!(dir.join("data/PG_VERSION").metadata().expect("a file").uid(), user);
    assert_eq!(victim.path().join("secret").metadata().expect("a file").uid(), 0);
    assert!(!as_account(&local, &format!("ls {}", dir.display())).await, "the account of instances reads it");
    server.stop().await.expect("stop");
}

/// The user that runs the server of this directory.
fn server_user(dir: &Path) -> u32 {
    let text = std::fs::read_to_string(dir.join("data/postmaster.pid")).expect("a server runs");
    let pid = text.lines().next().expect("a process");
    Path::new("/proc").join(pid).metadata().expect("a process").uid()
}
