//! A data directory for the tests of the local platform.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use platform::local::{LocalConfig, LocalPlatform};

use crate::conformance::Tested;

/// A data directory of its own, as on another machine.
pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        // If this process is root, PostgreSQL and jobs run as another account.
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), readable).expect("open the directory");
        Self { dir }
    }

    pub(crate) async fn open(&self) -> LocalPlatform {
        let platform = LocalPlatform::open(LocalConfig {
            data_dir: self.dir.path().to_owned(),
            agent_program: agent(),
            user: None,
            bin_dirs: vec![],
        })
        .await
        .expect("open the platform");
        platform.make_store_dir().expect("create the store");
        platform
    }

    pub(crate) async fn platform(&self) -> Tested {
        Arc::new(self.open().await)
    }

    /// The directory of a job.
    pub(crate) fn job(&self, name: &str) -> PathBuf {
        self.dir.path().join("jobs").join(name)
    }
}

/// The agent, built in the profile of the tests.
pub(crate) fn agent() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this program");
    let agent = exe.ancestors().nth(2).expect("the target directory").join("toygres-agent");
    if !agent.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = std::process::Command::new(cargo)
            .args(["build", "--workspace", "--bin", "toygres-agent"])
            .status();
        assert!(built.expect("start cargo").success(), "cargo build -p agent failed");
    }
    agent
}
