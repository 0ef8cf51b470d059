//! Instances as directories: `instance.json` says what they are to be, `data` is the cluster.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::Context;
use model::{ImageType, InstanceId};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::process::{self, Process};
use super::{LocalPlatform, installations};
use crate::cluster::{Cluster, Life};
use crate::{Error, InstanceSpec, Platform, Result, Secret};

/// The first port that instances are given; below the range from which systems give ports to clients.
const FIRST_PORT: u16 = 15432;
/// The last one.
const LAST_PORT: u16 = 25431;

/// What PostgreSQL says when its port is taken (instances log in English or in the words of their image's locale, and
/// then the next look at the port decides).
const NO_SOCKET: &str = "could not create any TCP/IP sockets";
/// How often a new instance is given another port when somebody else was quicker.
const PORT_TRIES: usize = 5;

/// What an instance is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    name: String,
    major: i32,
    pub(crate) port: u16,
    /// Whether it is to run, also after the machine's next start.
    pub(crate) up: bool,
    /// Whether a server was made on the volume.
    pub(crate) deployed: bool,
    trust_loopback: bool,
    preload: Vec<String>,
}

impl LocalPlatform {
    pub(crate) fn instance_dir(&self, id: InstanceId) -> PathBuf {
        self.data_dir.join("instances").join(id.to_string())
    }

