//! A namespace for one test in the cluster of KUBECONFIG, deleted when the test ends. Pod Security *restricted* is enforced in
//! it, and the platform has the permissions of `deploy/base/access.yaml` there and no others.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Config, Resource};
use platform::Endpoint;
use platform::kubernetes::{KubernetesConfig, KubernetesPlatform};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::conformance::{Tested, until};

/// The service account of the platform.
const SERVER: &str = "toygres-server";
/// The service account of jobs.
const JOB: &str = "toygres-job";
/// The container image that a cluster for tests has.
const POSTGRES_15: &str = "docker.io/library/postgres:15";

/// A namespace, and a client with the permissions of KUBECONFIG.
pub(crate) struct TestNamespace {
    pub(crate) name: String,
    pub(crate) admin: Client,
    pub(crate) config: KubernetesConfig,
}

/// Runs a test in a namespace of its own.
pub(crate) async fn in_namespace(test: impl AsyncFnOnce(&mut TestNamespace)) {
    let mut namespace = TestNamespace::create().await;
    let outcome = AssertUnwindSafe(test(&mut namespace)).catch_unwind().await;
    let namespaces: Api<Namespace> = Api::all(namespace.admin.clone());
    let deleted = namespaces.delete(&namespace.name, &DeleteParams::background()).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    deleted.expect("delete the namespace");
}

impl TestNamespace {
    async fn create() -> Self {
        let name = format!("toygres-test-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let admin = Client::try_default().await.expect("KUBECONFIG names a cluster");
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = object(json!({"metadata": {"name": name, "labels": labels}}));
        namespaces.create(&PostParams::default(), &namespace).await.expect("create the namespace");
        let agent_image = std::env::var("TOYGRES_TEST_IMAGE").unwrap_or_else(|_| "toygres:dev".to_owned());
        let config = KubernetesConfig {
            namespace: name.clone(),
            system_namespace: "toygres-system".to_owned(),
            agent_image,
            postgres_images: BTreeMap::from([(15, POSTGRES_15.to_owned())]),
            pg_durable_images: BTreeMap::new(),
            pg_durable_preload: vec![],
            job_service_account: JOB.to_owned(),
            token_seconds: 3600,
            job_ttl_seconds: 300,
            storage_class: None,
            templates: None,
            secret_namespaces: vec![],
        };
        let namespace = Self { name, admin, config };
        namespace.create_object::<ServiceAccount>(json!({"metadata": {"name": JOB}})).await;
        namespace.create_server_account().await;
        namespace
    }

    /// Creates the service account of the platform with its deployed permissions, in this namespace.
    async fn create_server_account(&self) {
        let deployed = include_str!("../../../../deploy/base/access.yaml")
            .replace("toygres-managed", &self.name)
            .replace("toygres-system", &self.name);
        for document in deployed.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(document).expect("a YAML document");
            match object["kind"].as_str() {
                Some("ServiceAccount") => self.create_object::<ServiceAccount>(object).await,
                Some("Role") => self.create_object::<Role>(object).await,
                Some("RoleBinding") => self.create_object::<RoleBinding>(object).await,
                kind => panic!("unexpected kind {kind:?}"),
            }
        }
    }

    /// The objects of one kind in the namespace.
    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.admin.clone(), &self.name)
    }

    /// Creates an object.
    pub(crate) async fn create_object<K>(&self, value: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        self.all::<K>().create(&PostParams::default(), &object(value)).await.expect("create an object");
    }

    /// The platform in this namespace.
    pub(crate) async fn open(&self) -> Tested {
        self.open_with(self.config.clone()).await
    }

    /// The platform with other settings.
    pub(crate) async fn open_with(&self, config: KubernetesConfig) -> Tested {
        self.connect(client_config().await, config).await
    }

    /// The platform with a built-in template in which `from` is replaced once.
    pub(crate) async fn open_with_template(&self, file: &str, from: &str, to: &str) -> Tested {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates").join(file);
        let text = std::fs::read_to_string(built_in).expect("the template");
        assert!(text.contains(from), "{file} does not contain {from:?}");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(file), text.replacen(from, to, 1)).expect("write the template");
        let templates = Some(directory.path().to_owned());
        self.open_with(KubernetesConfig { templates, ..self.config.clone() }).await
    }

    /// The platform over another connection to the API server.
    pub(crate) async fn open_through(&self, connection: Config) -> Tested {
        self.connect(connection, self.config.clone()).await
    }

    /// The platform with the permissions of KUBECONFIG.
    pub(crate) async fn open_as_admin(&self, config: KubernetesConfig) -> Tested {
        Arc::new(KubernetesPlatform::open(config).await.expect("open the platform"))
    }

    async fn connect(&self, mut connection: Config, config: KubernetesConfig) -> Tested {
        connection.auth_info.impersonate = Some(format!("system:serviceaccount:{}:{SERVER}", self.name));
        let client = Client::try_from(connection).expect("a client");
        Arc::new(KubernetesPlatform::with_client(client, config).await.expect("open the platform"))
    }

    /// The address of an endpoint for this process, which does not use the cluster's DNS: that of the Service.
    pub(crate) async fn reach(&self, endpoint: Endpoint) -> Endpoint {
        let name = endpoint.host.strip_suffix(&format!(".{}.svc", self.name)).expect("a Service's name");
        let spec = self.all::<Service>().get(name).await.expect("the Service").spec.expect("its spec");
        let host = spec.cluster_ip.expect("an address of the cluster");
        // kube-proxy learns of the ready pod a moment later. A stopped server is not reachable at all.
        for _ in 0..25 {
            if tokio::net::TcpStream::connect((host.as_str(), endpoint.port)).await.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Endpoint { host, ..endpoint }
    }

    /// The output of `kubectl` in the namespace, or its errors.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let mut kubectl = tokio::process::Command::new("kubectl");
        kubectl.args(["-n", &self.name]).args(args).stdin(Stdio::null());
        let output = kubectl.output().await.expect("kubectl is installed");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// All objects in the namespace except events, accounts and permissions.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "--namespaced", "-o", "name"]).await;
        let kinds = kinds.expect("the kinds of objects");
        let ignored = ["events", "serviceaccounts", "roles.", "rolebindings."];
        let kinds: Vec<&str> =
            kinds.lines().filter(|kind| !ignored.iter().any(|ignored| kind.starts_with(ignored))).collect();
        let all = self.kubectl(&["get", &kinds.join(","), "-o", "name"]).await.expect("all objects");
        all.lines().filter(|object| *object != "configmap/kube-root-ca.crt").map(str::to_owned).collect()
    }

    /// Waits until the namespace is empty: the objects that a deleted one owned are collected a moment later.
    pub(crate) async fn wait_until_empty(&self) {
        until("the namespace is empty", async || self.objects().await.is_empty().then_some(())).await;
    }
}

/// The connection that KUBECONFIG describes.
pub(crate) async fn client_config() -> Config {
    Config::infer().await.expect("KUBECONFIG names a cluster")
}

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}
