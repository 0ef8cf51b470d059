//! The settings of a Kubernetes platform.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The settings of a Kubernetes platform.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// The namespace of instances and jobs, and of nothing else: anyone who can create Jobs in this namespace can read all of
    /// its Secrets.
    pub namespace: String,
    /// The namespace of Toygres itself. Its Secrets are never read.
    pub system_namespace: String,
    /// The Toygres container image, from which jobs copy the agent.
    pub agent_image: String,
    /// The PostgreSQL container image of each major version.
    pub postgres_images: BTreeMap<i32, String>,
    /// The container image of each major version for instances of type pg_durable.
    pub pg_durable_images: BTreeMap<i32, String>,
    /// `shared_preload_libraries` of instances of type pg_durable.
    pub pg_durable_preload: Vec<String>,
    /// The service account of jobs, which is not the server's.
    pub job_service_account: String,
    /// The lifetime of the token with which a job authenticates to its store, in seconds: at least 600. The kubelet renews
    /// the token before it expires.
    pub token_seconds: i64,
    /// How long a job is kept for `kubectl logs` after its end was recorded, in seconds.
    pub job_ttl_seconds: i32,
    /// The storage class of volumes; the cluster's default if none.
    pub storage_class: Option<String>,
    /// A directory whose templates replace the built-in ones of the same name.
    pub templates: Option<PathBuf>,
    /// The namespaces from which Secrets with the label `toygres.io/readable=true` may be read.
    pub secret_namespaces: Vec<String>,
}
