//! Secrets of a real cluster: read only if both their owner and an administrator permit it.

mod conformance;
mod namespace;

use std::collections::BTreeMap;

use conformance::CANARY;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::PostParams;
use model::FailureCode;
use namespace::{TestNamespace, in_namespace};
use platform::ExposeSecret;
use platform::kubernetes::KubernetesConfig;

#[tokio::test]
#[ignore = "needs a cluster"]
async fn secret_is_read_only_if_labelled_and_in_a_configured_namespace() {
    in_namespace(async |own| {
        in_namespace(async |theirs| {
            in_namespace(async |system| {
                let config = KubernetesConfig {
                    secret_namespaces: vec![theirs.name.clone(), own.name.clone(), system.name.clone()],
                    system_namespace: system.name.clone(),
                    ..own.config.clone()
                };
                let platform = own.open_as_admin(config).await;
                for namespace in [&*own, &*theirs, &*system] {
                    create_secret(namespace, "good", true, CANARY.as_bytes()).await;
                }
                create_secret(theirs, "unlabelled", false, CANARY.as_bytes()).await;
                create_secret(theirs, "binary", true, &[0xff, 0xfe]).await;
                let values = platform.read_secret(&theirs.name, "good").await.expect("a readable Secret");
                assert_eq!(values["password"].expose_secret(), CANARY);
                for (namespace, name) in [
                    (&*theirs.name, "unlabelled"),
                    (&theirs.name, "binary"),
                    (&theirs.name, "missing"),
                    (&theirs.name, "x/../good"),
                    ("kube-system", "good"),
                    (&own.name, "good"),
                    (&system.name, "good"),
                ] {
                    let error = platform.read_secret(namespace, name).await.expect_err("refused");
                    assert_eq!(error.code(), FailureCode::SecretUnreadable, "{namespace}/{name}: {error}");
                    assert!(!error.to_string().contains(CANARY), "{error}");
                }
            })
            .await;
        })
        .await;
    })
    .await;
}

async fn create_secret(namespace: &TestNamespace, name: &str, labelled: bool, password: &[u8]) {
    let mut secret = SecretObject::default();
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.labels =
        labelled.then(|| BTreeMap::from([("toygres.io/readable".to_owned(), "true".to_owned())]));
    secret.data = Some(BTreeMap::from([("password".to_owned(), ByteString(password.to_vec()))]));
    let secrets = namespace.all::<SecretObject>();
    secrets.create(&PostParams::default(), &secret).await.expect("create a Secret");
}
