//! Instances in a real cluster: the conformance suite, and what is specific to this platform (objects, states, labels).

mod conformance;
mod namespace;

use std::collections::BTreeMap;
use std::time::Duration;

use conformance::{CANARY, Tested, connect_to, settled, spec, until};
use k8s_openapi::api::core::v1::{Pod, Service};
use model::{Failure, FailureCode, InstanceId};
use namespace::{TestNamespace, in_namespace};
use platform::kubernetes::KubernetesConfig;
use platform::{InstanceSpec, Secret, ServerState};

const HOSTILE: &str = r#""'\n${}: #"#;
/// The template of the server.
const STATEFUL_SET: &str = "postgres-statefulset.yaml";

async fn deploy_and_wait(platform: &Tested, spec: &InstanceSpec, password: &str) {
    platform.create_volume(spec).await.expect("create the volume");
    platform.deploy_server(spec, &Secret::from(password)).await.expect("deploy");
    assert_eq!(settled(&**platform, spec.id).await, ServerState::Running);
}

async fn connect(
    namespace: &TestNamespace,
    platform: &Tested,
    id: InstanceId,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let endpoint = platform.endpoint(id).await.expect("endpoint").expect("a deployed server has one");
    connect_to(namespace.reach(endpoint).await, password).await
}

async fn value(client: &tokio_postgres::Client, query: &str) -> String {
    client.query_one(query, &[]).await.expect(query).get(0)
}

/// Waits until a server waits because of this code.
async fn wait_for_waiting(platform: &Tested, id: InstanceId, code: FailureCode) -> Failure {
    until(&format!("the server waits: {code}"), async || {
        match platform.observe_server(id).await.expect("observe") {
            ServerState::Waiting(failure) if failure.code == code => Some(failure),
            _ => None,
        }
    })
    .await
}

/// Waits until a server has failed with this code.
async fn wait_for_failed(platform: &Tested, id: InstanceId, code: FailureCode) -> Failure {
    until(&format!("the server failed: {code}"), async || {
        match platform.observe_server(id).await.expect("observe") {
            ServerState::Failed(failure) if failure.code == code => Some(failure),
            _ => None,
        }
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn instances_conform() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        conformance::instances(&*platform, async |endpoint| namespace.reach(endpoint).await).await;
        conformance::unknown_version(&*platform).await;
        namespace.wait_until_empty().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn hostile_values_are_not_interpreted() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let spec = InstanceSpec {
            name: format!("orders {}", HOSTILE.repeat(20)),
            dns_label: Some("orders-staging".to_owned()),
            ..spec(&*platform).await
        };
        deploy_and_wait(&platform, &spec, HOSTILE).await;
        let client = connect(namespace, &platform, spec.id, HOSTILE).await.expect("connect");
        let name: String = spec.name.chars().take(63).collect();
        assert_eq!(value(&client, "show cluster_name").await, name);
        assert_eq!(value(&client, "show data_checksums").await, "on");
        let collation = "select datcollate from pg_database where datname = 'postgres'";
        assert_eq!(value(&client, collation).await, "C.UTF-8");
        let prefix = connect(namespace, &platform, spec.id, "\"'").await;
        assert!(prefix.is_err(), "a prefix of the password is accepted");

        let endpoint =
            platform.endpoint(spec.id).await.expect("endpoint").expect("a deployed server has one");
        let service = endpoint.host.split('.').next().expect("a name");
        let service = namespace.all::<Service>().get(service).await.expect("the Service");
        assert_eq!(service.spec.expect("spec").type_.as_deref(), Some("LoadBalancer"));
        let annotations = service.metadata.annotations.expect("annotations");
        assert_eq!(annotations["service.beta.kubernetes.io/azure-dns-label-name"], "orders-staging");

        let invalid = InstanceSpec { dns_label: Some("a".repeat(200)), ..spec.clone() };
        let error = platform.create_volume(&invalid).await.expect_err("not a DNS label");
        assert_eq!(error.code(), FailureCode::PlatformUnsupported);
        platform.delete_volume(spec.id).await.expect("delete");
        namespace.wait_until_empty().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn foreign_objects_are_named_and_kept() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let first = spec(&*platform).await;
        let second = spec(&*platform).await;
        let error = platform.deploy_server(&first, &Secret::default()).await.expect_err("no volume");
        assert_eq!(error.code(), FailureCode::VolumeLost);
        platform.create_volume(&first).await.expect("create the volume");
        for error in [
            platform.create_volume(&second).await.expect_err("the name is used"),
            platform.deploy_server(&second, &Secret::default()).await.expect_err("the volume of another one"),
        ] {
            let failure = error.failure();
            assert_eq!(failure.code, FailureCode::NotOwned);
            assert_eq!(failure.subject.as_deref(), Some("PersistentVolumeClaim tested"));
            assert!(failure.detail.contains(&first.id.to_string()), "{failure}");
        }
        platform.delete_volume(second.id).await.expect("delete an instance without parts");

        let foreign = ["create", "service", "clusterip", "tested", "--tcp=1"];
        namespace.kubectl(&foreign).await.expect("create a foreign Service");
        let error =
            platform.deploy_server(&first, &Secret::from(CANARY)).await.expect_err("the name is used");
        assert_eq!(error.code(), FailureCode::NotOwned);
        assert_eq!(error.failure().subject.as_deref(), Some("Service tested"));
        assert!(!error.to_string().contains(CANARY));
        platform.delete_volume(first.id).await.expect("delete the own objects");
        let left = namespace.objects().await;
        assert!(
            left.iter().all(|object| object.starts_with("service/") || object.starts_with("endpoint")),
            "{left:?}"
        );
        assert!(left.contains(&"service/tested".to_owned()), "{left:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn deletion_of_a_volume_in_use_fails_after_a_while() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let spec = spec(&*platform).await;
        platform.create_volume(&spec).await.expect("create the volume");
        let pod = serde_json::json!({
            "metadata": { "name": "holder" },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 999, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "holder", "image": namespace.config.postgres_images[&15], "command": ["sleep", "1000"],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
                "volumes": [{ "name": "held", "persistentVolumeClaim": { "claimName": "tested" } }],
            },
        });
        namespace.create_object::<Pod>(pod).await;
        let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "pod/holder"];
        namespace.kubectl(&wait).await.expect("only a running pod protects the volume");
        let error = platform.delete_volume(spec.id).await.expect_err("the volume is in use");
        assert_eq!(error.code(), FailureCode::PlatformUnavailable);
        assert!(error.failure().detail.contains("holder"), "the pod is named: {error}");
        let error = platform.create_volume(&spec).await.expect_err("the claim is being deleted");
        assert_eq!(error.code(), FailureCode::PlatformUnavailable);
        namespace.kubectl(&["delete", "pod", "holder"]).await.expect("release the volume");
        platform.delete_volume(spec.id).await.expect("delete");
        namespace.wait_until_empty().await;
    })
    .await;
}

