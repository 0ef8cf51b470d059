//! The configuration of a scratch server: its directories, parameters and clients.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::program_host::ProgramHost;
use crate::programs::Programs;
use crate::redact::Redactor;
use crate::run_as::RunAs;
use crate::session::{self, Access};
use crate::tools::Confinement;

/// What a scratch server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To load content fast. It is not durable until the server is stopped and synced, and the socket admits every client.
    Load,
    /// To verify that clients can log in with their passwords.
    VerifyLogin,
}

/// The configuration of a scratch server.
#[derive(Clone)]
pub(crate) struct ScratchConfig {
    pub(crate) programs: Programs,
    pub(crate) data_dir: PathBuf,
    /// A short, private directory for the socket and temporary files. The server can write it.
    pub(crate) socket_dir: PathBuf,
    /// The file of the server's log, which the server cannot replace.
    pub(crate) log: PathBuf,
    /// Where the server and initdb run.
    pub(crate) host: ProgramHost,
    /// The owner of its files, where the agent is root.
    pub(crate) run_as: Option<RunAs>,
    /// The role that initdb creates.
    pub(crate) bootstrap: String,
    /// The entries of `shared_preload_libraries`.
    pub(crate) preload: Vec<String>,
    /// Further parameters, such as those that an extension requires.
    pub(crate) settings: Vec<(String, String)>,
    /// The number of connections that load content in parallel.
    pub(crate) connections: usize,
    /// Removes secrets from the server's messages.
    pub(crate) redactor: Redactor,
}

impl ScratchConfig {
    /// The parameters of the server.
    pub(super) fn server_settings(&self, purpose: Purpose) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = [
            ("listen_addresses", ""),
            ("port", "5432"),
            ("unix_socket_permissions", "0700"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("lc_messages", "C"),
            // A failed statement may contain a password verifier.
            ("log_min_error_statement", "panic"),
            // The directory for shared memory belongs to all servers of the machine.
            ("dynamic_shared_memory_type", "mmap"),
            ("autovacuum", "off"),
            ("max_wal_senders", "0"),
            ("fsync", if purpose == Purpose::Load { "off" } else { "on" }),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
        set("unix_socket_directories", self.socket_dir.display().to_string());
        set("max_connections", (self.connections + 20).to_string());
        // The same level for both purposes: content is loaded with as little WAL as possible.
        set("wal_level", "minimal".to_owned());
        if purpose == Purpose::Load {
            for (name, value) in [
                ("full_page_writes", "off"),
                ("synchronous_commit", "off"),
                ("max_wal_size", "4GB"),
                ("checkpoint_timeout", "1h"),
                ("maintenance_work_mem", "256MB"),
                ("max_locks_per_transaction", "1024"),
                ("jit", "off"),
            ] {
                set(name, value.to_owned());
            }
        }
        if !self.preload.is_empty() {
            set("shared_preload_libraries", self.preload.join(","));
            // Background workers of libraries, such as schedulers, must not run.
            set("max_worker_processes", "0".to_owned());
        }
        all.extend(self.settings.iter().cloned());
        all
    }

    /// The files that the server reaches.
    pub(super) fn confinement(&self) -> Confinement {
        let write = vec![self.data_dir.clone(), self.socket_dir.clone()];
        Confinement { read: self.programs.dirs(), write }
    }

    /// The content of pg_hba.conf.
    pub(super) fn hba(&self, purpose: Purpose) -> String {
        let method = if purpose == Purpose::Load { "trust" } else { "scram-sha-256" };
        format!(
            "local all all {method}\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
        )
    }

    /// The value of PGOPTIONS for clients.
    pub(super) fn client_options(&self) -> String {
        let more =
            if self.programs.major >= 17 { " -c event_triggers=off -c transaction_timeout=0" } else { "" };
        format!("{}{more}", session::options(Access::Write))
    }

    /// The environment in which programs that use libpq connect as the role that initdb created.
    pub(super) fn libpq_env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("PGHOST", self.socket_dir.clone().into()),
            ("PGPORT", "5432".into()),
            ("PGUSER", self.bootstrap.clone().into()),
            ("PGPASSFILE", "/nonexistent".into()),
            ("TMPDIR", self.socket_dir.clone().into()),
            ("PGAPPNAME", "toygres".into()),
            ("PGOPTIONS", self.client_options().into()),
        ]
    }
}
