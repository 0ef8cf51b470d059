//! The names and labels of the objects that Toygres creates in a cluster.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use kube::ResourceExt;
use model::{InstanceId, name::Name};
use sha2::{Digest, Sha256};

/// The field manager of server-side apply.
pub(super) const FIELD_MANAGER: &str = "toygres";
/// The label of every object of Toygres.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "toygres");
/// The label of an instance's parts: its Service selects the server's pod, not a job's.
pub(super) const APP: (&str, &str) = ("app.kubernetes.io/name", "postgres");
/// The label with the instance's name, for people.
pub(super) const APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// The label of an instance's parts with its ID.
pub(super) const INSTANCE: &str = "toygres.io/instance";
/// The label of a job, its pod and its input with the job's name.
pub(super) const JOB: &str = "toygres.io/job";
/// The label of a job with the run that launched it.
pub(super) const RUN: &str = "toygres.io/run";

/// The container of the server in the template of the StatefulSet.
pub(super) const SERVER_CONTAINER: &str = "postgres";
/// The init container that initialises an empty volume in the template of the StatefulSet.
pub(super) const INITIALISE_CONTAINER: &str = "initialise";
/// The init container that copies the agent in the templates of Jobs.
pub(super) const AGENT_CONTAINER: &str = "agent";
/// The port of a server's Service.
pub(super) const POSTGRES_PORT: u16 = 5432;

/// The longest name of a StatefulSet: its pods have a label with the name and the revision.
const LONGEST: usize = 52;

/// The name of the parts of an instance: the instance's own if it is a valid and short enough name of a Service, otherwise
/// its valid characters and a hash.
pub(super) fn instance_object(name: &str) -> String {
    if name.len() <= LONGEST && Name::parse(name).is_ok_and(|parsed| parsed.as_str() == name) {
        return name.to_owned();
    }
    let hash = HEXLOWER.encode(&Sha256::digest(name.as_bytes())[..4]);
    let usable: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(LONGEST - 1 - hash.len())
        .collect();
    match usable.trim_end_matches('-') {
        "" => format!("instance-{hash}"),
        usable => format!("{usable}-{hash}"),
    }
}

/// The labels that identify the parts of an instance.
pub(super) fn instance_labels(id: InstanceId) -> BTreeMap<String, String> {
    labels([(INSTANCE, id.to_string())])
}

/// The labels that identify a job and its parts.
pub(super) fn job_labels(job: &str, run: uuid::Uuid) -> BTreeMap<String, String> {
    labels([(JOB, job.to_owned()), (RUN, run.to_string())])
}

fn labels<const N: usize>(own: [(&str, String); N]) -> BTreeMap<String, String> {
    let managed = [(MANAGED_BY.0, MANAGED_BY.1.to_owned())];
    managed.into_iter().chain(own).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The selector of all objects of Toygres.
pub(super) fn ours() -> String {
    format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)
}

/// The selector of the parts of an instance.
pub(super) fn of_instance(id: InstanceId) -> String {
    format!("{},{INSTANCE}={id}", ours())
}

/// The selector of the parts of a job.
pub(super) fn of_job(job: &str) -> String {
    format!("{},{JOB}={job}", ours())
}

/// Whether an object has those of the labels that identify its owner. The other labels are for people and may change.
pub(super) fn carries(object: &impl ResourceExt, labels: &BTreeMap<String, String>) -> bool {
    let identifying = [MANAGED_BY.0, INSTANCE, JOB, RUN];
    identifying
        .iter()
        .all(|key| labels.get(*key).is_none_or(|value| object.labels().get(*key) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_remain_distinct() {
        let long = "a".repeat(63);
        let other = format!("{}b", "a".repeat(62));
        assert_eq!(instance_object("orders"), "orders");
        assert_eq!(instance_object(&long).len(), LONGEST);
        assert_ne!(instance_object(&long), instance_object(&other));
    }

    #[test]
    fn object_name_of_any_instance_name_is_valid() {
        for name in
            ["", "1st", "-", "Ünïcode \"x\"'\n${}: #", "../secrets", &"é".repeat(200), &"a-".repeat(100)]
        {
            let object = instance_object(name);
            assert!(
                Name::parse(&object).is_ok() && object.len() <= LONGEST,
                "{name:?} results in {object:?}"
            );
        }
        assert_ne!(instance_object("A"), instance_object("a"));
    }

    #[test]
    fn labels_for_people_do_not_identify_the_owner() {
        let id = InstanceId::from(uuid::Uuid::now_v7());
        let mut config = k8s_openapi::api::core::v1::ConfigMap::default();
        config.metadata.labels = Some(instance_labels(id));
        let mut wanted = instance_labels(id);
        wanted.insert("app.kubernetes.io/name".to_owned(), "postgres".to_owned());
        assert!(carries(&config, &wanted));
        assert!(!carries(&config, &instance_labels(InstanceId::from(uuid::Uuid::now_v7()))));
        config.labels_mut().remove(MANAGED_BY.0);
        assert!(!carries(&config, &wanted));
    }
}