/// pg_cron's worker connects over TCP to localhost, without a password.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn worker_that_connects_over_tcp_needs_the_trust_lines() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let spec = spec(&*platform).await;
        deploy_and_wait(&platform, &spec, CANARY).await;
        let client = connect(namespace, &platform, spec.id, CANARY).await.expect("connect");
        assert_eq!(value(&client, "show shared_preload_libraries").await, "");
        let psql = ["psql", "-U", "postgres", "-Atc", "select 41 + 1"];
        let exec = [&["exec", "tested-0", "-c", "postgres", "--"], &psql[..]].concat();
        let answer = namespace.kubectl(&exec).await;
        assert_eq!(answer.expect("psql inside the pod needs no password"), "42");

        let spec = InstanceSpec { preload: vec!["pg_cron".to_owned()], ..spec };
        deploy_and_wait(&platform, &spec, CANARY).await;
        let client = connect(namespace, &platform, spec.id, CANARY).await.expect("connect after the restart");
        let schedule = "create extension pg_cron; select cron.schedule('@reboot', 'select 1')";
        client.batch_execute(schedule).await.expect("schedule");
        for (trust_loopback, outcome) in [(false, "failed"), (true, "succeeded")] {
            platform.stop_server(spec.id).await.expect("stop");
            let spec = InstanceSpec { trust_loopback, ..spec.clone() };
            deploy_and_wait(&platform, &spec, CANARY).await;
            let client = connect(namespace, &platform, spec.id, CANARY).await.expect("connect");
            assert_eq!(last_job(&client).await, outcome);
            client.batch_execute("delete from cron.job_run_details").await.expect("delete the outcome");
        }
    })
    .await;
}

