//! The Kubernetes platform: instances are StatefulSets with a volume each, jobs are Jobs. It knows no state database, and
//! opens no connection to an instance.

mod api;
mod api_error;
mod clock;
mod config;
mod containers;
mod events;
mod instances;
mod job_status;
mod jobs;
mod log_lines;
mod logs;
mod names;
mod objects;
mod rejection;
mod scheduling;
mod secrets;
mod server_state;
mod snapshot;
mod templates;
mod waiting_report;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Resource};
use model::{AgentEvent, Failure, FailureCode, ImageType, InstanceId, PlatformKind};

pub use config::KubernetesConfig;

use crate::{
    Endpoint, Facts, Installation, InstanceSpec, Instances, JobSpec, JobState, Jobs, Result, Secret,
    ServerState,
};
use api_error::{ask, failed};
use clock::ClusterClock;
use templates::Templates;
use watch::Watch;

/// The shortest lifetime of a token that the API server issues, in seconds.
const SHORTEST_TOKEN: i64 = 600;

/// A namespace of a Kubernetes cluster as a platform. Clones share their state.
#[derive(Clone)]
pub struct KubernetesPlatform {
    client: Client,
    config: Arc<KubernetesConfig>,
    templates: Arc<Templates>,
    identity: String,
    watch: Watch,
    clock: ClusterClock,
}

impl KubernetesPlatform {
    /// Connects as the service account of this pod, or as KUBECONFIG specifies, and checks the settings.
    ///
    /// # Errors
    /// [`FailureCode::PlatformSettingsInvalid`] if the namespace does not exist or a template or setting is invalid,
    /// [`FailureCode::ClusterUnreachable`] if the API server does not answer.
    pub async fn open(config: KubernetesConfig) -> Result<Self> {
        let client = Client::try_default().await.map_err(|error| failed("Kubernetes cluster", error))?;
        Self::with_client(client, config).await
    }

    /// Like [`Self::open`], with a given client.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn with_client(client: Client, config: KubernetesConfig) -> Result<Self> {
        if config.token_seconds < SHORTEST_TOKEN {
            let detail = format!("{} s, but a token lives at least {SHORTEST_TOKEN} s", config.token_seconds);
            return Err(Failure::new(FailureCode::PlatformSettingsInvalid, detail)
                .on("TOYGRES_TOKEN_SECONDS")
                .into());
        }
        let clock = ClusterClock::default();
        let client = clock.watching(client);
        let templates = Templates::load(config.templates.as_deref())?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let subject = format!("namespace {}", config.namespace);
        let namespace = ask(&subject, namespaces.get_opt(&config.namespace)).await?;
        let uid = namespace.and_then(|namespace| namespace.metadata.uid).ok_or_else(|| {
            Failure::new(FailureCode::PlatformSettingsInvalid, "the namespace does not exist").on(subject)
        })?;
        Ok(Self {
            // The UID distinguishes it from namespaces of this name in other clusters.
            identity: format!("{}:{uid}", config.namespace),
            watch: Watch::start(client.clone(), &config.namespace),
            templates: Arc::new(templates),
            config: Arc::new(config),
            client,
            clock,
        })
    }

    /// The objects of one kind in the namespace of instances and jobs.
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }
}

#[async_trait]
impl Facts for KubernetesPlatform {
    fn kind(&self) -> PlatformKind {
        PlatformKind::Kubernetes
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn place(&self) -> &str {
        &self.config.namespace
    }

    fn install_hint(&self, major: Option<i32>) -> String {
        let version = major.map(|major| format!(" {major}")).unwrap_or_default();
        format!("Add a container image of PostgreSQL{version} to TOYGRES_POSTGRES_IMAGES.")
    }

    fn preload(&self, image_type: ImageType) -> Vec<String> {
        match image_type {
            ImageType::Stock => Vec::new(),
            ImageType::PgDurable => self.config.pg_durable_preload.clone(),
        }
    }

    fn unsupported_reason(&self, image_type: ImageType, major: i32) -> Option<String> {
        let missing =
            image_type == ImageType::PgDurable && !self.config.pg_durable_images.contains_key(&major);
        missing.then(|| {
            format!(
                "TOYGRES_PG_DURABLE_IMAGES has no container image with pg_durable for PostgreSQL {major}."
            )
        })
    }

    fn port_forward_command(&self, name: &str) -> Option<String> {
        let service = names::instance_object(name);
        let namespace = &self.config.namespace;
        let port = names::POSTGRES_PORT;
        Some(format!("kubectl port-forward --namespace {namespace} service/{service} 15432:{port}"))
    }

    async fn installations(&self) -> Result<Vec<Installation>> {
        let majors = self.config.postgres_images.keys().rev();
        Ok(majors
            .map(|major| Installation {
                major: *major,
                version: major.to_string(),
                bin_dir: None,
                extensions: None,
            })
            .collect())
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn read_secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>> {
        self.readable_secret(namespace, name).await
    }
}

#[async_trait]
impl Instances for KubernetesPlatform {
    async fn instances(&self) -> Result<Vec<InstanceId>> {
        self.instance_ids().await
    }

    async fn create_volume(&self, spec: &InstanceSpec) -> Result<()> {
        self.apply_volume(spec).await
    }

    fn data_dir(&self, _: InstanceId) -> String {
        objects::DATA_DIR.to_owned()
    }

    async fn deploy_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        self.apply_server(spec, password).await
    }

    async fn observe_server(&self, id: InstanceId) -> Result<ServerState> {
        self.state_of_server(id).await
    }

    async fn endpoint(&self, id: InstanceId) -> Result<Option<Endpoint>> {
        self.endpoint_of(id).await
    }

    async fn start_server(&self, id: InstanceId) -> Result<()> {
        self.scale(id, 1).await
    }

    async fn stop_server(&self, id: InstanceId) -> Result<()> {
        self.scale(id, 0).await
    }

    async fn delete_server(&self, id: InstanceId) -> Result<()> {
        self.remove_server(id).await
    }

    async fn delete_volume(&self, id: InstanceId) -> Result<()> {
        self.remove_volume(id).await
    }
}

#[async_trait]
impl Jobs for KubernetesPlatform {
    async fn jobs(&self) -> Result<Vec<String>> {
        self.job_names().await
    }

    async fn launch(&self, job: &JobSpec) -> Result<()> {
        self.launch_job(job).await
    }

    async fn observe(&self, name: &str) -> Result<JobState> {
        self.observe_job(name).await
    }

    async fn events(&self, name: &str, after: u64) -> Result<BoxStream<'static, Result<AgentEvent>>> {
        Ok(self.follow_job(name, after))
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        self.stop_job(name, grace).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.remove_job(name).await
    }
}
