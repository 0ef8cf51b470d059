//! One watch each for all Jobs and their pods: it tells whoever waits for a job that something changed, and remembers how pods
//! ended that were deleted right afterwards. A change that it misses costs time, never correctness: waiters look again by
//! themselves.

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

use super::endings::is_over;
use super::names;

/// How often a waiter looks although nothing was told.
pub(super) const TICK: Duration = Duration::from_secs(30);
/// How many names wait for a slow listener; one that missed some takes it for a change.
const BACKLOG: usize = 1024;
/// How many ended pods are remembered.
const REMEMBERED: usize = 256;

/// Tells when something changed. Clones share the watches, which end with the last one.
#[derive(Clone)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    _tasks: Arc<JoinSet<()>>,
}

struct Shared {
    /// The names of jobs of which something changed.
    changed: broadcast::Sender<Arc<str>>,
    /// The last pods that ended, by name of the job; the oldest first.
    ended: Mutex<VecDeque<(Arc<str>, Pod)>>,
}

/// What one waiter hears of its job.
pub(super) struct Changes {
    name: String,
    told: broadcast::Receiver<Arc<str>>,
}

impl Watch {
    /// Watches a namespace.
    pub(super) fn start(client: Client, namespace: &str) -> Self {
        let shared =
            Arc::new(Shared { changed: broadcast::Sender::new(BACKLOG), ended: Mutex::new(VecDeque::new()) });
        let mut tasks = JoinSet::new();
        let (jobs, pods) = (Arc::clone(&shared), Arc::clone(&shared));
        tasks
            .spawn(watch::<Job>(Api::namespaced(client.clone(), namespace), move |name, _| jobs.tell(&name)));
        tasks.spawn(watch::<Pod>(Api::namespaced(client, namespace), move |name, pod| {
            if is_over(&pod) {
                pods.remember(&name, pod);
            }
            pods.tell(&name);
        }));
        Self { shared, _tasks: Arc::new(tasks) }
    }

    /// What is told about a job from now on.
    pub(super) fn changes(&self, name: &str) -> Changes {
        Changes { name: name.to_owned(), told: self.shared.changed.subscribe() }
    }

    /// The pod of the Job with that uid as it was when it ended, if that was seen here and not long ago.
    pub(super) fn ended_pod(&self, name: &str, uid: &str) -> Option<Pod> {
        let ended = self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().rev().find(|(of, pod)| &**of == name && belongs_to(pod, uid)).map(|(_, pod)| pod.clone())
    }
}

impl Shared {
    fn tell(&self, name: &Arc<str>) {
        // Nobody waits: fine.
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

/// Whether the Job with that uid made the pod.
pub(super) fn belongs_to(pod: &Pod, uid: &str) -> bool {
    pod.owner_references().iter().any(|owner| owner.uid == uid)
}

/// Calls `seen` with each version of each object of ours, and goes on for ever, more slowly while the cluster fails.
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
        tracing::debug!(error = %error, kind = %K::kind(&()), "a watch broke off; trying again");
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
    /// Forgets what was told so far: whoever looks now sees it.
    pub(super) fn clear(&mut self) {
        self.told = self.told.resubscribe();
    }

    /// Returns when something changed.
    pub(super) async fn changed(&mut self) {
        loop {
            match self.told.recv().await {
                Ok(name) if *name != *self.name => {}
                // A backlog that ran over may have held ours.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Returns when something changed, or when it is time to look all the same.
    pub(super) async fn changed_or(&mut self, wait: Duration) {
        // Either is a reason to look.
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
    fn the_oldest_ends_are_forgotten() {
        let watch = Watch { shared: Arc::new(shared()), _tasks: Arc::default() };
        for n in 0..=REMEMBERED {
            watch.shared.remember(&Arc::from(format!("t-{n}")), pod(n));
            watch.shared.remember(&Arc::from(format!("t-{n}")), pod(n));
        }
        assert!(watch.ended_pod("t-0", "job-0").is_none());
        assert!(watch.ended_pod("t-1", "job-1").is_some());
        assert!(watch.ended_pod("t-1", "a Job of the same name before it").is_none());
    }

    #[tokio::test]
    async fn a_waiter_hears_of_its_own_job_and_of_what_it_missed() {
        let watch = Watch { shared: Arc::new(shared()), _tasks: Arc::default() };
        let mut changes = watch.changes("mine");
        let heard = async |changes: &mut Changes| {
            tokio::time::timeout(Duration::from_millis(20), changes.changed()).await.is_ok()
        };
        watch.shared.tell(&Arc::from("other"));
        assert!(!heard(&mut changes).await);
        watch.shared.tell(&Arc::from("mine"));
        assert!(heard(&mut changes).await);
        watch.shared.tell(&Arc::from("mine"));
        changes.clear();
        assert!(!heard(&mut changes).await);
        for _ in 0..10 {
            watch.shared.tell(&Arc::from("other"));
        }
        assert!(heard(&mut changes).await, "what was missed may have been ours");
    }
}
