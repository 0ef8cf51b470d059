//! Secrets of a real cluster: read only where both their owner and an administrator said so.

mod conformance;
mod in_cluster;

use std::collections::BTreeMap;

use conformance::CANARY;
use in_cluster::{Cluster, in_namespace};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::Api;
use kube::api::PostParams;
use platform::Error;
use platform::kubernetes::KubernetesConfig;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_is_read_where_its_owner_and_an_administrator_said_so() {
    in_namespace(async |own| {
        in_namespace(async |theirs| {
            in_namespace(async |system| {
                let listed = vec![theirs.namespace.clone(), own.namespace.clone(), system.namespace.clone()];
                let config = KubernetesConfig {
                    secret_namespaces: listed,
                    system_namespace: system.namespace.clone(),
                    ..own.config()
                };
                let platform = Cluster::open(config).await;
                let refused = async |namespace: &str, name: &str, parts: &[&str]| {
                    let error = platform.read_secret(namespace, name).await.expect_err("refused");
                    let Error::Impossible(words) = error else { panic!("{error:?}") };
                    assert!(parts.iter().all(|part| words.contains(part)), "{parts:?}: {words}");
                    assert!(!words.contains(CANARY), "{words}");
                };
                for cluster in [own, theirs, system] {
                    secret(cluster, "good", true, CANARY.as_bytes()).await;
                }
                secret(theirs, "unlabelled", false, CANARY.as_bytes()).await;
                secret(theirs, "binary", true, &[0xff, 0xfe]).await;
                let values = platform.read_secret(&theirs.namespace, "good").await.expect("it may be read");
                assert_eq!(values["password"].reveal(), CANARY);
                let label = format!(
                    "kubectl label secret -n {} unlabelled toygres.io/readable=true",
                    theirs.namespace
                );
                refused(&theirs.namespace, "unlabelled", &[&label]).await;
                refused(&theirs.namespace, "binary", &["binary", "password", "UTF-8"]).await;
                refused(&theirs.namespace, "missing", &["no Secret missing", "kubectl get secrets"]).await;
                refused(&theirs.namespace, "x/../good", &["no name of a Secret"]).await;
                refused("kube-system", "good", &["kube-system", "TOYGRES_SECRET_NAMESPACES"]).await;
                refused(&own.namespace, "good", &["Toygres' own"]).await;
                refused(&system.namespace, "good", &["Toygres' own"]).await;
            })
            .await;
        })
        .await;
    })
    .await;
}

async fn secret(cluster: &Cluster, name: &str, labelled: bool, password: &[u8]) {
    let mut secret = SecretObject::default();
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.labels =
        labelled.then(|| BTreeMap::from([("toygres.io/readable".to_owned(), "true".to_owned())]));
    secret.data = Some(BTreeMap::from([("password".to_owned(), ByteString(password.to_vec()))]));
    let secrets: Api<SecretObject> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    secrets.create(&PostParams::default(), &secret).await.expect("make a Secret");
}