    pub(crate) fn record(&self, id: InstanceId) -> Result<Option<Record>> {
        let path = self.instance_dir(id).join("instance.json");
        match std::fs::read(&path) {
            Ok(text) => {
                Ok(Some(serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(anyhow::Error::new(error).context(format!("read {}", path.display())).into()),
        }
    }

    fn write_record(&self, id: InstanceId, record: &Record) -> Result<()> {
        let text = serde_json::to_vec_pretty(record).context("write an instance's record")?;
        self.account.write(&self.instance_dir(id).join("instance.json"), &text, 0o600)
    }

    /// Forgets that there was a server: the volume is all that stays.
    pub(crate) fn undeploy(&self, id: InstanceId) -> Result<()> {
        match self.record(id)? {
            Some(record) => self.write_record(id, &Record { up: false, deployed: false, ..record }),
            None => Ok(()),
        }
    }

    pub(crate) fn set_up(&self, id: InstanceId, up: bool) -> Result<()> {
        match self.record(id)? {
            Some(record) if record.up != up => self.write_record(id, &Record { up, ..record }),
            _ => Ok(()),
        }
    }

    pub(crate) async fn make_instance(&self, spec: &InstanceSpec) -> Result<()> {
        // The port is given when the record is written; nobody else may choose in between.
        let _one = self.shared.ports.lock().await;
        self.refuse_foreign(spec.id)?;
        self.account.make_dir(&self.instance_dir(spec.id), 0o700)?;
        let (port, up, deployed) = match self.record(spec.id)? {
            Some(record) => (record.port, record.up, record.deployed),
            None => (self.free_port().await?, false, false),
        };
        let record = Record {
            name: spec.name.clone(),
            major: spec.major,
            port,
            up,
            deployed,
            trust_loopback: spec.trust_loopback || spec.image_type == ImageType::PgDurable,
            preload: spec.preload.clone(),
        };
        self.write_record(spec.id, &record)
    }

    /// A directory of that name that holds something, but no record of ours, is not ours.
    fn refuse_foreign(&self, id: InstanceId) -> Result<()> {
        let dir = self.instance_dir(id);
        let ours = match std::fs::read_dir(&dir) {
            Ok(mut entries) => {
                dir.join("instance.json").exists()
                    || entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "instance.writing"))
            }
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if ours {
            return Ok(());
        }
        Err(Error::Foreign(format!(
            "{} is there already and was not made by Toygres. Move it away and try again.",
            dir.display()
        )))
    }

    /// A port that nobody listens on and no other instance was given.
    async fn free_port(&self) -> Result<u16> {
        let mut given = BTreeSet::new();
        for id in self.instances().await? {
            given.extend(self.record(id)?.map(|record| record.port));
        }
        // Each data directory begins elsewhere: a stopped instance's port looks free to another Toygres.
        let mut hash = DefaultHasher::new();
        self.data_dir.hash(&mut hash);
        let ports = LAST_PORT - FIRST_PORT + 1;
        let skipped = hash.finish() % u64::from(ports);
        (FIRST_PORT..=LAST_PORT)
            .cycle()
            .skip(usize::try_from(skipped).unwrap_or_default())
            .take(ports.into())
            .filter(|port| !given.contains(port))
            .find(|port| is_free(*port))
            .ok_or_else(|| {
                Error::Impossible(format!(
                    "No port from {FIRST_PORT} to {LAST_PORT} is free for another instance."
                ))
            })
    }

    pub(crate) async fn cluster(&self, id: InstanceId, record: &Record) -> Result<Cluster> {
        let installed = installations::find(&self.bin_dirs).await?;
        let wanted = installed.into_iter().find(|installed| installed.major == record.major);
        let bin_dir = wanted.and_then(|installed| installed.bin_dir).ok_or_else(|| {
            Error::Impossible(format!(
                "PostgreSQL {major} is not installed on this machine. Install it: apt-get install postgresql-{major}",
                major = record.major
            ))
        })?;
        let dir = self.instance_dir(id);
        Ok(Cluster {
            bin_dir: bin_dir.into(),
            data_dir: dir.join("data"),
            log: dir.join("server.log"),
            account: self.account.clone(),
        })
    }

    pub(crate) async fn deploy(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        self.make_instance(spec).await?;
        let mut record = self.record(spec.id)?.context("the record that was just written")?;
        let cluster = self.cluster(spec.id, &record).await?;
        if !cluster.exists() {
            cluster.init(&spec.username, Some(password)).await?;
        }
        if cluster.major() != Some(spec.major) {
            let found = cluster.major().map_or_else(|| "no version".to_owned(), |major| major.to_string());
            return Err(Error::Impossible(format!(
                "The volume of {} holds a cluster of PostgreSQL {found}, not {}.",
                spec.name, spec.major
            )));
        }
        let mut lost = false;
        for _ in 0..PORT_TRIES {
            // Nobody was told its port before the first deployment, so that another one does as well.
            lost |= cluster.life() == Life::Down && !record.deployed && !is_free(record.port);
            if std::mem::take(&mut lost) {
                let _one = self.shared.ports.lock().await;
                record.port = self.free_port().await?;
            }
            self.write_record(spec.id, &Record { up: true, ..record.clone() })?;
            match self.bring_up(&record, &cluster).await {
                // Whoever was quicker may have gone again by now: PostgreSQL's word counts.
                Err(error) if !record.deployed && error.to_string().contains(NO_SOCKET) => lost = true,
                Err(error) => return Err(error),
                Ok(()) => return self.write_record(spec.id, &Record { up: true, deployed: true, ..record }),
            }
        }
        Err(Error::Transient(anyhow::anyhow!("Other programs took every port that {} was given.", spec.name)))
    }

    /// Starts the server if it is to run and does not.
    pub(crate) async fn resume_server(&self, id: InstanceId) -> Result<()> {
        let Some(record) = self.record(id)? else {
            return Err(Error::Impossible("The instance's directory is gone.".to_owned()));
        };
        if !record.up {
            return Ok(());
        }
        let cluster = self.cluster(id, &record).await?;
        if !cluster.exists() {
            return Err(Error::Impossible(format!("The volume of {} holds no cluster.", record.name)));
        }
        self.bring_up(&record, &cluster).await.map_err(|error| match error.to_string().contains(NO_SOCKET) {
            true => Error::Transient(anyhow::anyhow!(
                "Port {} of {} is taken by another program. End that program, then start the instance again.",
                record.port,
                record.name
            )),
            false => error,
        })
    }

    async fn bring_up(&self, record: &Record, cluster: &Cluster) -> Result<()> {
        cluster.configure(&self.settings(record), &hba(record.trust_loopback))?;
        cluster.start().await
    }

    fn settings(&self, record: &Record) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            // One address, the one that clients are told: PostgreSQL is content with any of several, and on the other
            // there might be somebody else.
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", record.port.to_string()),
            ("unix_socket_directories", self.run_dir().display().to_string()),
            ("password_encryption", "scram-sha-256".to_owned()),
            ("logging_collector", "off".to_owned()),
            ("cluster_name", record.name.clone()),
        ];
        if !record.preload.is_empty() {
            settings.push(("shared_preload_libraries", record.preload.join(",")));
        }
        settings
    }

    /// Ends a server on this volume that is not ours to stop in good order: a killed job's private one.
    pub(crate) async fn end_strangers(&self, id: InstanceId) -> Result<()> {
        let data_dir = self.instance_dir(id).join("data");
        let Ok(text) = std::fs::read_to_string(data_dir.join("postmaster.pid")) else { return Ok(()) };
        let Some(pid) = text.lines().next().and_then(|line| line.trim().parse().ok()) else { return Ok(()) };
        let Some(server) = Process::of(pid).filter(|_| process::serves(pid, &data_dir)) else {
            return Ok(());
        };
        server.signal(Signal::QUIT);
        for _ in 0..200 {
            if !server.runs() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        server.kill();
        Ok(())
    }
}

/// Whether nobody listens on a port of the loopback addresses.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Who may connect. Loopback is where everybody connects from here, so it asks for the password too; background workers
/// that connect over TCP need the trust lines.
fn hba(trust_loopback: bool) -> String {
    let loopback = if trust_loopback { "trust" } else { "scram-sha-256" };
    format!(
        "# Written by Toygres at each start.\n\
         local all all scram-sha-256\n\
         host all all 127.0.0.1/32 {loopback}\n\
         host all all ::1/128 {loopback}\n"
    )
}
