//! Instances as directories: `instance.json` holds the settings, `data` is the data directory.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use model::{Failure, FailureCode, ImageType, InstanceId};
use rustix::process::Signal;

use super::LocalPlatform;
use super::confinement::{Confinement, installation_dirs};
use super::hash::short_hash;
use super::installations::bin_dir;
use super::process::{self, Process};
use super::record::Record;
use crate::postgres_server::{PostgresServer, ProcessState, Startup};
use crate::{Error, InstanceSpec, Instances, Result, Secret};

/// The first port for instances: below the range that systems use for outgoing connections.
const FIRST_PORT: u16 = 15432;
/// The last port for instances.
const LAST_PORT: u16 = 25431;
/// How many ports a new instance tries if other programs use them.
const PORT_TRIES: usize = 5;

impl LocalPlatform {
    /// Writes the record of an instance, and returns it. A new instance is assigned a port.
    pub(super) async fn create_instance(&self, spec: &InstanceSpec) -> Result<Record> {
        // Until the record is written, another call would choose the same port.
        let _guard = self.shared.ports.lock().await;
        self.require_ours(spec.id)?;
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
        self.write_record(spec.id, &record)?;
        Ok(record)
    }

    /// Refuses an instance directory that has content, but no record.
    fn require_ours(&self, id: InstanceId) -> Result<()> {
        let dir = self.instance_dir(id);
        let ours = match std::fs::read_dir(&dir) {
            Ok(mut entries) => {
                dir.join("instance.json").exists()
                    || entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "instance.writing"))
            }
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if ours {
            return Ok(());
        }
        let detail = "the directory exists and was not created by Toygres";
        Err(Failure::new(FailureCode::NotOwned, detail).on(dir.display().to_string()).into())
    }

    /// A port on which no program listens and that no other instance has.
    async fn free_port(&self) -> Result<u16> {
        let mut assigned = BTreeSet::new();
        for id in self.instances().await? {
            assigned.extend(self.record(id)?.map(|record| record.port));
        }
        // The start differs between data directories: the port of another Toygres' stopped instance looks free.
        let ports = LAST_PORT - FIRST_PORT + 1;
        let start = short_hash(self.data_dir.as_os_str().as_bytes()) % u64::from(ports);
        let free = (FIRST_PORT..=LAST_PORT)
            .cycle()
            .skip(usize::try_from(start).unwrap_or_default())
            .take(ports.into())
            .filter(|port| !assigned.contains(port))
            .find(|port| is_free(*port));
        Ok(free.ok_or_else(|| {
            let detail = format!("no TCP port from {FIRST_PORT} to {LAST_PORT} is free");
            Failure::new(FailureCode::PlatformUnavailable, detail)
        })?)
    }

    /// The server of an instance.
    pub(super) async fn server(&self, id: InstanceId, record: &Record) -> Result<PostgresServer> {
        let dir = self.instance_dir(id);
        let bin_dir = bin_dir(&self.bin_dirs, record.major).await?;
        let (data_dir, log, tmp) = (dir.join("data"), dir.join("server.log"), dir.join("tmp"));
        let confinement = Confinement {
            agent_program: self.agent_program.clone(),
            read: installation_dirs(&bin_dir),
            write: vec![data_dir.clone(), log.clone(), tmp.clone(), self.socket_dir(record.port)],
            tmp,
        };
        let account = self.account.clone();
        Ok(PostgresServer { bin_dir, data_dir, log, account, confinement: Some(confinement) })
    }

    /// The directory of the socket of the instance that has this port.
    pub(super) fn socket_dir(&self, port: u16) -> PathBuf {
        self.run_dir().join(port.to_string())
    }

    pub(super) async fn deploy(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        let mut record = self.create_instance(spec).await?;
        let server = self.server(spec.id, &record).await?;
        if !server.exists() {
            server.init(&spec.username, password).await?;
        }
        if server.major() != Some(spec.major) {
            let found =
                server.major().map_or_else(|| "an unknown version".to_owned(), |major| major.to_string());
            let detail = format!("the data directory is of PostgreSQL {found}, not {}", spec.major);
            return Err(Failure::new(FailureCode::PlatformUnsupported, detail).on(&*spec.name).into());
        }
        let mut port_in_use = false;
        for _ in 0..PORT_TRIES {
            // Clients do not know the port before the first deployment: it can still be changed.
            port_in_use |=
                server.process_state() == ProcessState::Down && !record.deployed && !is_free(record.port);
            if std::mem::take(&mut port_in_use) {
                let _guard = self.shared.ports.lock().await;
                record.port = self.free_port().await?;
            }
            self.write_record(spec.id, &Record { up: true, ..record.clone() })?;
            match self.start(&record, &server).await? {
                Startup::Up => {
                    return self.write_record(spec.id, &Record { up: true, deployed: true, ..record });
                }
                Startup::PortInUse(errors) if record.deployed => return Err(port_taken(&record, errors)),
                // The other program may have ended meanwhile: PostgreSQL's report counts, not another check.
                Startup::PortInUse(_) => port_in_use = true,
            }
        }
        Err(port_taken(&record, format!("{PORT_TRIES} ports in a row are used by other programs")))
    }

    /// Starts the server if it should run and does not.
    pub(super) async fn resume_server(&self, id: InstanceId) -> Result<()> {
        let Some(record) = self.record(id)? else {
            return Err(Failure::new(
                FailureCode::VolumeLost,
                "the directory of the instance does not exist",
            )
            .on(self.instance_dir(id).display().to_string())
            .into());
        };
        if !record.up {
            return Ok(());
        }
        let server = self.server(id, &record).await?;
        if !server.exists() {
            return Err(Failure::new(FailureCode::VolumeLost, "the data directory does not exist")
                .on(server.data_dir.display().to_string())
                .into());
        }
        match self.start(&record, &server).await? {
            Startup::Up => Ok(()),
            Startup::PortInUse(errors) => Err(port_taken(&record, errors)),
        }
    }

    async fn start(&self, record: &Record, server: &PostgresServer) -> Result<Startup> {
        self.account.make_dir(&self.socket_dir(record.port), 0o700)?;
        server.configure(&self.settings(record), &hba(record.trust_loopback))?;
        server.try_start().await
    }

    fn settings(&self, record: &Record) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            // Only the address of the endpoint. PostgreSQL starts if it can bind any one of several addresses, and clients
            // might then reach another program at the endpoint.
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", record.port.to_string()),
            ("unix_socket_directories", self.socket_dir(record.port).display().to_string()),
            // The directory for shared memory belongs to all servers of the machine.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
            ("password_encryption", "scram-sha-256".to_owned()),
            ("logging_collector", "off".to_owned()),
            ("cluster_name", record.name.clone()),
        ];
        if !record.preload.is_empty() {
            settings.push(("shared_preload_libraries", record.preload.join(",")));
        }
        settings
    }

    /// Kills a server on this volume that [`PostgresServer::stop`] cannot stop: one that a killed job left, or one whose
    /// programs are not installed any more.
    pub(super) async fn kill_server(&self, id: InstanceId) -> Result<()> {
        let data_dir = self.instance_dir(id).join("data");
        let Some(text) = self.account.read_text(&data_dir.join("postmaster.pid")) else { return Ok(()) };
        let Some(pid) = text.lines().next().and_then(|line| line.trim().parse().ok()) else { return Ok(()) };
        let is_server = |server: &Process| process::serves(pid, &data_dir) && self.account.runs(*server);
        let Some(server) = Process::of(pid).filter(is_server) else { return Ok(()) };
        server.signal(Signal::QUIT);
        for _ in 0..200 {
            if !server.runs() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.kill();
        Ok(())
    }
}

fn port_taken(record: &Record, errors: String) -> Error {
    let subject = format!("port {} of {}", record.port, record.name);
    Failure::new(FailureCode::ServerStartFailed, errors).on(subject).into()
}

/// Whether no program listens on a port of the loopback address.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The content of `pg_hba.conf`. All clients connect over loopback, so it requires the password too, unless the instance has
/// background workers that connect over TCP without one.
fn hba(trust_loopback: bool) -> String {
    let loopback = if trust_loopback { "trust" } else { "scram-sha-256" };
    format!(
        "# Written by Toygres at each start.\n\
         local all all scram-sha-256\n\
         host all all 127.0.0.1/32 {loopback}\n\
         host all all ::1/128 {loopback}\n"
    )
}
