//! The state of a job, from what the cluster reports about it. Pure functions; they make no calls.

mod pending;
mod pod;
mod snapshot;
mod terminated;
#[cfg(test)]
mod tests;

use model::FailureCode;

pub(super) use pod::{failed_init, has_started, is_over, main_container};
pub(super) use snapshot::{END, HARVESTED, JobSnapshot, STOPPED, is_finished};

use crate::{JobEnd, JobState};

impl JobSnapshot {
    /// The state of the job.
    pub(super) fn state(&self) -> JobState {
        if let Some(end) = self.recorded_end() {
            return JobState::Ended(end);
        }
        match &self.pod {
            Some(pod) => terminated::end_of(self, pod)
                .map_or_else(|| pending::state_with_pod(self, pod), JobState::Ended),
            None => self.end_without_pod().map_or_else(|| pending::state_without_pod(self), JobState::Ended),
        }
    }

    /// The end of a job whose pod does not exist; none if it may still get one.
    fn end_without_pod(&self) -> Option<JobEnd> {
        if let Some(failure) = self.deadline_exceeded() {
            return Some(JobEnd::failed(failure));
        }
        // Until the Job controller has processed the request to stop, it may still create a pod.
        if self.condition(&["Suspended", "Complete", "Failed"]).is_some()
            && let Some(failure) = self.stopped()
        {
            return Some(JobEnd::failed(failure));
        }
        if self.condition(&["Complete", "SuccessCriteriaMet"]).is_some() {
            let detail = "completed, but the pod was deleted before its result was read";
            return Some(JobEnd::failed(self.failure(FailureCode::JobWithoutResult, detail)));
        }
        let failed = self.condition(&["Failed", "FailureTarget"])?;
        let reason = failed.reason.as_deref().unwrap_or("Failed");
        let detail = format!("{reason}; the pod does not exist");
        Some(JobEnd::failed(self.failure(FailureCode::JobDeleted, detail)))
    }
}
