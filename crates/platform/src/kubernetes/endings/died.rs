//! How a pod died: by its own word, or by what was done to it.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::ResourceExt;
use model::{AgentResult, ExitClass};

use super::{Sight, failed_init, is_over, main_container, main_state, node, quoted, template};
use crate::JobEnd;

/// How long after its grace a pod that was deleted may still be shown, in seconds; then its node does not answer.
const SILENCE: i64 = 120;

/// A way to die: words, and whether the next attempt would die the same way.
type Death = (String, bool);

/// How the job ended, if its pod did.
pub(super) fn end_of(sight: &Sight, pod: &Pod) -> Option<JobEnd> {
    if !is_over(pod) {
        let (words, fatal) = lost(sight, pod)?;
        return Some(JobEnd { code: None, result: None, reason: Some(words), fatal });
    }
    let ended = main_state(pod).and_then(|state| state.terminated.as_ref());
    let result = ended.and_then(result_of);
    let code = result.as_ref().map(|result| result.class.code()).or(ended.map(|ended| ended.exit_code));
    // What the agent says of itself counts, except that it was told to stop: then it matters who told it.
    if result.as_ref().is_some_and(|result| result.class != ExitClass::Cancelled || sight.is_stopped()) {
        return Some(JobEnd { code, result, reason: None, fatal: false });
    }
    let stopped = sight.is_stopped().then(|| {
        (format!("The job {} was stopped before it could leave a result.", sight.job.name_any()), false)
    });
    let (reason, fatal) = stopped
        .or_else(|| sight.overdue().map(|words| (words, true)))
        .or_else(|| disrupted(pod))
        .or_else(|| out_of_memory(pod, ended?))
        .or_else(|| deleted(pod))
        .or_else(|| init_failed(pod))
        .unwrap_or_else(|| by_itself(pod, ended));
    Some(JobEnd { code, result: None, reason: Some(reason), fatal })
}

fn result_of(ended: &ContainerStateTerminated) -> Option<AgentResult> {
    serde_json::from_str(ended.message.as_deref()?).ok()
}

/// Deleted, its grace long over, and still shown: nobody on its node answers.
fn lost(sight: &Sight, pod: &Pod) -> Option<Death> {
    let since = pod.metadata.deletion_timestamp.as_ref()?.0;
    (sight.now.duration_since(since).as_secs() > SILENCE).then(|| {
        let words = format!(
            "The node {} does not answer: the pod {} was to end and nobody says that it did. If the node is gone for good, delete it: kubectl delete node {0}",
            node(pod),
            pod.name_any()
        );
        (words, false)
    })
}

/// Taken away by the cluster, which says why.
fn disrupted(pod: &Pod) -> Option<Death> {
    let status = pod.status.as_ref()?;
    let (name, node) = (pod.name_any(), node(pod));
    let said = status.message.as_deref().map(quoted).unwrap_or_default();
    if status.reason.as_deref() == Some("Evicted") {
        let words = format!(
            "The pod {name} was evicted from the node {node}: {said}. If this happens again, set larger requests in {}, so that it gets a node with more room.",
            template(pod)
        );
        return Some((words, false));
    }
    let mut conditions = status.conditions.iter().flatten();
    let disrupted = conditions.find(|c| c.type_ == "DisruptionTarget" && c.status == "True")?;
    let cause = match disrupted.reason.as_deref().unwrap_or_default() {
        "PreemptionByScheduler" => {
            format!(
                "it had to make room for a pod of higher priority; set a priority class in {}",
                template(pod)
            )
        }
        "DeletionByTaintManager" => {
            format!("its node {node} stopped answering, or was given a taint that it does not tolerate")
        }
        "EvictionByEvictionAPI" => format!("its node {node} is being drained"),
        "DeletionByPodGC" => format!("its node {node} is gone"),
        "TerminationByKubelet" => format!("its node {node} ran short of something or is being shut down"),
        other => other.to_owned(),
    };
    let more = disrupted.message.as_deref().map(quoted).unwrap_or_default();
    Some((format!("The pod {name} was taken away: {cause} ({more})."), false))
}

fn out_of_memory(pod: &Pod, ended: &ContainerStateTerminated) -> Option<Death> {
    if ended.reason.as_deref() != Some("OOMKilled") {
        return None;
    }
    let mut containers = pod.spec.as_ref()?.containers.iter();
    let main = containers.find(|container| Some(container.name.as_str()) == main_container(pod))?;
    let limits = main.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory")).map_or("its node", |limit| limit.0.as_str());
    let words = format!(
        "The pod {} ran out of memory and was killed: it may use {limit}. Raise resources.limits.memory in {}.",
        pod.name_any(),
        template(pod)
    );
    Some((words, false))
}

fn deleted(pod: &Pod) -> Option<Death> {
    pod.metadata.deletion_timestamp.as_ref()?;
    Some((
        format!(
            "The pod {} was deleted while it worked: by hand, or with its node {}.",
            pod.name_any(),
            node(pod)
        ),
        false,
    ))
}

fn init_failed(pod: &Pod) -> Option<Death> {
    let init = failed_init(pod)?;
    let ended = init.state.as_ref()?.terminated.as_ref()?;
    let words = format!(
        "The agent could not be put in place: the container {} of the pod {} ended with code {}{}. Its image must hold /usr/local/bin/toygres-agent and /etc/ssl/certs/ca-certificates.crt: {}",
        init.name,
        pod.name_any(),
        ended.exit_code,
        said(ended),
        init.image
    );
    Some((words, true))
}

/// Nobody did anything to it.
fn by_itself(pod: &Pod, ended: Option<&ContainerStateTerminated>) -> Death {
    let name = pod.name_any();
    let Some(ended) = ended else {
        let status = pod.status.as_ref();
        let said = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
        let said = said.map_or_else(|| "it does not say why".to_owned(), quoted);
        return (format!("The pod {name} failed before its agent ended: {said}."), false);
    };
    let (code, said) = (ended.exit_code, said(ended));
    match (ended.reason.as_deref(), code) {
        (Some("StartError" | "ContainerCannotRun"), _) | (_, 126..=128) => {
            let words = format!(
                "The agent could not be started in the pod {name} (code {code}{said}). Does {} still run /agent/toygres-agent, for this processor?",
                template(pod)
            );
            (words, true)
        }
        (Some("ContainerStatusUnknown"), _) => (
            format!("How the pod {name} ended is not known: its node {} was started anew.", node(pod)),
            false,
        ),
        (_, 0) => (format!("The pod {name} ended well but left no result{said}."), false),
        (_, 129..) if ExitClass::of(code).code() != code => {
            (format!("The agent in the pod {name} was killed by signal {}{said}.", code - 128), false)
        }
        (_, code) => {
            let class = ExitClass::of(code);
            let known = if class.code() == code { format!(" ({class})") } else { String::new() };
            let words = format!(
                "The agent in the pod {name} ended with code {code}{known} and left no result{said}."
            );
            let fatal = known_class_is_final(class) && !known.is_empty();
            (words, fatal)
        }
    }
}

fn known_class_is_final(class: ExitClass) -> bool {
    matches!(class, ExitClass::Configuration | ExitClass::Authentication | ExitClass::Verification)
}

/// What a container's last words add.
fn said(ended: &ContainerStateTerminated) -> String {
    let words = ended.message.as_deref().map(quoted).filter(|words| !words.is_empty());
    words.map(|words| format!(": {words}")).unwrap_or_default()
}
