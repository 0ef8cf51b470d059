//! The objects that the built-in templates result in.

use std::time::Duration;

use model::{AgentTask, Connection, ImageId, ImageType, TlsMode};
use serde_json::{Value, json};

use super::*;
use crate::StoreIdentity;
use crate::kubernetes::templates::Templates;

/// A text that would change the meaning of YAML, JSON or a shell command if it were inserted there.
const NASTY: &str = "\"'\\n${}: #\n- x";

fn spec() -> JobSpec {
    let run = uuid::Uuid::nil();
    let source = Connection {
        host: "db".to_owned(),
        port: 5432,
        username: NASTY.to_owned(),
        database: "app".to_owned(),
        tls: TlsMode::Disable,
    };
    let work = Work::Backup {
        image: ImageId::new(),
        to: Location { store: "pvc://images/deep".to_owned(), prefix: "images/1".to_owned() },
        source,
        image_type: ImageType::Stock,
        databases: vec![],
        streams: 2,
        bin_dir: None,
        fixed_clients: false,
        previous: None,
    };
    let log = Some(Location { store: "pvc://logs".to_owned(), prefix: "images/1".to_owned() });
    JobSpec {
        name: "t-1".to_owned(),
        task: AgentTask { run, step: "RunBackupJob".to_owned(), attempt: 1, work, log, network: None },
        secrets: BTreeMap::from([("password".to_owned(), crate::Secret::from(NASTY))]),
        volume: None,
        major: None,
        identity: None,
        deadline: Duration::from_secs(90),
    }
}

fn created(restore: bool, spec: &JobSpec) -> Value {
    let templates = Templates::load(None).expect("the built-in templates");
    let context = JobContext {
        template_name: "x.yaml",
        agent_image: "toygres:1",
        postgres_image: "postgres:15",
        service_account: "toygres-job",
        claim: restore.then(|| "orders".to_owned()),
        token_seconds: 700,
    };
    let template = if restore { &templates.restore_job } else { &templates.backup_job };
    serde_json::to_value(job(template, spec, &context).expect("a job")).expect("JSON")
}

/// The item of this name in the list at `path`.
fn named<'a>(value: &'a Value, path: &str, name: &str) -> &'a Value {
    let mut items = value.pointer(path).and_then(Value::as_array).into_iter().flatten();
    items.find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {path}"))
}

const POD: &str = "/spec/template/spec";

#[test]
fn attempt_has_exactly_one_pod() {
    let job = created(false, &spec());
    let job_spec = &job["spec"];
    for (field, value) in [
        ("backoffLimit", json!(0)),
        ("podReplacementPolicy", json!("Failed")),
        ("activeDeadlineSeconds", json!(90)),
        ("ttlSecondsAfterFinished", Value::Null),
    ] {
        assert_eq!(job_spec[field], value, "{field}");
    }
    let pod = job.pointer(POD).expect("a pod");
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["serviceAccountName"]),
        (&json!(false), &json!("toygres-job"))
    );
    assert_eq!(
        (&pod["containers"][0]["image"], &pod["initContainers"][0]["image"]),
        (&json!("postgres:15"), &json!("toygres:1"))
    );
    let metadata = &job_spec["template"]["metadata"];
    assert_eq!(metadata["annotations"][MAIN], "backup");
    assert_eq!(metadata["labels"], job["metadata"]["labels"]);
    assert_eq!(metadata["labels"][names::JOB], "t-1");
}

#[test]
fn volumes_are_mounted_where_the_agent_expects_them() {
    let job = created(false, &spec());
    let mounts = format!("{POD}/containers/0/volumeMounts");
    for (n, claim) in ["images", "logs"].iter().enumerate() {
        let name = format!("store-{n}");
        assert_eq!(
            named(&job, &format!("{POD}/volumes"), &name)["persistentVolumeClaim"]["claimName"],
            *claim
        );
        assert_eq!(named(&job, &mounts, &name)["mountPath"], format!("/stores/{claim}"));
    }
    let restore = created(true, &JobSpec { task: AgentTask { log: None, ..spec().task }, ..spec() });
    let data = named(&restore, &format!("{POD}/volumes"), "data");
    assert_eq!(data["persistentVolumeClaim"]["claimName"], "orders");
    assert_eq!(named(&restore, &mounts, "data")["mountPath"], "/var/lib/toygres");
    let secrets = named(&job, &format!("{POD}/volumes"), "secrets");
    assert_eq!(
        secrets["secret"],
        json!({"secretName": "t-1", "defaultMode": 0o440}),
        "the template's mode is kept"
    );
}

