//! The record of an instance: its settings, in `instance.json`.

use std::path::PathBuf;

use anyhow::Context;
use model::InstanceId;
use serde::{Deserialize, Serialize};

use super::LocalPlatform;
use crate::Result;

/// The settings of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) major: i32,
    pub(super) port: u16,
    /// Whether the server should run, also after a restart of the machine.
    pub(super) up: bool,
    /// Whether a server was deployed on the volume.
    pub(super) deployed: bool,
    pub(super) trust_loopback: bool,
    pub(super) preload: Vec<String>,
}

impl LocalPlatform {
    pub(super) fn instance_dir(&self, id: InstanceId) -> PathBuf {
        self.data_dir.join("instances").join(id.to_string())
    }

    pub(super) fn record(&self, id: InstanceId) -> Result<Option<Record>> {
        self.account.read_json(&self.instance_dir(id).join("instance.json"))
    }

    pub(super) fn write_record(&self, id: InstanceId, record: &Record) -> Result<()> {
        let text = serde_json::to_vec_pretty(record).context("serialize an instance's record")?;
        self.account.write(&self.instance_dir(id).join("instance.json"), &text, 0o600)
    }

    /// Records that the instance has no server.
    pub(super) fn set_undeployed(&self, id: InstanceId) -> Result<()> {
        match self.record(id)? {
            Some(record) => self.write_record(id, &Record { up: false, deployed: false, ..record }),
            None => Ok(()),
        }
    }

    /// Records whether the server should run.
    pub(super) fn set_up(&self, id: InstanceId, up: bool) -> Result<()> {
        match self.record(id)? {
            Some(record) if record.up != up => self.write_record(id, &Record { up, ..record }),
            _ => Ok(()),
        }
    }
}
