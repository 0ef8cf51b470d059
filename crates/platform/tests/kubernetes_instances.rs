//! Instances in a real cluster: the conformance suite, and what only this platform promises (objects, words, labels).

mod conformance;
mod in_cluster;

use std::collections::BTreeMap;
use std::time::Duration;

use conformance::{CANARY, Tested, connect_to, settled, spec};
use in_cluster::{Cluster, in_namespace};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::PostParams;
use model::InstanceId;
use platform::kubernetes::KubernetesConfig;
use platform::{Error, InstanceSpec, Secret, ServerState};

const HOSTILE: &str = r#""'\n${}: #"#;

async fn made(platform: &Tested, spec: &InstanceSpec, password: &str) {
    platform.create_volume(spec).await.expect("create the volume");
    platform.deploy_server(spec, &Secret::new(password.to_owned())).await.expect("deploy");
    assert_eq!(settled(platform, spec.id).await, ServerState::Running);
}

async fn connected(
    cluster: &Cluster,
    platform: &Tested,
    id: InstanceId,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let endpoint = platform.endpoint(id).await.expect("endpoint").expect("it was deployed");
    connect_to(cluster.reach(endpoint).await, password).await
}

async fn value(client: &tokio_postgres::Client, query: &str) -> String {
    client.query_one(query, &[]).await.expect(query).get(0)
}

