//! The plain data of jobs: what to run, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{AgentResult, AgentTask, ExitClass, Failure, FailureCode, InstanceId};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The identity that the platform attests for a job, with which the job authenticates to its store without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreIdentity {
    /// Azure workload identity: the job's service account token is exchanged for a token of Microsoft Entra.
    Azure {
        /// The application (client) ID of the identity; if none, that of the webhook or the environment.
        client_id: Option<String>,
        /// The tenant ID; if none, that of the webhook or the environment.
        tenant_id: Option<String>,
        /// The authority that exchanges tokens; that of the public cloud if none.
        authority_host: Option<String>,
    },
    /// AWS web identity: the job's service account token is exchanged for credentials of a role.
    Aws {
        /// The ARN of the role to assume.
        role_arn: String,
        /// The STS endpoint; that of AWS if none.
        sts_endpoint: Option<String>,
    },
}

/// A job to run. Secrets reach the job as files, never as arguments or environment variables.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// The name, which identifies the job: see [`job_name`].
    pub name: String,
    /// The agent's task.
    pub task: AgentTask,
    /// The files below `TOYGRES_SECRETS`, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The instance whose volume the job writes (a restore).
    pub volume: Option<InstanceId>,
    /// The major version whose programs the job needs; the newest one if none.
    pub major: Option<i32>,
    /// The identity for a store that is accessed without a key.
    pub identity: Option<StoreIdentity>,
    /// The time limit.
    pub deadline: Duration,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// The job does not exist: it was never launched, or it was removed.
    Missing,
    /// It has not started. The failure is what it waits for, if that is not a normal part of a start; the job starts as soon
    /// as the cause is resolved, also if the code is permanent for other purposes.
    Pending(Option<Failure>),
    /// It runs.
    Running,
    /// It ended.
    Ended(JobEnd),
}

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "RecordedEnd")]
pub struct JobEnd {
    /// The exit code; none if the process disappeared.
    pub code: Option<i32>,
    /// The result that the agent left.
    pub result: Option<AgentResult>,
    /// What the platform knows of an end without a result, or of why it stopped the job.
    pub failure: Option<Failure>,
}

impl JobEnd {
    /// An end of which nothing but the failure is known.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self { code: None, result: None, failure: Some(failure) }
    }
}

/// The recorded form of a [`JobEnd`]: earlier versions recorded a text instead of a failure.
#[derive(Deserialize)]
struct RecordedEnd {
    #[serde(default)]
    code: Option<i32>,
    #[serde(default)]
    result: Option<AgentResult>,
    #[serde(default)]
    failure: Option<Failure>,
    #[serde(default)]
    reason: Option<String>,
}

impl From<RecordedEnd> for JobEnd {
    fn from(record: RecordedEnd) -> Self {
        let earlier = record.reason.map(|reason| Failure::new(FailureCode::Other, reason));
        Self { code: record.code, result: record.result, failure: record.failure.or(earlier) }
    }
}

/// The code for a process that exited without a result.
pub(crate) fn code_without_result(exit_code: i32) -> FailureCode {
    match ExitClass::of(exit_code) {
        ExitClass::Configuration => FailureCode::TaskInvalid,
        _ => FailureCode::JobWithoutResult,
    }
}

/// The name of a step's job: deterministic, so that the next worker finds the job that the previous one launched. A DNS
/// label of at most 52 characters.
#[must_use]
pub fn job_name(run: uuid::Uuid, step: &str, attempt: i32) -> String {
    let step: String = step.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("t-{}-{}-{attempt}", run.simple(), step.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_recorded_by_an_earlier_version_is_read() {
        let record = r#"{"code":137,"result":null,"reason":"The pod t-1 ran out of memory.","fatal":false}"#;
        let end: JobEnd = serde_json::from_str(record).expect("a record");
        let failure = Failure::new(FailureCode::Other, "The pod t-1 ran out of memory.");
        assert_eq!(end, JobEnd { code: Some(137), ..JobEnd::failed(failure) });
    }

    #[test]
    fn end_survives_json() {
        let end = JobEnd::failed(Failure::new(FailureCode::NodeLost, "node-7").on("t-1"));
        let text = serde_json::to_string(&end).expect("JSON");
        assert_eq!(serde_json::from_str::<JobEnd>(&text).expect("an end"), end);
    }

    #[test]
    fn only_an_exit_for_an_invalid_task_is_permanent() {
        assert!(code_without_result(10).is_permanent());
        for exit_code in [0, 1, 11, 12, 13, 20, 143] {
            assert!(!code_without_result(exit_code).is_permanent(), "{exit_code}");
        }
    }
}
