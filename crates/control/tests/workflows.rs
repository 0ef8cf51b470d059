//! Every workflow meets every fault, on the real platform, with the real agent: and nothing is left of what failed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::workflows::{
    CreateImage, CreateInstance, DeleteImage, DeleteInstance, RestoreImage, VerifyImage,
};
use control::{Config, Keyring, Services};
use model::image::NewImage;
use model::instance::NewInstance;
use model::{Actor, ImageId, InstanceId, Role, UserId};
use platform::Platform;
use platform::local::{LocalConfig, LocalPlatform};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use workflow::testing::{Fault, meet_all_faults, perform};
use workflow::{Plan, RunId, Workflow};

/// What a change of which needs a new version, as long as runs of the old one live.
#[test]
fn the_lists_of_steps_are_what_runs_in_flight_expect() {
    let making = [
        "CreatePvc",
        "CreateInstanceRecord",
        "DeployPostgresFromPvc",
        "TestConnection",
        "UpdateInstanceStatus",
    ];
    let restoring = [
        "CreatePvc",
        "GetSourcePassword",
        "CreateInstanceRecord",
        "RunRestoreJob",
        "DeployPostgresFromPvc",
        "TestConnection",
        "UpdateInstanceStatus",
        "UpdateImageStatus",
    ];
    let backup =
        ["CreateImageRecord", "GetInstanceByK8sName", "RunBackupJob", "VerifyImage", "UpdateImageStatus"];
    let expected: [(Plan, &str, i32, &[&str]); 6] = [
        (Plan::of::<CreateImage>(), "create-image", 1, &backup),
        (Plan::of::<CreateInstance>(), "create-instance", 1, &making),
        (Plan::of::<RestoreImage>(), "restore-image", 1, &restoring),
        (
            Plan::of::<DeleteInstance>(),
            "delete-instance",
            1,
            &["DeletePostgres", "DeletePvc", "DeleteInstanceRecord"],
        ),
        (Plan::of::<DeleteImage>(), "delete-image", 1, &["DeleteImageObjects", "DeleteImageRecord"]),
        (Plan::of::<VerifyImage>(), "verify-image", 1, &["RunVerifyJob", "UpdateImageStatus"]),
    ];
    for (plan, name, version, steps) in expected {
        assert_eq!((plan.name, plan.version, &*plan.steps), (name, version, steps));
    }
}

/// A Toygres without HTTP: the CMS of a test, a platform in a directory of its own.
struct World {
    services: Services,
    platform: Arc<LocalPlatform>,
    dir: tempfile::TempDir,
    stop: CancellationToken,
}

impl World {
    async fn new(db: &PgPool) -> Self {
        let dir = tempfile::Builder::new().prefix("toygres-control-test-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = LocalConfig {
            data_dir: dir.path().join("data"),
            agent_program: agent(),
            user: None,
            bin_dirs: Vec::new(),
        };
        let platform = Arc::new(LocalPlatform::open(config).await.unwrap());
        let keys = Keyring::open(db, None, &dir.path().join("key")).await.unwrap();
        let services = Services::open(Config {
            db: db.clone(),
            platform: Arc::clone(&platform) as _,
            keys,
            default_store_url: Some(platform.store_url()),
            app_version: "test",
        })
        .await
        .unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(control::worker::beside(services.clone(), "test".to_owned(), stop.clone()));
        Self { services, platform, dir, stop }
    }

    fn pool(&self) -> String {
        self.services.platform_id().to_string()
    }

    async fn finish<W: Workflow<Services = Services>>(&self, run: model::RunId) {
        let state =
            perform::<W>(self.services.db(), self.services.clone(), &self.pool(), Fault::None, RunId(run.0))
                .await;
        assert_eq!(state.unwrap(), "succeeded");
    }

    async fn instance(&self, name: &str) -> InstanceId {
        let new = NewInstance { name: name.to_owned(), ..NewInstance::default() };
        let started = control::instances::create(&self.services, &somebody(), new).await.unwrap();
        self.finish::<CreateInstance>(started.run_id).await;
        started.id
    }

    async fn image(&self, instance: InstanceId, name: &str) -> ImageId {
        let new = NewImage { name: name.to_owned(), instance_id: Some(instance), ..NewImage::default() };
        let started = control::images::create(&self.services, &somebody(), new).await.unwrap();
        self.finish::<CreateImage>(started.run_id).await;
        started.id
    }

