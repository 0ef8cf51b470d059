//! A namespace of a test's own in the cluster that KUBECONFIG names, gone when the test is over, however it ends.
#![allow(dead_code, reason = "a test may use a part of it")]

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use platform::Endpoint;
use platform::kubernetes::{KubernetesConfig, KubernetesPlatform};

use crate::conformance::Tested;

/// The image that a cluster for tests has.
const POSTGRES_15: &str = "docker.io/library/postgres:15";

/// A namespace in which Pod Security is enforced.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Runs a test in a namespace of its own.
pub(crate) async fn in_namespace(test: impl AsyncFn(&Cluster)) {
    let cluster = Cluster::new().await;
    let outcome = AssertUnwindSafe(test(&cluster)).catch_unwind().await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.delete(&cluster.namespace, &DeleteParams::default()).await.expect("delete the namespace");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Cluster {
    async fn new() -> Self {
        let client = Client::try_default().await.expect("KUBECONFIG names a cluster");
        let namespace = format!("toygres-instances-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let object = serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        }));
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &object.expect("a Namespace"))
            .await
            .expect("make the namespace");
        Self { client, namespace }
    }

    pub(crate) fn config(&self) -> KubernetesConfig {
        KubernetesConfig {
            namespace: self.namespace.clone(),
            system_namespace: "toygres-system".to_owned(),
            agent_image: "not-needed-here".to_owned(),
            postgres_images: BTreeMap::from([(15, POSTGRES_15.to_owned())]),
            pg_durable_images: BTreeMap::new(),
            pg_durable_preload: vec![],
            job_service_account: "default".to_owned(),
            token_seconds: 3600,
            job_ttl_seconds: 300,
            storage_class: None,
            templates: None,
            secret_namespaces: vec![],
        }
    }

    pub(crate) async fn platform(&self) -> Tested {
        Self::open(self.config()).await
    }

    pub(crate) async fn open(config: KubernetesConfig) -> Tested {
        Arc::new(KubernetesPlatform::open(config).await.expect("open the platform"))
    }

    /// A platform with one of the built-in templates changed.
    pub(crate) async fn with_template(&self, file: &str, from: &str, to: &str) -> Tested {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates").join(file);
        let text = std::fs::read_to_string(built_in).expect("the template");
        assert!(text.contains(from), "{file} has no {from:?}");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(file), text.replace(from, to)).expect("write");
        let templates = Some(directory.path().to_owned());
        Self::open(KubernetesConfig { templates, ..self.config() }).await
    }

    /// Where to connect from here, where the cluster's names mean nothing: the Service's address, once it is served.
    pub(crate) async fn reach(&self, endpoint: Endpoint) -> Endpoint {
        let name = endpoint.host.strip_suffix(&format!(".{}.svc", self.namespace)).expect("a Service's name");
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let spec = services.get(name).await.expect("the Service").spec.expect("its spec");
        let host = spec.cluster_ip.expect("an address of the cluster");
        // Readiness reaches the nodes' proxies a moment later.
        for _ in 0..25 {
            if tokio::net::TcpStream::connect((host.as_str(), endpoint.port)).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Endpoint { host, ..endpoint }
    }

    /// What `kubectl` says in the namespace.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let mut kubectl = tokio::process::Command::new("kubectl");
        kubectl.args(["-n", &self.namespace]).args(args).stdin(Stdio::null());
        let output = kubectl.output().await.expect("kubectl is installed");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Everything in the namespace, whatever its kind, but what every namespace has and the log of events.
    pub(crate) async fn everything(&self) -> Vec<String> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "--namespaced", "-o", "name"]).await;
        let kinds = kinds.expect("the kinds of objects");
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        let all = self.kubectl(&["get", &kinds.join(","), "-o", "name"]).await.expect("all objects");
        let usual = ["serviceaccount/default", "configmap/kube-root-ca.crt"];
        all.lines().filter(|object| !usual.contains(object)).map(str::to_owned).collect()
    }

    /// Waits until nothing is left: what hangs on a deleted object is collected a moment later.
    pub(crate) async fn until_empty(&self) {
        for _ in 0..60 {
            if self.everything().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("left behind: {:?}", self.everything().await);
    }
}
