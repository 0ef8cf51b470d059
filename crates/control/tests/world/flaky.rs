//! Fault-injecting wrapper around the local platform: jobs and their event streams fail as they do in a cluster.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::agent::SECRET_STORE;
use model::{AgentEvent, EventBody, Failure, FailureCode, ImageType, InstanceId, PlatformKind};
use platform::local::LocalPlatform;
use platform::{
    Endpoint, ExposeSecret, Facts, Installation, InstanceSpec, Instances, JobEnd, JobSpec, JobState, Jobs,
    Result, Secret, ServerState,
};

/// The injected faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Streams omit the events with these numbers.
    pub(crate) omitted: Range<u64>,
    /// Ended jobs are missing, with their results. Tests of a store are not: without one, the world has no store.
    pub(crate) loses_results: bool,
    /// Every stream breaks after this many events.
    pub(crate) breaks_after: Option<usize>,
    /// How long after its launch an ended job is reported as running.
    pub(crate) delays_end: Duration,
    /// The unnumbered events at the start of every stream.
    pub(crate) unnumbered: Vec<EventBody>,
    /// Jobs never start: they are pending for this time and then end.
    pub(crate) never_starts: Option<(Duration, JobEnd)>,
    /// A second launch of a job fails, because the platform is unreachable.
    pub(crate) is_unreachable: bool,
}

/// The local platform with faults.
pub(crate) struct FlakyPlatform {
    inner: Arc<LocalPlatform>,
    faults: Faults,
    launched: Mutex<BTreeMap<String, Instant>>,
    unobservable: Mutex<Option<InstanceId>>,
    holds_jobs: AtomicBool,
    /// The options of the store that the job of each step got.
    stores: Mutex<BTreeMap<String, String>>,
}

impl FlakyPlatform {
    pub(crate) fn new(inner: Arc<LocalPlatform>, faults: Faults) -> Self {
        Self {
            inner,
            faults,
            launched: Mutex::default(),
            unobservable: Mutex::default(),
            holds_jobs: AtomicBool::new(false),
            stores: Mutex::default(),
        }
    }

    /// The names of all launched jobs.
    pub(crate) fn launched(&self) -> Vec<String> {
        self.launched.lock().unwrap().keys().cloned().collect()
    }

    /// The options of the store that the job of a step got.
    pub(crate) fn store_of(&self, step: &str) -> image::StoreOptions {
        let options = self.stores.lock().unwrap().get(step).cloned();
        image::StoreOptions::from_json(options.unwrap().as_bytes()).unwrap()
    }

    /// Makes the observation of a server fail from now on.
    pub(crate) fn fail_to_observe(&self, id: InstanceId) {
        *self.unobservable.lock().unwrap() = Some(id);
    }

    /// Keeps all jobs that are launched from now on from starting.
    pub(crate) fn hold_jobs(&self) {
        self.holds_jobs.store(true, Ordering::SeqCst);
    }

    fn holds_jobs(&self) -> bool {
        self.holds_jobs.load(Ordering::SeqCst)
    }

    async fn observe_server_or_fail(&self, id: InstanceId) -> Result<ServerState> {
        if *self.unobservable.lock().unwrap() == Some(id) {
            return Err(Failure::new(FailureCode::Internal, "the programs of PostgreSQL are missing").into());
        }
        self.inner.observe_server(id).await
    }

    fn launched_at(&self, name: &str) -> Option<Instant> {
        self.launched.lock().unwrap().get(name).copied()
    }

    /// When a job that never starts ends, and how.
    fn pending_until(&self, name: &str) -> Option<(Instant, JobEnd)> {
        let (pending, end) = self.faults.never_starts.clone()?;
        Some((self.launched_at(name)? + pending, end))
    }
}

#[async_trait]
impl Jobs for FlakyPlatform {
    async fn launch(&self, job: &JobSpec) -> Result<()> {
        if self.faults.is_unreachable && self.launched_at(&job.name).is_some() {
            return Err(Failure::new(FailureCode::ClusterUnreachable, "connection refused").into());
        }
        self.launched.lock().unwrap().entry(job.name.clone()).or_insert_with(Instant::now);
        if let Some(store) = job.secrets.get(SECRET_STORE) {
            let options = store.expose_secret().to_owned();
            self.stores.lock().unwrap().insert(job.task.step.clone(), options);
        }
        if self.faults.never_starts.is_some() || self.holds_jobs() {
            Ok(())
        } else {
            self.inner.launch(job).await
        }
    }

