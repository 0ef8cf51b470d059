//! A namespace of its own in whatever cluster KUBECONFIG points to, where the platform may do no more than in production:
//! Pod Security restricted, an account with the rights that the platform needs, and templates that a test may change.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Config, Resource};
use platform::kubernetes::{KubernetesConfig, KubernetesPlatform};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The account that the platform acts as.
const SERVER: &str = "toygres-server";
/// The account that jobs run as.
const JOBS: &str = "toygres-job";

/// A namespace, and an administrator of it.
pub(crate) struct Scratch {
    pub(crate) namespace: String,
    pub(crate) admin: Client,
    pub(crate) config: KubernetesConfig,
    templates: tempfile::TempDir,
}

/// Runs a test in a namespace of its own, which goes afterwards however the test ends.
pub(crate) async fn in_namespace(test: impl AsyncFnOnce(&mut Scratch)) {
    let mut scratch = Scratch::new().await;
    let ended = AssertUnwindSafe(test(&mut scratch)).catch_unwind().await;
    let namespaces: Api<Namespace> = Api::all(scratch.admin.clone());
    let deleted = namespaces.delete(&scratch.namespace, &DeleteParams::background()).await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    deleted.expect("delete the namespace");
}

impl Scratch {
    async fn new() -> Self {
        let namespace = format!("toygres-jobs-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let admin = Client::try_default().await.expect("a cluster: set KUBECONFIG");
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let made = json!({"metadata": {"name": namespace, "labels": labels}});
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        namespaces.create(&PostParams::default(), &object(made)).await.expect("make a namespace");
        let templates = tempfile::tempdir().expect("a directory");
        let image = std::env::var("TOYGRES_TEST_IMAGE").unwrap_or_else(|_| "toygres:dev".to_owned());
        let config = KubernetesConfig {
            namespace: namespace.clone(),
            system_namespace: "toygres-system".to_owned(),
            agent_image: image,
            postgres_images: BTreeMap::from([(15, "docker.io/library/postgres:15".to_owned())]),
            pg_durable_images: BTreeMap::new(),
            pg_durable_preload: vec![],
            job_service_account: JOBS.to_owned(),
            token_seconds: 3600,
            job_ttl_seconds: 300,
            storage_class: None,
            templates: Some(templates.path().to_owned()),
            secret_namespaces: vec![],
        };
        let scratch = Self { namespace, admin, config, templates };
        for account in [SERVER, JOBS] {
            scratch.make::<ServiceAccount>(json!({"metadata": {"name": account}})).await;
        }
        scratch.make::<Role>(json!({"metadata": {"name": SERVER}, "rules": rules()})).await;
        let binding = json!({
            "metadata": {"name": SERVER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": SERVER},
            "subjects": [{"kind": "ServiceAccount", "name": SERVER, "namespace": scratch.namespace}]
        });
        scratch.make::<RoleBinding>(binding).await;
        scratch
    }

    /// The objects of one kind, for the administrator.
    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// Makes an object as the administrator.
    pub(crate) async fn make<K>(&self, value: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + DeserializeOwned,
    {
        self.all::<K>().create(&PostParams::default(), &object(value)).await.expect("make an object");
    }

    /// Replaces text in the template of jobs that touch no volume.
    pub(crate) fn change_template(&self, from: &str, to: &str) {
        let built_in = include_str!("../../../../templates/backup-job.yaml");
        let changed = built_in.replacen(from, to, 1);
        assert_ne!(changed, built_in, "{from:?} is in the template");
        std::fs::write(self.templates.path().join("backup-job.yaml"), changed).expect("write a template");
    }

    /// The platform, with no more rights than it needs.
    pub(crate) async fn platform(&self) -> KubernetesPlatform {
        self.platform_by(client_config().await).await
    }

    /// The same by another way to the cluster.
    pub(crate) async fn platform_by(&self, mut config: Config) -> KubernetesPlatform {
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{}:{SERVER}", self.namespace));
        let client = Client::try_from(config).expect("a client");
        KubernetesPlatform::with_client(client, self.config.clone()).await.expect("open the platform")
    }
}

/// How KUBECONFIG says that the cluster is reached.
pub(crate) async fn client_config() -> Config {
    Config::infer().await.expect("a cluster: set KUBECONFIG")
}

/// All that the platform needs for jobs; it lists no secrets and enters no pods.
fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "delete"]},
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "list", "delete"]},
        {"apiGroups": [""], "resources": ["secrets", "configmaps", "services"], "verbs": ["create", "get", "delete"]}
    ])
}

/// An object of JSON.
pub(crate) fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

/// Looks again and again until something is found.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(150), looking)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"))
}
