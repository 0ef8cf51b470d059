//! The objects of a server, with ordinary and with hostile values.

use model::InstanceId;
use serde_json::Value;

use super::*;

const HOSTILE: &str = "\"'\n${}: #";

pub(in super::super) fn spec() -> InstanceSpec {
    InstanceSpec {
        id: InstanceId::from(uuid::Uuid::from_u128(7)),
        name: "orders".to_owned(),
        major: 17,
        image_type: ImageType::Stock,
        trust_loopback: false,
        preload: vec![],
        username: "postgres".to_owned(),
        volume_bytes: None,
        dns_label: None,
    }
}

pub(in super::super) fn config() -> KubernetesConfig {
    KubernetesConfig {
        namespace: "managed".to_owned(),
        system_namespace: "system".to_owned(),
        agent_image: "toygres".to_owned(),
        postgres_images: BTreeMap::from([(17, "postgres:17".to_owned())]),
        pg_durable_images: BTreeMap::new(),
        pg_durable_preload: vec!["pg_durable".to_owned()],
        job_service_account: "jobs".to_owned(),
        token_seconds: 3600,
        job_ttl_seconds: 300,
        storage_class: None,
        templates: None,
        secret_namespaces: vec![],
    }
}

fn created(spec: &InstanceSpec, config: &KubernetesConfig, password: &str) -> Result<Parts> {
    let templates = Templates::load(None).expect("the built-in templates");
    parts(spec, &crate::Secret::from(password), config, &templates)
}

fn json(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).expect("an object")
}

#[test]
fn all_parts_have_the_name_and_the_id() {
    let parts = created(&spec(), &config(), "secret").expect("parts");
    for object in [json(&parts.secret), json(&parts.config), json(&parts.service), json(&parts.server)] {
        let metadata = &object["metadata"];
        assert_eq!((&metadata["name"], &metadata["namespace"]), (&json(&"orders"), &json(&"managed")));
        assert_eq!(metadata["labels"]["toygres.io/instance"], json(&spec().id.to_string()), "{object}");
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "toygres");
        assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "postgres");
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "orders");
        assert!(!object.to_string().contains("set-by-toygres"), "{object}");
    }
    let service = json(&parts.service);
    assert_eq!(service["spec"]["type"], "ClusterIP");
    assert_eq!(service["spec"]["selector"], json(&parts.server)["spec"]["selector"]["matchLabels"]);
}

#[test]
fn hostile_values_are_not_interpreted() {
    let spec = InstanceSpec {
        name: HOSTILE.repeat(25),
        username: "$(PGDATA)".to_owned(),
        preload: vec![HOSTILE.to_owned()],
        ..spec()
    };
    let parts = created(&spec, &config(), HOSTILE).expect("parts");
    assert_eq!(parts.secret.data.expect("data")["password"].0, HOSTILE.as_bytes());
    for (key, value) in parts.server.metadata.labels.expect("labels") {
        let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!(plain && value.len() <= 63, "{key}: {value}");
    }
    let text = &parts.config.data.expect("data")["postgresql.conf"];
    let added = text.split("# Added by Toygres.\n").nth(1).expect("the appended lines");
    assert!(
        added
            .lines()
            .all(|line| line.starts_with("cluster_name = '")
                || line.starts_with("shared_preload_libraries = '"))
    );
    let pod = json(&parts.server.spec.expect("spec").template.spec);
    let variables = pod["initContainers"][0]["env"].as_array().expect("env");
    assert!(
        variables.contains(&serde_json::json!({ "name": "POSTGRES_USER", "value": "$$(PGDATA)" })),
        "{pod}"
    );
}

#[test]
fn password_is_in_the_secret_only() {
    let parts = created(&spec(), &config(), "canary").expect("parts");
    for object in [json(&parts.config), json(&parts.service), json(&parts.server)] {
        assert!(!object.to_string().contains("canary"), "{object}");
    }
}

#[test]
fn dns_label_results_in_a_load_balancer_and_is_checked() {
    let labelled = |label: &str| InstanceSpec { dns_label: Some(label.to_owned()), ..spec() };
    let service = json(&created(&labelled("orders-1"), &config(), "").expect("parts").service);
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    assert_eq!(service["metadata"]["annotations"][AZURE_DNS_LABEL], "orders-1");
    for label in ["", "ab", "-abc", "abc-", "1abc", "Abc", "a.bc", " abc", HOSTILE, &"a".repeat(200)] {
        let error = created(&labelled(label), &config(), "").err().expect("refused");
        assert_eq!(error.code(), FailureCode::PlatformUnsupported, "{error}");
    }
}

#[test]
fn pg_durable_requires_its_own_container_image_and_library() {
    let durable = InstanceSpec {
        image_type: ImageType::PgDurable,
        preload: vec!["pg_cron".to_owned(), "pg_durable".to_owned()],
        ..spec()
    };
    let error = created(&durable, &config(), "").err().expect("no container image");
    assert_eq!(error.code(), FailureCode::ProgramsMissing);
    assert_eq!(error.failure().subject.as_deref(), Some("PostgreSQL 17 with pg_durable"));
    let config =
        KubernetesConfig { pg_durable_images: BTreeMap::from([(17, "durable".to_owned())]), ..config() };
    let parts = created(&durable, &config, "").expect("parts");
    let text = &parts.config.data.expect("data")["postgresql.conf"];
    assert!(text.contains("shared_preload_libraries = 'pg_cron,pg_durable'\n"), "{text}");
    assert_eq!(json(&parts.server.spec)["template"]["spec"]["containers"][0]["image"], "durable");
}

#[test]
fn loopback_is_trusted_only_where_background_workers_need_it() {
    let config =
        KubernetesConfig { pg_durable_images: BTreeMap::from([(17, "durable".to_owned())]), ..config() };
    let trusting = InstanceSpec { trust_loopback: true, ..spec() };
    let durable = InstanceSpec { image_type: ImageType::PgDurable, ..spec() };
    for (spec, method) in [(spec(), "scram-sha-256"), (trusting, "trust"), (durable, "trust")] {
        let parts = created(&spec, &config, "").expect("parts");
        let text = &parts.config.data.expect("data")["pg_hba.conf"];
        for address in ["127.0.0.1/32", "::1/128"] {
            let first = text.lines().find(|line| line.split_whitespace().nth(3) == Some(address));
            assert_eq!(first, Some(&*format!("host all all {address} {method}")), "{text}");
        }
    }
}

#[test]
fn changed_configuration_changes_the_pod_and_a_repetition_does_not() {
    let pod = |preload: &[&str]| {
        let preload = preload.iter().map(|library| (*library).to_owned()).collect();
        let parts = created(&InstanceSpec { preload, ..spec() }, &config(), "").expect("parts");
        json(&parts.server.spec.expect("spec").template)
    };
    assert_eq!(pod(&[]), pod(&[]));
    assert_ne!(pod(&[]), pod(&["pg_cron"]));
}