    async fn observe(&self, name: &str) -> Result<JobState> {
        match self.pending_until(name) {
            _ if self.holds_jobs() => return Ok(JobState::Pending(None)),
            Some((until, end)) if Instant::now() >= until => return Ok(JobState::Ended(end)),
            Some(_) => return Ok(JobState::Pending(None)),
            None => {}
        }
        let hides_end = self.launched_at(name).is_some_and(|at| at.elapsed() < self.faults.delays_end);
        Ok(match self.inner.observe(name).await? {
            JobState::Ended(_) if hides_end => JobState::Running,
            JobState::Ended(_) if self.faults.loses_results && !name.contains("-probe-") => JobState::Missing,
            state => state,
        })
    }

    async fn events(&self, name: &str, after: u64) -> Result<BoxStream<'static, Result<AgentEvent>>> {
        let unnumbered = self.faults.unnumbered.clone().into_iter();
        let first = futures::stream::iter(
            unnumbered.map(|body| Ok(AgentEvent { seq: 0, at: chrono::Utc::now(), body })),
        );
        if let Some((until, _)) = self.pending_until(name) {
            let rest =
                futures::stream::once(tokio::time::sleep_until(until.into())).filter_map(async |()| None);
            return Ok(first.chain(rest).boxed());
        }
        let omitted = self.faults.omitted.clone();
        let rest = self.inner.events(name, after).await?.filter(move |event| {
            let is_omitted = event.as_ref().is_ok_and(|event| omitted.contains(&event.seq));
            std::future::ready(!is_omitted)
        });
        let most = self.faults.breaks_after.unwrap_or(usize::MAX);
        Ok(first.chain(rest).take(most).boxed())
    }

    async fn jobs(&self) -> Result<Vec<String>> {
        self.inner.jobs().await
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        self.inner.stop(name, grace).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name).await
    }
}

/// Implements a trait by calling the inner platform.
macro_rules! delegate {
    ($trait:ident {
        $(fn $name:ident($($arg:ident: $type:ty),*) -> $returns:ty;)*
        $(async fn $async_name:ident($($async_arg:ident: $async_type:ty),*) -> $async_returns:ty;)*
    }) => {
        #[async_trait]
        impl $trait for FlakyPlatform {
            $(fn $name(&self, $($arg: $type),*) -> $returns {
                self.inner.$name($($arg),*)
            })*
            $(async fn $async_name(&self, $($async_arg: $async_type),*) -> $async_returns {
                delegate!(@call self $async_name $($async_arg),*)
            })*
        }
    };
    (@call $self:ident observe_server $id:ident) => {
        $self.observe_server_or_fail($id).await
    };
    (@call $self:ident $name:ident $($arg:ident),*) => {
        $self.inner.$name($($arg),*).await
    };
}

delegate!(Facts {
    fn kind() -> PlatformKind;
    fn identity() -> &str;
    fn place() -> &str;
    fn install_hint(major: Option<i32>) -> String;
    fn preload(image_type: ImageType) -> Vec<String>;
    fn unsupported_reason(image_type: ImageType, major: i32) -> Option<String>;
    fn port_forward_command(name: &str) -> Option<String>;
    async fn installations() -> Result<Vec<Installation>>;
    async fn free_bytes() -> Result<Option<u64>>;
    async fn read_secret(namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>>;
});

delegate!(Instances {
    fn data_dir(id: InstanceId) -> String;
    async fn instances() -> Result<Vec<InstanceId>>;
    async fn create_volume(spec: &InstanceSpec) -> Result<()>;
    async fn deploy_server(spec: &InstanceSpec, password: &Secret) -> Result<()>;
    async fn observe_server(id: InstanceId) -> Result<ServerState>;
    async fn endpoint(id: InstanceId) -> Result<Option<Endpoint>>;
    async fn start_server(id: InstanceId) -> Result<()>;
    async fn stop_server(id: InstanceId) -> Result<()>;
    async fn delete_server(id: InstanceId) -> Result<()>;
    async fn delete_volume(id: InstanceId) -> Result<()>;
});
