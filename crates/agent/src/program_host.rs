//! Where the programs of a restore run: as children of the agent, or in another container of the pod, which has no secrets.

use std::path::PathBuf;

use anyhow::Result;
use model::FailureCode;
use uuid::Uuid;

use crate::programs::Programs;
use crate::run_as::RunAs;
use crate::shared_dirs::SharedDirs;
use crate::tools::{Confinement, Tool};
use crate::work_dir::WorkDir;

/// Where programs run that execute what an image contains.
#[derive(Clone, Debug)]
pub(crate) enum ProgramHost {
    /// As children of the agent, as another user where the agent is root. They are confined.
    Children(Option<RunAs>),
    /// In another container of the pod. `toygres-agent execute` confines them there.
    Container(SharedDirs),
}

impl ProgramHost {
    pub(crate) fn new(shared: Option<&SharedDirs>, run_as: Option<RunAs>) -> Self {
        shared.map_or(Self::Children(run_as), |shared| Self::Container(shared.clone()))
    }

    /// Prepares a program of PostgreSQL. As a child of the agent it reaches the files `within`; in another container those that
    /// the container's own command line lists.
    pub(crate) fn program(
        &self,
        programs: &Programs,
        name: &str,
        unspecific: FailureCode,
        within: &Confinement,
    ) -> Tool {
        match self {
            Self::Children(run_as) => Tool::confined(&programs.path(name), *run_as, unspecific, within),
            Self::Container(shared) => {
                Tool::relayed(&shared.server.join("control"), programs.major, name, unspecific)
            }
        }
    }

    /// Creates the directories for the server of a run.
    pub(crate) fn create_dirs(&self, run: Uuid) -> Result<ServerDirs> {
        let (run_as, shared) = match self {
            Self::Children(run_as) => (*run_as, None),
            Self::Container(SharedDirs { server, archives }) => {
                let shared = [server, archives].map(|parent| WorkDir::create_in(parent, run, None));
                let [server, archives] = shared;
                (None, Some((server?, archives?)))
            }
        };
        Ok(ServerDirs { own: WorkDir::create(run, run_as)?, shared, run_as })
    }
}

/// The directories of a scratch server and its clients. They are removed when dropped.
pub(crate) struct ServerDirs {
    /// The agent's own, which no program of PostgreSQL writes.
    own: WorkDir,
    /// Those for the server and for archives in another container.
    shared: Option<(WorkDir, WorkDir)>,
    run_as: Option<RunAs>,
}

impl ServerDirs {
    /// The directory for the socket and temporary files of the server, which the server can write.
    pub(crate) fn sockets(&self) -> Result<PathBuf> {
        match &self.shared {
            Some((server, _)) => Ok(server.path().to_owned()),
            None => self.own.socket_dir(self.run_as),
        }
    }

    /// The file of the server's log, which the server cannot replace.
    pub(crate) fn log(&self) -> PathBuf {
        self.own.path().join("server.log")
    }

    /// The file of an archive, which the server cannot replace.
    pub(crate) fn archive(&self) -> PathBuf {
        self.shared.as_ref().map_or(&self.own, |(_, archives)| archives).path().join("archive")
    }
}
