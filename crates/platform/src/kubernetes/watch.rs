//! Watches all Jobs and their pods: notifies the waiters of a job of its changes, and remembers pods that ended, because they
//! may be deleted immediately. A missed change costs time, never correctness: waiters also poll.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::job_status::is_over;
use super::names;

/// How often a waiter polls without a notification.
pub(super) const TICK: Duration = Duration::from_secs(30);
/// How many notifications are buffered for a slow waiter. One that missed some assumes that its job changed.
const BACKLOG: usize = 1024;
/// How many pods that ended are remembered.
const REMEMBERED: usize = 256;

/// Notifies waiters of changes. Clones share the watches, which end with the last clone.
#[derive(Clone)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    _tasks: Arc<JoinSet<()>>,
}

struct Shared {
    /// The names of changed jobs.
    changed: broadcast::Sender<Arc<str>>,
    /// The last pods that ended, by name of the job, oldest first.
    ended: Mutex<VecDeque<(Arc<str>, Pod)>>,
}

/// The notifications about one job.
pub(super) struct Changes {
    name: String,
    receiver: broadcast::Receiver<Arc<str>>,
}

impl Watch {
    /// Starts to watch a namespace.
    pub(super) fn start(client: Client, namespace: &str) -> Self {
        let shared =
            Arc::new(Shared { changed: broadcast::Sender::new(BACKLOG), ended: Mutex::new(VecDeque::new()) });
        let mut tasks = JoinSet::new();
        let (jobs, pods) = (Arc::clone(&shared), Arc::clone(&shared));
        tasks.spawn(watch::<Job>(Api::namespaced(client.clone(), namespace), move |name, _| {
            jobs.notify(&name);
        }));
        tasks.spawn(watch::<Pod>(Api::namespaced(client, namespace), move |name, pod| {
            if is_over(&pod) {
                pods.remember(&name, pod);
            }
            pods.notify(&name);
        }));
        Self { shared, _tasks: Arc::new(tasks) }
    }

    /// The notifications about a job from now on.
    pub(super) fn changes(&self, name: &str) -> Changes {
        Changes { name: name.to_owned(), receiver: self.shared.changed.subscribe() }
    }

    /// The pod of the Job with this UID as it was when it ended, if that is remembered.
    pub(super) fn ended_pod(&self, name: &str, uid: &str) -> Option<Pod> {
        let ended = self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().rev().find(|(of, pod)| &**of == name && belongs_to(pod, uid)).map(|(_, pod)| pod.clone())
    }
}

impl Shared {
    fn notify(&self, name: &Arc<str>) {
        // An error means that there are no waiters.
        let _ = self.changed.send(Arc::clone(name));
    }

    fn remember(&self, name: &Arc<str>, mut pod: Pod) {
        pod.metadata.managed_fields = None;
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|(_, other)| other.uid() != pod.uid());
        if ended.len() >= REMEMBERED {
            ended.pop_front();
        }
        ended.push_back((Arc::clone(name), pod));
    }
}

/// Whether the pod belongs to the Job with this UID.
pub(super) fn belongs_to(pod: &Pod, uid: &str) -> bool {
    pod.owner_references().iter().any(|owner| owner.uid == uid)
}

/// Calls `seen` with each version of each object of a job. Never returns; retries with a back-off if the watch fails.
async fn watch<K>(api: Api<K>, mut seen: impl FnMut(Arc<str>, K) + Send)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let of_jobs = watcher::Config::default().labels(&format!("{},{}", names::ours(), names::JOB));
    let events = watcher(api, of_jobs).default_backoff().inspect_err(|error| {
        tracing::debug!(error = %error, kind = %K::kind(&()), "a watch was interrupted; retrying");
    });
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if let Ok(
            watcher::Event::Apply(object)
            | watcher::Event::InitApply(object)
            | watcher::Event::Delete(object),
        ) = event
            && let Some(name) = object.labels().get(names::JOB).map(|name| Arc::from(name.as_str()))
        {
            seen(name, object);
        }
    }
}

impl Changes {
    /// Discards the pending notifications: the caller observes the job next.
    pub(super) fn clear(&mut self) {
        self.receiver = self.receiver.resubscribe();
    }

    /// Returns when the job may have changed.
    pub(super) async fn changed(&mut self) {
        loop {
            match self.receiver.recv().await {
                Ok(name) if *name != *self.name => {}
                // The discarded notifications may have been about this job.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Returns when the job may have changed, or after `wait`.
    pub(super) async fn changed_or(&mut self, wait: Duration) {
        // The caller observes the job in both cases.
        let _ = tokio::time::timeout(wait, self.changed()).await;
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    use super::*;

    fn shared() -> Shared {
        Shared { changed: broadcast::Sender::new(4), ended: Mutex::new(VecDeque::new()) }
    }

    fn pod(uid: usize) -> Pod {
        let owner = OwnerReference { uid: format!("job-{uid}"), ..OwnerReference::default() };
        let metadata = ObjectMeta {
            uid: Some(uid.to_string()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        Pod { metadata, ..Pod::default() }
    }

    #[test]
    fn number_of_remembered_pods_is_limited() {
        let watch = Watch { shared: Arc::new(shared()), _tasks: Arc::default() };
        for n in 0..=REMEMBERED {
            watch.shared.remember(&Arc::from(format!("t-{n}")), pod(n));
            watch.shared.remember(&Arc::from(format!("t-{n}")), pod(n));
        }
        assert!(watch.ended_pod("t-0", "job-0").is_none());
        assert!(watch.ended_pod("t-1", "job-1").is_some());
        assert!(watch.ended_pod("t-1", "an earlier Job of the same name").is_none());
    }

    #[tokio::test]
    async fn waiter_is_notified_of_its_own_job_and_of_missed_notifications() {
        let watch = Watch { shared: Arc::new(shared()), _tasks: Arc::default() };
        let mut changes = watch.changes("mine");
        let notified = async |changes: &mut Changes| {
            tokio::time::timeout(Duration::from_millis(20), changes.changed()).await.is_ok()
        };
        watch.shared.notify(&Arc::from("other"));
        assert!(!notified(&mut changes).await);
        watch.shared.notify(&Arc::from("mine"));
        assert!(notified(&mut changes).await);
        watch.shared.notify(&Arc::from("mine"));
        changes.clear();
        assert!(!notified(&mut changes).await);
        for _ in 0..10 {
            watch.shared.notify(&Arc::from("other"));
        }
        assert!(notified(&mut changes).await, "a missed notification may have been about this job");
    }
}