    /// What must hold after any run that has ended: no lock, no job, no secret without an owner, no object without an image.
    async fn is_clean(&self) -> anyhow::Result<()> {
        let db = self.services.db();
        let locks: i64 = sqlx::query_scalar("select count(*) from toygres.run_lock").fetch_one(db).await?;
        anyhow::ensure!(locks == 0, "{locks} locks are left");
        let orphans: i64 = sqlx::query_scalar(
            "select count(*) from toygres.secret where owner not in (select id from toygres.instance where status <> 'failed'
                 union select id from toygres.image where status <> 'failed') and kind <> 'instance-password'",
        )
        .fetch_one(db)
        .await?;
        anyhow::ensure!(orphans == 0, "{orphans} secrets are left");
        // The collector takes an ended job away a moment after its run went on.
        for _ in 0..100 {
            let runs: Vec<String> =
                self.platform.jobs().await?.into_iter().filter(|name| !name.contains("-probe-")).collect();
            if runs.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let jobs: Vec<String> =
            self.platform.jobs().await?.into_iter().filter(|name| !name.contains("-probe-")).collect();
        anyhow::ensure!(jobs.is_empty(), "jobs are left: {jobs:?}");
        let known: Vec<uuid::Uuid> =
            sqlx::query_scalar("select id from toygres.instance where status <> 'failed'")
                .fetch_all(db)
                .await?;
        for id in self.platform.instances().await? {
            anyhow::ensure!(known.contains(&id.0), "the volume of {id} is left");
        }
        let prefixes: Vec<String> =
            sqlx::query_scalar("select prefix from toygres.image where prefix is not null")
                .fetch_all(db)
                .await?;
        let store = image::Store::open(&self.platform.store_url(), &image::StoreOptions::default())?;
        for (key, _) in store.list("images").await? {
            anyhow::ensure!(
                prefixes.iter().any(|prefix| key.starts_with(prefix)),
                "the object {key} is left"
            );
        }
        Ok(())
    }

    async fn end(self) {
        self.stop.cancel();
        for id in self.platform.instances().await.unwrap() {
            self.platform.delete_volume(id).await.unwrap();
        }
        drop(self.dir);
    }
}

fn somebody() -> Actor {
    Actor { user: UserId::new(), name: "test".to_owned(), role: Role::Admin, sudo: true }
}

/// The agent that `cargo xtask test` has built; built here where it is missing.
fn agent() -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let debug = target.ancestors().nth(2).unwrap();
    let agent = debug.join("toygres-agent");
    if !agent.exists() {
        assert!(
            std::process::Command::new(env!("CARGO"))
                .args(["build", "-p", "agent"])
                .status()
                .unwrap()
                .success()
        );
    }
    agent
}

