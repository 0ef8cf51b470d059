//! What the cluster reports about a job at one moment.

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use model::{Failure, FailureCode};

use crate::JobEnd;

/// Annotation of a Job that Toygres asked to stop.
pub(in crate::kubernetes) const STOPPED: &str = "toygres.io/stopped";
/// Annotation of a Job: its recorded end, because its pod is deleted.
pub(in crate::kubernetes) const END: &str = "toygres.io/end";
/// Label of a Job whose end was harvested. It is kept for `kubectl logs` only.
pub(in crate::kubernetes) const HARVESTED: &str = "toygres.io/harvested";

/// What the cluster reports about a job at one moment.
pub(in crate::kubernetes) struct JobSnapshot {
    /// The Job.
    pub(in crate::kubernetes) job: Job,
    /// Its pod, or the pod as it was when it ended.
    pub(in crate::kubernetes) pod: Option<Pod>,
    /// The events about the Job and the pod; read only while the job has not started.
    pub(in crate::kubernetes) events: Vec<Event>,
    /// The time of the snapshot, by this machine's clock.
    pub(in crate::kubernetes) now: Timestamp,
}

impl JobSnapshot {
    /// The end that was recorded on the Job.
    pub(super) fn recorded_end(&self) -> Option<JobEnd> {
        serde_json::from_str(self.job.annotations().get(END)?).ok()
    }

    /// Whether Toygres asked it to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.job.annotations().contains_key(STOPPED)
    }

    /// The failure of a job that Toygres stopped before it left a result.
    pub(super) fn stopped(&self) -> Option<Failure> {
        let failure = || self.failure(FailureCode::JobWithoutResult, "stopped before it left a result");
        self.is_stopped().then(failure)
    }

    /// The failure of a job that exceeded its time limit.
    pub(super) fn deadline_exceeded(&self) -> Option<Failure> {
        let failed = self.condition(&["Failed", "FailureTarget"])?;
        let seconds = self.job.spec.as_ref()?.active_deadline_seconds.unwrap_or_default();
        (failed.reason.as_deref() == Some("DeadlineExceeded")).then(|| {
            self.failure(
                FailureCode::JobDeadline,
                format!("stopped because its time limit of {seconds} s was exceeded"),
            )
        })
    }

    /// A failure of the job as a whole.
    pub(super) fn failure(&self, code: FailureCode, detail: impl Into<String>) -> Failure {
        Failure::new(code, detail).on(self.job.name_any())
    }

    /// A condition of one of these types that is true.
    pub(super) fn condition(&self, types: &[&str]) -> Option<&JobCondition> {
        condition(&self.job, types)
    }
}

fn condition<'a>(job: &'a Job, types: &[&str]) -> Option<&'a JobCondition> {
    let mut conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| types.contains(&&*condition.type_) && condition.status == "True")
}

/// Whether the Job has ended, with or without success.
pub(in crate::kubernetes) fn is_finished(job: &Job) -> bool {
    condition(job, &["Complete", "Failed"]).is_some()
}
