//! The Kubernetes platform: instances are StatefulSets on volumes of their own, jobs are Jobs. It knows no database of
//! Toygres' own, and opens no connection to an instance.

mod apply;
mod endings;
mod instances;
mod jobs;
mod log_lines;
mod logs;
mod names;
mod objects;
mod secrets;
mod server_state;
mod sight;
mod templates;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use model::{AgentEvent, ImageType, InstanceId};

use crate::{
    Endpoint, Error, Installation, InstanceSpec, JobSpec, JobState, Platform, Result, Secret, ServerState,
};
use templates::Templates;
use watch::Watch;

/// The shortest life of a token that the cluster gives out.
const SHORTEST_TOKEN: i64 = 600;

/// What the Kubernetes platform needs to know.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// Where instances and jobs live. Nothing else should: whoever may start a job there may read every secret of it.
    pub namespace: String,
    /// Where Toygres itself runs; its Secrets are never read.
    pub system_namespace: String,
    /// The Toygres image, from which jobs take the agent.
    pub agent_image: String,
    /// The PostgreSQL image of each major version.
    pub postgres_images: BTreeMap<i32, String>,
    /// The image of each major version for instances of type pg_durable.
    pub pg_durable_images: BTreeMap<i32, String>,
    /// `shared_preload_libraries` of instances of type pg_durable.
    pub pg_durable_preload: Vec<String>,
    /// The service account of jobs, which is not the server's.
    pub job_service_account: String,
    /// How long a token lives by which a job proves who it is, in seconds: at least 600. It is renewed before it ends.
    pub token_seconds: i64,
    /// How long a job stays after its end was harvested, in seconds: for `kubectl logs`.
    pub job_ttl_seconds: i32,
    /// The storage class of volumes; the cluster's default if none.
    pub storage_class: Option<String>,
    /// A directory whose templates replace the built-in ones of the same name.
    pub templates: Option<PathBuf>,
    /// The namespaces whose Secrets may be read, if these are labelled `toygres.io/readable=true`; never Toygres' own.
    pub secret_namespaces: Vec<String>,
}

/// A cluster.
#[derive(Clone)]
pub struct KubernetesPlatform {
    client: Client,
    config: Arc<KubernetesConfig>,
    templates: Arc<Templates>,
    identity: String,
    watch: Watch,
}

impl KubernetesPlatform {
    /// Connects as the service account of this pod, or as KUBECONFIG says, and checks the templates.
    ///
    /// # Errors
    /// There is no cluster, it does not answer, the namespace is missing, or a template is wrong.
    pub async fn open(config: KubernetesConfig) -> Result<Self> {
        let client = Client::try_default()
            .await
            .context("find the Kubernetes cluster (in a pod, or by KUBECONFIG)")?;
        Self::with_client(client, config).await
    }

    /// The same for a cluster that was found otherwise.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn with_client(client: Client, config: KubernetesConfig) -> Result<Self> {
        if config.token_seconds < SHORTEST_TOKEN {
            return Err(Error::Impossible(format!(
                "A job's token cannot live for {} s: at least {SHORTEST_TOKEN}.",
                config.token_seconds
            )));
        }
        let templates = Templates::load(config.templates.as_deref())?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace =
            namespaces.get_opt(&config.namespace).await.context("ask the cluster for the namespace")?;
        let uid = namespace.and_then(|namespace| namespace.metadata.uid).ok_or_else(|| {
            Error::Impossible(format!(
                "The namespace {0} is not there. Make it: kubectl create namespace {0}",
                config.namespace
            ))
        })?;
        Ok(Self {
            // Its uid tells this namespace from one of the same name in another cluster.
            identity: format!("{}:{uid}", config.namespace),
            watch: Watch::start(client.clone(), &config.namespace),
            templates: Arc::new(templates),
            config: Arc::new(config),
            client,
        })
    }

    /// The objects of one kind in the namespace of instances and jobs.
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }
}

#[async_trait]
impl Platform for KubernetesPlatform {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn place(&self) -> &str {
        &self.config.namespace
    }

    fn how_to_get(&self, major: Option<i32>) -> String {
        let version = major.map(|major| format!(" {major}")).unwrap_or_default();
        format!("Add an image of PostgreSQL{version} to the server's table of PostgreSQL images.")
    }

    fn preload(&self, image_type: ImageType) -> Vec<String> {
        match image_type {
            ImageType::Stock => Vec::new(),
            ImageType::PgDurable => self.config.pg_durable_preload.clone(),
        }
    }

    fn lacks(&self, image_type: ImageType, major: i32) -> Option<String> {
        let missing =
            image_type == ImageType::PgDurable && !self.config.pg_durable_images.contains_key(&major);
        missing.then(|| {
            format!(
                "No image with pg_durable is configured for PostgreSQL {major}. Add one to the server's table of \
                 pg_durable images."
            )
        })
    }

    fn way_in(&self, name: &str) -> Option<String> {
        let service = names::instance_object(name);
        let namespace = &self.config.namespace;
        Some(format!("kubectl port-forward --namespace {namespace} service/{service} 15432:5432"))
    }

    async fn installations(&self) -> Result<Vec<Installation>> {
        let images = self.config.postgres_images.keys().rev();
        Ok(images
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

    async fn jobs(&self) -> Result<Vec<String>> {
        self.job_names().await
    }

    async fn instances(&self) -> Result<Vec<InstanceId>> {
        self.instance_ids().await
    }

    async fn read_secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>> {
        self.readable_secret(namespace, name).await
    }
}
