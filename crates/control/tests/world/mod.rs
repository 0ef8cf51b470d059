//! Toygres without HTTP, for tests of `control`.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod flaky;
pub(crate) mod object_server;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::workflows::{CreateImage, CreateInstance};
use control::{Config, Keyring, Maintenance, NetworkAccess, Services};
use model::image::NewImage;
use model::instance::NewInstance;
use model::{Actor, ImageId, InstanceId, Role, UserId};
use platform::local::{LocalConfig, LocalPlatform};
use platform::{Instances, Jobs, Platform};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use workflow::testing::{Fault, perform};
use workflow::{RunId, Workflow};

/// How many days log lines are kept.
pub(crate) const LOG_RETENTION_DAYS: i32 = 90;

/// The services on the state database of a test, and a local platform in a temporary directory.
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

    /// With a platform that wraps the local one.
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
        platform.make_store_dir().unwrap();
        let keys = Keyring::open(db, None, &dir.path().join("key")).await.unwrap();
        let services = Services::open(Config {
            db: db.clone(),
            platform: around(Arc::clone(&platform)),
            keys,
            default_store: Some((platform.store_url(), model::StoreAuth::Environment)),
            maintenance: Maintenance { log_retention_days: LOG_RETENTION_DAYS, ..Maintenance::default() },
            // Stores of tests are on this machine.
            network: NetworkAccess {
                allowed: vec!["127.0.0.0/8".parse().unwrap()],
                ..NetworkAccess::default()
            },
            require_fixed_clients: false,
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
        let started = control::commands::create_instance(&self.services, &admin(), new).await.unwrap();
        self.finish::<CreateInstance>(started.run_id).await;
        started.id
    }

    pub(crate) async fn image(&self, instance: InstanceId, name: &str) -> ImageId {
        let new = NewImage { name: name.to_owned(), instance_id: Some(instance), ..NewImage::default() };
        let started = control::commands::back_up(&self.services, &admin(), new).await.unwrap();
        self.finish::<CreateImage>(started.run_id).await;
        started.id
    }

    /// What holds after every ended run: no lock, no job, no secret without an owner, no object without an image.
    pub(crate) async fn ensure_clean(&self) -> anyhow::Result<()> {
        let db = self.services.db();
        let locks: i64 = sqlx::query_scalar("select count(*) from toygres.run_lock").fetch_one(db).await?;
        anyhow::ensure!(locks == 0, "{locks} locks remain");
        let orphans: i64 = sqlx::query_scalar(
            "select count(*) from toygres.secret where owner not in (select id from toygres.instance where status <> 'failed'
                 union select id from toygres.image where status <> 'failed') and kind <> 'instance-password'",
        )
        .fetch_one(db)
        .await?;
        anyhow::ensure!(orphans == 0, "{orphans} secrets remain");
        // The collector removes an ended job shortly after its run continued.
        let mut jobs = self.jobs_of_runs().await?;
        for _ in 0..100 {
            if jobs.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            jobs = self.jobs_of_runs().await?;
        }
        anyhow::ensure!(jobs.is_empty(), "jobs remain: {jobs:?}");
        let known: Vec<uuid::Uuid> =
            sqlx::query_scalar("select id from toygres.instance where status <> 'failed'")
                .fetch_all(db)
                .await?;
        for id in self.platform.instances().await? {
            anyhow::ensure!(known.contains(&id.0), "the volume of {id} remains");
        }
        let prefixes: Vec<String> =
            sqlx::query_scalar("select prefix from toygres.image where prefix is not null")
                .fetch_all(db)
                .await?;
        let store = image::Store::open(&self.platform.store_url(), &image::StoreOptions::default())?;
        for (key, _) in store.list("images").await? {
            anyhow::ensure!(
                prefixes.iter().any(|prefix| key.starts_with(prefix)),
                "the object {key} remains"
            );
        }
        Ok(())
    }

    /// The jobs on the platform without those of health checks, which belong to no run.
    async fn jobs_of_runs(&self) -> anyhow::Result<Vec<String>> {
        let jobs = self.platform.jobs().await?.into_iter();
        Ok(jobs.filter(|name| !name.contains("-probe-")).collect())
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        for id in self.platform.instances().await.unwrap() {
            self.platform.delete_volume(id).await.unwrap();
        }
        drop(self.dir);
    }
}

/// An admin in sudo mode.
pub(crate) fn admin() -> Actor {
    Actor {
        kind: model::ActorKind::Account,
        user: UserId::new(),
        name: "test".to_owned(),
        role: Role::Admin,
        sudo: true,
    }
}

/// The agent's program, which `cargo xtask test` builds; it is built here if it does not exist.
fn agent() -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let debug = target.ancestors().nth(2).unwrap();
    let agent = debug.join("toygres-agent");
    if !agent.exists() {
        assert!(
            std::process::Command::new(env!("CARGO"))
                .args(["build", "--workspace", "--bin", "toygres-agent"])
                .status()
                .unwrap()
                .success()
        );
    }
    agent
}

/// The status of a row; `None` if the row does not exist.
pub(crate) async fn status(db: &PgPool, table: &str, id: uuid::Uuid) -> Option<String> {
    let sql = format!("select status from toygres.{table} where id = $1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await.unwrap()
}
