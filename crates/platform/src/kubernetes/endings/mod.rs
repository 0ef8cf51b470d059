//! From what the cluster says about a job to what Toygres makes of it: it waits, it works, it ended, in words and with a
//! consequence. Pure functions; they ask nobody.

mod died;
pub(super) mod waiting;

#[cfg(test)]
mod tests;

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::objects::job::{MAIN, TEMPLATE};
use crate::{JobEnd, JobState};

/// On a Job: somebody asked it to stop.
pub(super) const STOPPED: &str = "toygres.io/stopped";
/// On a Job: how it ended, written down because its pod does not stay.
pub(super) const END: &str = "toygres.io/end";
/// On a Job: its end was harvested, it is only kept for `kubectl logs`.
pub(super) const HARVESTED: &str = "toygres.io/harvested";
/// The most of somebody else's message that is quoted.
const QUOTED: usize = 600;

/// What is seen of a job at one moment.
pub(super) struct Sight {
    /// The Job.
    pub(super) job: Job,
    /// Its pod, or how that was when it ended.
    pub(super) pod: Option<Pod>,
    /// What was told about Job and pod; looked for only while it has not begun.
    pub(super) events: Vec<Event>,
    /// Now, by our clock.
    pub(super) now: Timestamp,
}

impl Sight {
    /// How the job is.
    pub(super) fn state(&self) -> JobState {
        if let Some(end) = self.written_end() {
            return JobState::Ended(end);
        }
        let Some(pod) = &self.pod else { return self.without_pod() };
        died::end_of(self, pod).map_or_else(|| waiting::state(self, pod), JobState::Ended)
    }

    fn written_end(&self) -> Option<JobEnd> {
        serde_json::from_str(self.job.annotations().get(END)?).ok()
    }

    fn without_pod(&self) -> JobState {
        let name = self.job.name_any();
        if let Some(words) = self.overdue() {
            return ended(format!("{words} It had not begun."), true);
        }
        // Until the cluster has heard of it, it may still make a pod.
        if self.is_stopped() && self.condition(&["Suspended", "Complete", "Failed"]).is_some() {
            return ended(format!("The job {name} was stopped before it left a result."), false);
        }
        if self.condition(&["Complete", "SuccessCriteriaMet"]).is_some() {
            let words =
                format!("The job {name} ended well, but its pod was deleted, and its result with it.");
            return ended(words, false);
        }
        if let Some(failed) = self.condition(&["Failed", "FailureTarget"]) {
            let words = format!(
                "The pod of the job {name} is gone: deleted by hand, or with its node ({}).",
                failed.reason.as_deref().unwrap_or("Failed")
            );
            return ended(words, false);
        }
        waiting::without_pod(self)
    }

    /// Whether somebody asked it to stop.
    fn is_stopped(&self) -> bool {
        self.job.annotations().contains_key(STOPPED)
    }

    /// Words for a job that took too long, if this one did.
    fn overdue(&self) -> Option<String> {
        let failed = self.condition(&["Failed", "FailureTarget"])?;
        let seconds = self.job.spec.as_ref()?.active_deadline_seconds.unwrap_or_default();
        (failed.reason.as_deref() == Some("DeadlineExceeded")).then(|| {
            format!(
                "The job {} took longer than the {seconds} s that its step gives it, and was ended.",
                self.job.name_any()
            )
        })
    }

    fn condition(&self, types: &[&str]) -> Option<&JobCondition> {
        condition(&self.job, types)
    }
}

fn ended(reason: String, fatal: bool) -> JobState {
    JobState::Ended(JobEnd { code: None, result: None, reason: Some(reason), fatal })
}

/// A true condition of one of these types.
fn condition<'a>(job: &'a Job, types: &[&str]) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.into_iter().find(|condition| types.contains(&&*condition.type_) && condition.status == "True")
}

/// Whether the Job itself has ended: kube's own condition for it waits for success only.
pub(super) fn is_finished(job: &Job) -> bool {
    condition(job, &["Complete", "Failed"]).is_some()
}

/// Whether a pod has ended: its agent's container will not run again.
pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
        || main_state(pod).is_some_and(|state| state.terminated.is_some())
}

/// The name of the container that runs the agent.
pub(super) fn main_container(pod: &Pod) -> Option<&str> {
    let first = || pod.spec.as_ref()?.containers.first().map(|container| container.name.as_str());
    pod.annotations().get(MAIN).map(String::as_str).or_else(first)
}

/// The init container that failed, if one did.
pub(super) fn failed_init(pod: &Pod) -> Option<&ContainerStatus> {
    let mut containers = pod.status.as_ref()?.init_container_statuses.iter().flatten();
    containers.find(|container| {
        let terminated = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        terminated.is_some_and(|terminated| terminated.exit_code != 0)
    })
}

fn main_state(pod: &Pod) -> Option<&ContainerState> {
    let name = main_container(pod)?;
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find(|container| container.name == name)?.state.as_ref()
}

/// The template that a pod was made from.
fn template(pod: &Pod) -> &str {
    pod.annotations().get(TEMPLATE).map_or("of the job", String::as_str)
}

fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(none)")
}

/// Somebody else's message as a part of our sentence: one line, not too long, without its full stop.
pub(super) fn quoted(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > QUOTED {
        line.truncate(line.floor_char_boundary(QUOTED - '…'.len_utf8()));
        line.push('…');
    }
    line.trim_end_matches('.').to_owned()
}