async fn status(db: &PgPool, table: &str, id: uuid::Uuid) -> Option<String> {
    let sql = format!("select status from toygres.{table} where id = $1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn making_an_instance(db: PgPool) {
    let world = World::new(&db).await;
    let number = std::cell::Cell::new(0);
    let made = std::cell::Cell::new(None);
    let begin = async |_| {
        number.set(number.get() + 1);
        let new = NewInstance { name: format!("made-{}", number.get()), ..NewInstance::default() };
        let started = control::instances::create(&world.services, &somebody(), new).await?;
        made.set(Some(started.id));
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let id = made.get().unwrap();
        let expected = if fault.ends() == "succeeded" { "running" } else { "failed" };
        anyhow::ensure!(
            status(&db, "instance", id.0).await.as_deref() == Some(expected),
            "the instance is not {expected}"
        );
        if expected == "running" {
            world.platform.delete_volume(id).await?;
            sqlx::query("delete from toygres.instance where id = $1").bind(id.0).execute(&db).await?;
        }
        world.is_clean().await
    };
    meet_all_faults::<CreateInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn making_verifying_and_deleting_an_image(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let number = std::cell::Cell::new(0);
    let made = std::cell::Cell::new(None);
    let name = || {
        number.set(number.get() + 1);
        format!("image-{}", number.get())
    };
    let begin = async |_| {
        let new = NewImage { name: name(), instance_id: Some(source), ..NewImage::default() };
        let started = control::images::create(&world.services, &somebody(), new).await?;
        made.set(Some(started.id));
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let expected = if fault.ends() == "succeeded" { "available" } else { "failed" };
        let found = status(&db, "image", made.get().unwrap().0).await;
        anyhow::ensure!(found.as_deref() == Some(expected), "the image is {found:?}, not {expected}");
        world.is_clean().await
    };
    meet_all_faults::<CreateImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    let kept = world.image(source, "kept").await;
    let begin =
        async |_| Ok(RunId(control::images::verify(&world.services, &somebody(), kept).await?.run_id.0));
    let check = async |_, _| {
        anyhow::ensure!(
            status(&db, "image", kept.0).await.as_deref() == Some("available"),
            "the image is not available"
        );
        world.is_clean().await
    };
    meet_all_faults::<VerifyImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    let begin = async |_| {
        let name = name();
        let id = world.image(source, &name).await;
        made.set(Some(id));
        Ok(RunId(control::images::delete(&world.services, &somebody(), id, &name).await?.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let found = status(&db, "image", made.get().unwrap().0).await;
        match (fault.ends(), found.as_deref()) {
            ("succeeded", None) => world.is_clean().await,
            // Nothing can be put back: what remains says that it is no image any more. When the row itself was gone already,
            // nothing remains to say so.
            ("failed" | "cancelled", Some("corrupt") | None) => Ok(()),
            (ends, found) => anyhow::bail!("after a run that {ends} the image is {found:?}"),
        }
    };
    meet_all_faults::<DeleteImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn restoring_an_image(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let image = world.image(source, "image").await;
    let number = std::cell::Cell::new(0);
    let made = std::cell::Cell::new(None);
    let begin = async |_| {
        number.set(number.get() + 1);
        let name = format!("restored-{}", number.get());
        let new = NewInstance { name, source_image_id: Some(image), ..NewInstance::default() };
        let started = control::instances::create(&world.services, &somebody(), new).await?;
        made.set(Some(started.id));
        // While it is read, an image is not deleted.
        let refused = control::images::delete(&world.services, &somebody(), image, "image").await;
        anyhow::ensure!(
            matches!(refused, Err(control::Error::Conflict(_))),
            "an image was deleted under a restore"
        );
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let id = made.get().unwrap();
        let expected = if fault.ends() == "succeeded" { "running" } else { "failed" };
        let found = status(&db, "instance", id.0).await;
        anyhow::ensure!(found.as_deref() == Some(expected), "the instance is {found:?}, not {expected}");
        if expected == "running" {
            world.platform.delete_volume(id).await?;
            sqlx::query("delete from toygres.instance where id = $1").bind(id.0).execute(&db).await?;
        }
        anyhow::ensure!(
            status(&db, "image", image.0).await.as_deref() == Some("available"),
            "the image suffered"
        );
        world.is_clean().await
    };
    meet_all_faults::<RestoreImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn secrets_open_only_where_they_belong(db: PgPool) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let keys = Keyring::open(&db, None, &file).await.unwrap();
    let (one, other) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let kind = control::secrets::Kind::InstancePassword;
    let mut connection = db.acquire().await.unwrap();
    keys.keep(&mut connection, kind, one, &platform::Secret::new("canary".to_owned())).await.unwrap();
    assert_eq!(keys.read(&db, kind, one).await.unwrap().unwrap().reveal(), "canary");
    // A sealed value that is moved to another row does not open there.
    sqlx::query("insert into toygres.secret (kind, owner, key_id, sealed) select kind, $2, key_id, sealed from toygres.secret where owner = $1")
        .bind(one)
        .bind(other)
        .execute(&db)
        .await
        .unwrap();
    assert!(keys.read(&db, kind, other).await.is_err());
    sqlx::query("delete from toygres.secret where owner = $1").bind(other).execute(&db).await.unwrap();
    // Another key, or none, is refused by the name of the right one.
    let wrong = Keyring::generate();
    let refused = Keyring::open(&db, Some(&wrong), &file).await.unwrap_err().to_string();
    assert!(refused.contains(keys.key_id()), "{refused}");
    let refused = Keyring::open(&db, None, &dir.path().join("missing")).await.unwrap_err().to_string();
    assert!(refused.contains(keys.key_id()), "{refused}");
    assert!(!dir.path().join("missing").exists());
    // After a rotation the new key opens everything and the old one nothing.
    let new = Keyring::parse(wrong.reveal()).unwrap();
    assert_eq!(keys.rotate(&db, &new).await.unwrap(), 1);
    assert_eq!(new.read(&db, kind, one).await.unwrap().unwrap().reveal(), "canary");
    assert!(keys.read(&db, kind, one).await.is_err());
    assert!(Keyring::open(&db, None, &file).await.is_err());
}