#[test]
fn container_that_executes_an_image_has_no_secret_and_no_token() {
    let azure = StoreIdentity::Azure { client_id: None, tenant_id: None, authority_host: None };
    let aws = StoreIdentity::Aws { role_arn: "arn".to_owned(), sts_endpoint: None };
    for identity in [None, Some(azure), Some(aws)] {
        let job = created(true, &JobSpec { identity, ..spec() });
        let pod = job.pointer(POD).expect("a pod");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let server = named(pod, "/initContainers", "postgres");
        assert_eq!((&server["restartPolicy"], &server["image"]), (&json!("Always"), &json!("postgres:15")));
        assert_eq!(server["env"], json!([{"name": "HOME", "value": "/tmp"}]));
        assert_eq!(server["envFrom"], Value::Null);
        let mounts = server["volumeMounts"].as_array().expect("mounts");
        let mounted: Vec<&str> = mounts.iter().filter_map(|mount| mount["name"].as_str()).collect();
        assert_eq!(mounted, ["agent", "archives", "server", "server-tmp", "data"]);
        for (volume, kind) in mounted.iter().zip(["emptyDir"; 4].iter().chain(&["persistentVolumeClaim"])) {
            assert!(named(pod, "/volumes", volume)[kind].is_object(), "{volume} is not of kind {kind}");
        }
        for volume in ["agent", "archives"] {
            assert_eq!(named(server, "/volumeMounts", volume)["readOnly"], true, "{volume}");
        }
        let main = &pod["containers"][0];
        assert_eq!(server["securityContext"], main["securityContext"]);
        assert!(server["resources"]["limits"]["ephemeral-storage"].is_string());
        // The webhooks of the identities project their tokens into every other container.
        let annotations = &job["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["azure.workload.identity/skip-containers"], "agent;postgres");
        assert_eq!(annotations["eks.amazonaws.com/skip-containers"], "agent,postgres");
    }
}

#[test]
fn backup_has_no_second_container() {
    let job = created(false, &spec());
    let containers = [format!("{POD}/initContainers"), format!("{POD}/containers")];
    let counts = containers.map(|path| job.pointer(&path).and_then(Value::as_array).map(Vec::len));
    assert_eq!(counts, [Some(1), Some(1)]);
}

#[test]
fn identity_uses_the_names_of_the_webhooks() {
    let with = |identity| created(false, &JobSpec { identity: Some(identity), ..spec() });
    let variable =
        |job: &Value, name: &str| named(job, &format!("{POD}/containers/0/env"), name)["value"].clone();
    let azure = with(StoreIdentity::Azure {
        client_id: Some("client".to_owned()),
        tenant_id: None,
        authority_host: Some("https://login.example".to_owned()),
    });
    assert_eq!(azure["spec"]["template"]["metadata"]["labels"]["azure.workload.identity/use"], "true");
    assert_eq!(variable(&azure, "AZURE_CLIENT_ID"), "client");
    assert_eq!(variable(&azure, "AZURE_AUTHORITY_HOST"), "https://login.example");
    let path = "/var/run/secrets/azure/tokens/azure-identity-token";
    assert_eq!(variable(&azure, "AZURE_FEDERATED_TOKEN_FILE"), path);
    assert!(!azure.to_string().contains("AZURE_TENANT_ID"), "left to the webhook");
    let token = named(&azure, &format!("{POD}/volumes"), "azure-identity-token");
    let expected = json!({"audience": "api://AzureADTokenExchange", "expirationSeconds": 700, "path": "azure-identity-token"});
    assert_eq!(token["projected"]["sources"][0]["serviceAccountToken"], expected);

    let role = "arn:aws:iam::1:role/r".to_owned();
    let aws = with(StoreIdentity::Aws { role_arn: role.clone(), sts_endpoint: None });
    assert_eq!(variable(&aws, "AWS_ROLE_ARN"), role);
    assert_eq!(
        variable(&aws, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
    );
    assert!(!aws.to_string().contains("AWS_ENDPOINT_URL_STS") && !aws.to_string().contains("azure-identity"));
    assert!(!created(false, &spec()).to_string().contains("projected"), "no identity, no token");
}

#[test]
fn values_are_not_interpreted_and_secrets_are_in_the_secret_only() {
    let spec = spec();
    let mut job: Job = serde_json::from_value(created(false, &spec)).expect("a job");
    job.metadata.uid = Some("uid".to_owned());
    let (task, secret) = input(&job, &spec).expect("an input");
    let text = task.data.as_ref().and_then(|data| data.get("task.json")).expect("the task");
    assert_eq!(serde_json::from_str::<AgentTask>(text).expect("a task"), spec.task);
    assert_eq!(
        secret.string_data.as_ref().and_then(|data| data.get("password")).map(String::as_str),
        Some(NASTY)
    );
    for metadata in [&task.metadata, &secret.metadata] {
        let owner = &metadata.owner_references.as_ref().expect("an owner")[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()), ("Job", "t-1", "uid"));
    }
    let canary =
        JobSpec { secrets: BTreeMap::from([("password".to_owned(), crate::Secret::from("canary"))]), ..spec };
    assert!(!created(false, &canary).to_string().contains("canary"));
}

#[test]
fn repeated_launch_is_distinguished_from_another_task() {
    let spec = spec();
    let job: Job = serde_json::from_value(created(false, &spec)).expect("a job");
    assert!(has_task(&job, &spec).expect("read"));
    let other = JobSpec { task: AgentTask { attempt: 2, ..spec.task.clone() }, ..spec };
    assert!(!has_task(&job, &other).expect("read"));
}