/// Waits until a server's state has words with all of these parts.
async fn words(platform: &Tested, id: InstanceId, failed: bool, parts: &[&str]) {
    let mut state = ServerState::Absent;
    for _ in 0..600 {
        state = platform.observe_server(id).await.expect("observe");
        let (is_failed, words) = match &state {
            ServerState::Failed(words) => (true, words.as_str()),
            ServerState::Starting(words) | ServerState::Waiting(words) => (false, words.as_str()),
            _ => (false, ""),
        };
        if is_failed == failed && parts.iter().all(|part| words.contains(part)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{parts:?} was not said: {state:?}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn instances_conform() {
    in_namespace(async |cluster| {
        let platform = cluster.platform().await;
        conformance::instances(&platform, async |endpoint| cluster.reach(endpoint).await).await;
        conformance::unknown_version(&platform).await;
        cluster.until_empty().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn hostile_values_break_nothing() {
    in_namespace(async |cluster| {
        let platform = cluster.platform().await;
        let spec = InstanceSpec {
            name: format!("orders {}", HOSTILE.repeat(20)),
            dns_label: Some("orders-staging".to_owned()),
            ..spec(&platform).await
        };
        made(&platform, &spec, HOSTILE).await;
        let client = connected(cluster, &platform, spec.id, HOSTILE).await.expect("connect");
        let name: String = spec.name.chars().take(63).collect();
        assert_eq!(value(&client, "show cluster_name").await, name);
        assert_eq!(value(&client, "show data_checksums").await, "on");
        let collation = "select datcollate from pg_database where datname = 'postgres'";
        assert_eq!(value(&client, collation).await, "C.UTF-8");
        assert!(connected(cluster, &platform, spec.id, "\"'").await.is_err(), "not the half of it");

        let endpoint = platform.endpoint(spec.id).await.expect("endpoint").expect("it was deployed");
        let service = endpoint.host.split('.').next().expect("a name").to_owned();
        let services: Api<Service> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let service = services.get(&service).await.expect("the Service");
        assert_eq!(service.spec.expect("spec").type_.as_deref(), Some("LoadBalancer"));
        let annotations = service.metadata.annotations.expect("annotations");
        assert_eq!(annotations["service.beta.kubernetes.io/azure-dns-label-name"], "orders-staging");

        let wrong = InstanceSpec { dns_label: Some("a".repeat(200)), ..spec.clone() };
        let error = platform.create_volume(&wrong).await.expect_err("no DNS label");
        assert!(matches!(&error, Error::Impossible(words) if words.contains("DNS label")), "{error}");
        platform.delete_volume(spec.id).await.expect("delete");
        cluster.until_empty().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_not_ours_is_named_and_left_alone() {
    in_namespace(async |cluster| {
        let platform = cluster.platform().await;
        let first = spec(&platform).await;
        let second = spec(&platform).await;
        let error = platform.deploy_server(&first, &Secret::default()).await.expect_err("it has no volume");
        assert!(matches!(&error, Error::Impossible(words) if words.contains("volume of tested")), "{error}");
        platform.create_volume(&first).await.expect("create the volume");
        let error = platform.create_volume(&second).await.expect_err("the name is taken");
        let named = |words: &str| {
            words.contains("PersistentVolumeClaim tested") && words.contains(&first.id.to_string())
        };
        assert!(matches!(&error, Error::Foreign(words) if named(words)), "{error}");
        let error = platform.deploy_server(&second, &Secret::default()).await.expect_err("not its volume");
        assert!(matches!(&error, Error::Foreign(words) if named(words)), "{error}");
        platform.delete_volume(second.id).await.expect("there is nothing of it");

        cluster
            .kubectl(&["create", "service", "clusterip", "tested", "--tcp=1"])
            .await
            .expect("a foreign Service");
        let error = platform.deploy_server(&first, &Secret::new(CANARY.to_owned())).await.expect_err("taken");
        assert!(matches!(&error, Error::Foreign(words) if words.contains("Service tested")), "{error}");
        assert!(!error.to_string().contains(CANARY));
        platform.delete_volume(first.id).await.expect("ours can be deleted all the same");
        let left = cluster.everything().await;
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
async fn a_volume_that_a_pod_uses_is_waited_for_but_not_for_ever() {
    in_namespace(async |cluster| {
        let platform = cluster.platform().await;
        let spec = spec(&platform).await;
        platform.create_volume(&spec).await.expect("create the volume");
        let pod = serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "holder" },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 999, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "holder", "image": cluster.config().postgres_images[&15], "command": ["sleep", "1000"],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
                "volumes": [{ "name": "held", "persistentVolumeClaim": { "claimName": "tested" } }],
            },
        }));
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        pods.create(&PostParams::default(), &pod.expect("a Pod")).await.expect("make a pod");
        let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "pod/holder"];
        cluster.kubectl(&wait).await.expect("it runs: only then is the volume protected");
        let error = platform.delete_volume(spec.id).await.expect_err("it is in use");
        assert!(matches!(&error, Error::Transient(words) if words.to_string().contains("used by the pod holder")), "{error}");
        let error = platform.create_volume(&spec).await.expect_err("it is on its way out");
        assert!(matches!(&error, Error::Transient(words) if words.to_string().contains("still being deleted")), "{error}");
        cluster.kubectl(&["delete", "pod", "holder"]).await.expect("let it go");
        platform.delete_volume(spec.id).await.expect("delete");
        cluster.until_empty().await;
    })
    .await;
}

/// pg_cron's worker connects over TCP to localhost, without a password.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_worker_that_connects_over_tcp_needs_the_trust_lines() {
    in_namespace(async |cluster| {
        let file = "postgres-config.yaml";
        let trusting = cluster.platform().await;
        let [trust, scram] = ["trust", "scram-sha-256"]
            .map(|how| format!("127.0.0.1/32 {how}\n    host all all ::1/128 {how}\n"));
        let asking = cluster.with_template(file, &trust, &scram).await;
        let spec = spec(&trusting).await;
        made(&trusting, &spec, CANARY).await;
        let client = connected(cluster, &trusting, spec.id, CANARY).await.expect("connect");
        assert_eq!(value(&client, "show shared_preload_libraries").await, "");
        let pod = cluster.kubectl(&[
            "exec",
            "tested-0",
            "-c",
            "postgres",
            "--",
            "psql",
            "-U",
            "postgres",
            "-Atc",
            "select 41 + 1",
        ]);
        assert_eq!(pod.await.expect("psql inside the pod needs no password"), "42");

        let spec = InstanceSpec { preload: vec!["pg_cron".to_owned()], ..spec };
        made(&trusting, &spec, CANARY).await;
        let client =
            connected(cluster, &trusting, spec.id, CANARY).await.expect("a changed setting restarts it");
        let schedule = "create extension pg_cron; select cron.schedule('@reboot', 'select 1')";
        client.batch_execute(schedule).await.expect("schedule");
        for (platform, outcome) in [(&asking, "failed"), (&trusting, "succeeded")] {
            platform.stop_server(spec.id).await.expect("stop");
            made(platform, &spec, CANARY).await;
            let client = connected(cluster, platform, spec.id, CANARY).await.expect("connect");
            assert_eq!(last_job(&client).await, outcome);
            client.batch_execute("delete from cron.job_run_details").await.expect("forget");
        }
    })
    .await;
}

/// How the job ended that pg_cron ran when its server started.
async fn last_job(client: &tokio_postgres::Client) -> String {
    let query = "select status from cron.job_run_details where status in ('succeeded', 'failed')";
    for _ in 0..300 {
        if let Some(row) = client.query_opt(query, &[]).await.expect("ask") {
            return row.get(0);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("pg_cron ran nothing")
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_server_that_cannot_run_says_why_and_can_be_mended() {
    in_namespace(async |cluster| {
        let missing = BTreeMap::from([(15, "registry.invalid/postgres:15".to_owned())]);
        let unpullable =
            Cluster::open(KubernetesConfig { postgres_images: missing, ..cluster.config() }).await;
        let spec = spec(&unpullable).await;
        unpullable.create_volume(&spec).await.expect("create the volume");
        let file = "postgres-statefulset.yaml";
        let full = cluster.with_template(file, "cpu: 250m", "cpu: 1k").await;
        let refused = cluster.with_template(file, "runAsNonRoot: true", "runAsNonRoot: false").await;
        let crashing = cluster.with_template(file, "[-c, ", "[-c, no_such_setting=1, -c, ").await;
        let deploy = async |platform: &Tested| {
            platform.deploy_server(&spec, &Secret::new(CANARY.to_owned())).await.expect("deploy");
        };
        deploy(&refused).await;
        words(&refused, spec.id, true, &["PodSecurity", file]).await;
        deploy(&full).await;
        words(&full, spec.id, false, &["Insufficient cpu", "Add a node", file]).await;
        deploy(&unpullable).await;
        words(&unpullable, spec.id, false, &["registry.invalid/postgres:15"]).await;
        words(&unpullable, spec.id, true, &["registry.invalid/postgres:15", "TOYGRES_POSTGRES_IMAGES"]).await;
        deploy(&crashing).await;
        words(&crashing, spec.id, true, &["no_such_setting", "exit code 1"]).await;
        made(&cluster.platform().await, &spec, CANARY).await;

        let unbound =
            Cluster::open(KubernetesConfig { storage_class: Some("none".to_owned()), ..cluster.config() })
                .await;
        let other = InstanceSpec { name: "other".to_owned(), ..conformance::spec(&unbound).await };
        unbound.create_volume(&other).await.expect("create the volume");
        unbound.deploy_server(&other, &Secret::new(CANARY.to_owned())).await.expect("deploy");
        words(&unbound, other.id, false, &["The volume is not there yet", "\"none\" not found"]).await;
    })
    .await;
}

/// The pod is killed while it makes the data directory, again and again; then it is let be.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_half_made_data_directory_is_never_taken_for_a_whole_one() {
    in_namespace(async |cluster| {
        let platform = cluster.platform().await;
        let spec = spec(&platform).await;
        platform.create_volume(&spec).await.expect("create the volume");
        platform.deploy_server(&spec, &Secret::new(CANARY.to_owned())).await.expect("deploy");
        let running = "jsonpath={.status.initContainerStatuses[0].state.running}";
        for round in 0..3 {
            for _ in 0..600 {
                let state = cluster.kubectl(&["get", "pod", "tested-0", "-o", running]).await;
                if state.is_ok_and(|state| !state.is_empty()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(Duration::from_millis(300 * round)).await;
            let kill = ["delete", "pod", "tested-0", "--grace-period=0", "--force"];
            cluster.kubectl(&kill).await.expect("kill the pod");
        }
        assert_eq!(settled(&platform, spec.id).await, ServerState::Running);
        connected(cluster, &platform, spec.id, CANARY).await.expect("it has its password");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_server_whose_volume_somebody_deleted_is_said_to_be_in_danger_and_not_stopped() {
    in_namespace(async |cluster| {
        let platform = cluster.platform().await;
        let spec = spec(&platform).await;
        made(&platform, &spec, CANARY).await;
        cluster.kubectl(&["delete", "pvc", "tested", "--wait=false"]).await.expect("delete the claim");
        let state = platform.observe_server(spec.id).await.expect("observe");
        assert!(matches!(&state, ServerState::Endangered(words) if words.contains("tested")), "{state:?}");
        let stopped = platform.stop_server(spec.id).await;
        assert!(
            matches!(&stopped, Err(Error::Impossible(words)) if words.contains("Back it up")),
            "{stopped:?}"
        );
        connected(cluster, &platform, spec.id, CANARY).await.expect("it runs");
        platform.delete_server(spec.id).await.expect("whoever deletes it wants that");
        platform.delete_volume(spec.id).await.expect("delete the volume");
        cluster.until_empty().await;
    })
    .await;
}