/// The outcome of the job that pg_cron ran at the start of its server.
async fn last_job(client: &tokio_postgres::Client) -> String {
    let query = "select status from cron.job_run_details where status in ('succeeded', 'failed')";
    until("pg_cron ran the job", async || {
        client.query_opt(query, &[]).await.expect("query").map(|row| row.get(0))
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn server_that_cannot_run_reports_why_and_can_be_corrected() {
    in_namespace(async |namespace| {
        let missing = BTreeMap::from([(15, "registry.invalid/postgres:15".to_owned())]);
        let config = || namespace.config.clone();
        let unpullable = namespace.open_with(KubernetesConfig { postgres_images: missing, ..config() }).await;
        let spec = spec(&*unpullable).await;
        unpullable.create_volume(&spec).await.expect("create the volume");
        let full = namespace.open_with_template(STATEFUL_SET, "cpu: 250m", "cpu: 1k").await;
        let (from, to) = ("runAsNonRoot: true", "runAsNonRoot: false");
        let rejected = namespace.open_with_template(STATEFUL_SET, from, to).await;
        let (from, to) = ("[-c, ", "[-c, no_such_setting=1, -c, ");
        let crashing = namespace.open_with_template(STATEFUL_SET, from, to).await;
        let deploy = async |platform: &Tested| {
            platform.deploy_server(&spec, &Secret::from(CANARY)).await.expect("deploy");
        };
        deploy(&rejected).await;
        wait_for_failed(&rejected, spec.id, FailureCode::AdmissionDenied).await;
        deploy(&full).await;
        wait_for_waiting(&full, spec.id, FailureCode::Unschedulable).await;
        deploy(&unpullable).await;
        wait_for_waiting(&unpullable, spec.id, FailureCode::ContainerImagePull).await;
        let failure = wait_for_failed(&unpullable, spec.id, FailureCode::ContainerImagePull).await;
        assert_eq!(failure.subject.as_deref(), Some("registry.invalid/postgres:15"));
        deploy(&crashing).await;
        let failure = wait_for_failed(&crashing, spec.id, FailureCode::CrashLoop).await;
        assert!(failure.detail.contains("no_such_setting"), "PostgreSQL's output: {failure}");
        deploy_and_wait(&namespace.open().await, &spec, CANARY).await;

        let class = Some("none".to_owned());
        let unbound = namespace.open_with(KubernetesConfig { storage_class: class, ..config() }).await;
        let other = InstanceSpec { name: "other".to_owned(), ..conformance::spec(&*unbound).await };
        unbound.create_volume(&other).await.expect("create the volume");
        unbound.deploy_server(&other, &Secret::from(CANARY)).await.expect("deploy");
        let failure = wait_for_waiting(&unbound, other.id, FailureCode::VolumePending).await;
        assert_eq!(failure.subject.as_deref(), Some("other"));
    })
    .await;
}

/// The pod is killed several times while it initialises the data directory.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn incomplete_data_directory_is_never_used() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let spec = spec(&*platform).await;
        platform.create_volume(&spec).await.expect("create the volume");
        platform.deploy_server(&spec, &Secret::from(CANARY)).await.expect("deploy");
        // On a slow machine the init container may have ended before it is seen running.
        let started = "jsonpath={.status.initContainerStatuses[0].state['running','terminated']}";
        for round in 0..3 {
            until("the init container started", async || {
                let state = namespace.kubectl(&["get", "pod", "tested-0", "-o", started]).await;
                state.is_ok_and(|state| !state.is_empty()).then_some(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(300 * round)).await;
            let kill = ["delete", "pod", "tested-0", "--grace-period=0", "--force"];
            namespace.kubectl(&kill).await.expect("kill the pod");
        }
        assert_eq!(settled(&*platform, spec.id).await, ServerState::Running);
        connect(namespace, &platform, spec.id, CANARY).await.expect("connect with the password");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn server_whose_claim_was_deleted_is_endangered_and_cannot_be_stopped() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let spec = spec(&*platform).await;
        deploy_and_wait(&platform, &spec, CANARY).await;
        namespace.kubectl(&["delete", "pvc", "tested", "--wait=false"]).await.expect("delete the claim");
        let state = platform.observe_server(spec.id).await.expect("observe");
        let ServerState::Endangered(failure) = state else { panic!("not endangered: {state:?}") };
        assert_eq!(failure.code, FailureCode::VolumeTerminating);
        assert_eq!(failure.subject.as_deref(), Some("tested"));
        let error = platform.stop_server(spec.id).await.expect_err("stopping would delete the data");
        assert_eq!(error.code(), FailureCode::VolumeTerminating);
        connect(namespace, &platform, spec.id, CANARY).await.expect("it runs");
        platform.delete_server(spec.id).await.expect("a deletion is possible");
        platform.delete_volume(spec.id).await.expect("delete the volume");
        namespace.wait_until_empty().await;
    })
    .await;
}
