//! The credentials of jobs that write no image: they read, and create the objects of their own log.

use std::time::Duration;

use image::Reading;
use model::agent::Work;

use super::access::Opening;
use crate::error::Result;

/// How long a signature is valid after the deadline of its job: a job may wait for a node before it starts.
const SLACK: Duration = Duration::from_secs(3600);

/// Whether a job needs the credentials with which its store is written.
pub(crate) fn writes(work: &Work) -> bool {
    match work {
        Work::Backup { .. } | Work::ProbeStore { .. } => true,
        Work::Restore { .. } | Work::Verify { .. } | Work::Probe { .. } | Work::EmitLines { .. } => false,
    }
}

impl Opening {
    /// Replaces the credentials by those for a job that writes no image: the store's keys for reading, or a signature
    /// that is derived from its key or from the identity of the server. Other credentials are not changed.
    ///
    /// # Errors
    /// The key is invalid, or the service that signs does not respond.
    pub(crate) async fn for_reading(self, deadline: Duration) -> Result<Self> {
        if let Some(options) = self.reading {
            return Ok(Self { url: self.url, options, identity: None, reading: None });
        }
        let options = match self.options.for_reading(&self.url, deadline + SLACK).await? {
            Reading::Signed(options) => options,
            Reading::Unchanged => return Ok(self),
            Reading::Refused(failure) => {
                tracing::warn!(
                    store = self.url,
                    %failure,
                    "the identity of the server may not sign for jobs (Storage Blob Delegator): a job that only reads gets the identity of jobs"
                );
                return Ok(self);
            }
        };
        Ok(Self { options, identity: None, ..self })
    }
}
