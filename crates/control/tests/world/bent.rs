//! The local platform, but with the bad habits of a cluster: it forgets what jobs said and how they ended, lets streams
//! break off, and takes its time. It decides nothing by itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::{AgentEvent, EventBody, InstanceId, Level};
use platform::local::LocalPlatform;
use platform::{
    Endpoint, Installation, InstanceSpec, JobEnd, JobSpec, JobState, Platform, Result, Secret, ServerState,
};

/// The bad habits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    /// Events of these numbers do not come.
    pub(crate) forgets: Range<u64>,
    /// The results of jobs are lost.
    pub(crate) loses_results: bool,
    /// A stream breaks off after so many events.
    pub(crate) breaks_after: Option<usize>,
    /// For so long after its launch a job seems to run.
    pub(crate) seems_to_run: Duration,
    /// What every stream says first, without a number.
    pub(crate) says: Vec<String>,
    /// Jobs wait so long and end like this without having run.
    pub(crate) waits: Option<(Duration, JobEnd)>,
    /// Who looks for a job that was launched gets no answer.
    pub(crate) is_deaf: bool,
}

/// The local platform with bad habits.
pub(crate) struct Bent {
    inner: Arc<LocalPlatform>,
    habits: Mutex<Habits>,
    launched: Mutex<BTreeMap<String, Instant>>,
}

impl Bent {
    pub(crate) fn new(inner: Arc<LocalPlatform>, habits: Habits) -> Self {
        Self { inner, habits: Mutex::new(habits), launched: Mutex::default() }
    }

    pub(crate) fn launched(&self) -> Vec<String> {
        self.launched.lock().unwrap().keys().cloned().collect()
    }

    fn habits(&self) -> Habits {
        self.habits.lock().unwrap().clone()
    }

    fn wait_of(&self, name: &str) -> Option<(Instant, JobEnd)> {
        let (wait, end) = self.habits().waits?;
        Some((*self.launched.lock().unwrap().get(name)? + wait, end))
    }
}

/// Words without a number.
fn says(message: String) -> AgentEvent {
    AgentEvent { seq: 0, at: chrono::Utc::now(), body: EventBody::Log { level: Level::Info, message } }
}

#[async_trait]
impl Platform for Bent {
    async fn launch(&self, job: &JobSpec) -> Result<()> {
        let known = self.launched.lock().unwrap().contains_key(&job.name);
        if known && self.habits().is_deaf {
            return Err(platform::Error::Transient(anyhow::anyhow!("The cluster does not answer.")));
        }
        self.launched.lock().unwrap().entry(job.name.clone()).or_insert_with(Instant::now);
        if self.habits().waits.is_some() { Ok(()) } else { self.inner.launch(job).await }
    }

    async fn observe(&self, name: &str) -> Result<JobState> {
        match self.wait_of(name) {
            Some((until, end)) if Instant::now() >= until => return Ok(JobState::Ended(end)),
            Some(_) => return Ok(JobState::Pending("It waits for its image.".to_owned())),
            None => {}
        }
        let seems = self.launched.lock().unwrap().get(name).map(|at| *at + self.habits().seems_to_run);
        Ok(match self.inner.observe(name).await? {
            JobState::Ended(_) if seems.is_some_and(|until| Instant::now() < until) => JobState::Running,
            JobState::Ended(_) if self.habits().loses_results => JobState::Missing,
            state => state,
        })
    }

    async fn events(&self, name: &str, after: u64) -> Result<BoxStream<'static, Result<AgentEvent>>> {
        let habits = self.habits();
        let first = futures::stream::iter(habits.says.into_iter().map(|words| Ok(says(words))));
        if let Some((until, _)) = self.wait_of(name) {
            let rest =
                futures::stream::once(tokio::time::sleep_until(until.into())).filter_map(async |()| None);
            return Ok(first.chain(rest).boxed());
        }
        let kept = self.inner.events(name, after).await?.filter(move |event| {
            let forgotten = event.as_ref().is_ok_and(|event| habits.forgets.contains(&event.seq));
            std::future::ready(!forgotten)
        });
        let most = habits.breaks_after.unwrap_or(usize::MAX);
        Ok(first.chain(kept).take(most).boxed())
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn identity(&self) -> &str {
        self.inner.identity()
    }

    async fn installations(&self) -> Result<Vec<Installation>> {
        self.inner.installations().await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.inner.free_bytes().await
    }

    async fn create_volume(&self, spec: &InstanceSpec) -> Result<()> {
        self.inner.create_volume(spec).await
    }

    fn data_dir(&self, id: InstanceId) -> String {
        self.inner.data_dir(id)
    }

    async fn deploy_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        self.inner.deploy_server(spec, password).await
    }

    async fn observe_server(&self, id: InstanceId) -> Result<ServerState> {
        self.inner.observe_server(id).await
    }

    async fn endpoint(&self, id: InstanceId) -> Result<Option<Endpoint>> {
        self.inner.endpoint(id).await
    }

    async fn start_server(&self, id: InstanceId) -> Result<()> {
        self.inner.start_server(id).await
    }

    async fn stop_server(&self, id: InstanceId) -> Result<()> {
        self.inner.stop_server(id).await
    }

    async fn delete_server(&self, id: InstanceId) -> Result<()> {
        self.inner.delete_server(id).await
    }

    async fn delete_volume(&self, id: InstanceId) -> Result<()> {
        self.inner.delete_volume(id).await
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        self.inner.stop(name, grace).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name).await
    }

    async fn jobs(&self) -> Result<Vec<String>> {
        self.inner.jobs().await
    }

    async fn instances(&self) -> Result<Vec<InstanceId>> {
        self.inner.instances().await
    }

    fn how_to_get(&self, major: Option<i32>) -> String {
        self.inner.how_to_get(major)
    }

    async fn read_secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>> {
        self.inner.read_secret(namespace, name).await
    }
}
