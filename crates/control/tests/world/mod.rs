//! A Toygres without HTTP, for tests of what happens below it. It knows no test.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod bent;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::workflows::{CreateImage, CreateInstance};
use control::{Config, Keyring, Services};
use model::image::NewImage;
use model::instance::NewInstance;
use model::{Actor, ImageId, InstanceId, Role, UserId};
use platform::Platform;
use platform::local::{LocalConfig, LocalPlatform};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use workflow::testing::{Fault, perform};
use workflow::{RunId, Workflow};

/// A Toygres without HTTP: the CMS of a test, a platform in a directory of its own.
pub(crate) struct World {
    pub(crate) services: Services,
    pub(crate) platform: Arc<LocalPlatform>,
    dir: tempfile::TempDir,
    stop: CancellationToken,
}

impl World {
    pub(crate) async fn new(db: &PgPool) -> Self {
        Self::on(db, |platform| platform).await
    }

    /// With another platform around the local one.
    pub(crate) async fn on<P: Platform>(
        db: &PgPool,
        around: impl FnOnce(Arc<LocalPlatform>) -> Arc<P>,
    ) -> Self {
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
            platform: around(Arc::clone(&platform)),
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

    pub(crate) fn pool(&self) -> String {
        self.services.platform_id().to_string()
    }

    pub(crate) async fn finish<W: Workflow<Services = Services>>(&self, run: model::RunId) {
        let state =
            perform::<W>(self.services.db(), self.services.clone(), &self.pool(), Fault::None, RunId(run.0))
                .await;
        assert_eq!(state.unwrap(), "succeeded");
    }

    pub(crate) async fn instance(&self, name: &str) -> InstanceId {
        let new = NewInstance { name: name.to_owned(), ..NewInstance::default() };
        let started = control::instances::create(&self.services, &somebody(), new).await.unwrap();
        self.finish::<CreateInstance>(started.run_id).await;
        started.id
    }

    pub(crate) async fn image(&self, instance: InstanceId, name: &str) -> ImageId {
        let new = NewImage { name: name.to_owned(), instance_id: Some(instance), ..NewImage::default() };
        let started = control::images::create(&self.services, &somebody(), new).await.unwrap();
        self.finish::<CreateImage>(started.run_id).await;
        started.id
    }

    /// What must hold after any run that has ended: no lock, no job, no secret without an owner, no object without an image.
    pub(crate) async fn is_clean(&self) -> anyhow::Result<()> {
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

    pub(crate) async fn end(self) {
        self.stop.cancel();
        for id in self.platform.instances().await.unwrap() {
            self.platform.delete_volume(id).await.unwrap();
        }
        drop(self.dir);
    }
}

pub(crate) fn somebody() -> Actor {
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

/// What a row of a table says of its status.
pub(crate) async fn status(db: &PgPool, table: &str, id: uuid::Uuid) -> Option<String> {
    let sql = format!("select status from toygres.{table} where id = $1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await.unwrap()
}
