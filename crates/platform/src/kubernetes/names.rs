//! Names and labels of everything that Toygres makes in a cluster.

use std::collections::BTreeMap;

use kube::ResourceExt;
use model::{InstanceId, name::Name};
use sha2::{Digest, Sha256};

/// Who applies fields.
pub(super) const FIELD_MANAGER: &str = "toygres";
/// Tells Toygres' objects from all others.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "toygres");
/// What an instance's parts are, so that its Service finds its server and not a job's pod.
pub(super) const APP: (&str, &str) = ("app.kubernetes.io/name", "postgres");
/// Which instance they are of, for people.
pub(super) const APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// On every part of an instance: its id.
pub(super) const INSTANCE: &str = "toygres.io/instance";
/// On a job, its pods and its input: the job's name.
pub(super) const JOB: &str = "toygres.io/job";
/// On a job: the run that launched it.
pub(super) const RUN: &str = "toygres.io/run";

/// The longest name of a StatefulSet whose pods can be labelled with its revision.
const LONGEST: usize = 52;

/// The name of all parts of an instance: the instance's own, if it can name a Service and is short enough; otherwise
/// what can be used of it, and a hash that keeps it apart from others.
pub(super) fn instance_object(name: &str) -> String {
    if name.len() <= LONGEST && Name::parse(name).is_ok_and(|parsed| parsed.as_str() == name) {
        return name.to_owned();
    }
    let hash = hex::encode(&Sha256::digest(name.as_bytes())[..4]);
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

/// The labels of every part of an instance.
pub(super) fn instance_labels(id: InstanceId) -> BTreeMap<String, String> {
    labels([(INSTANCE, id.to_string())])
}

/// The labels of a job and of everything that belongs to it.
pub(super) fn job_labels(job: &str, run: uuid::Uuid) -> BTreeMap<String, String> {
    labels([(JOB, job.to_owned()), (RUN, run.to_string())])
}

fn labels<const N: usize>(own: [(&str, String); N]) -> BTreeMap<String, String> {
    let managed = [(MANAGED_BY.0, MANAGED_BY.1.to_owned())];
    managed.into_iter().chain(own).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A selector of everything that Toygres made.
pub(super) fn ours() -> String {
    format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)
}

/// A selector of the parts of one instance.
pub(super) fn of_instance(id: InstanceId) -> String {
    format!("{},{INSTANCE}={id}", ours())
}

/// A selector of what belongs to one job.
pub(super) fn of_job(job: &str) -> String {
    format!("{},{JOB}={job}", ours())
}

/// Whether an object carries those of these labels that say whose it is; the others are for people and may change.
pub(super) fn carries(object: &impl ResourceExt, labels: &BTreeMap<String, String>) -> bool {
    let decisive = [MANAGED_BY.0, INSTANCE, JOB, RUN];
    decisive.iter().all(|key| labels.get(*key).is_none_or(|value| object.labels().get(*key) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = "a".repeat(63);
        let other = format!("{}b", "a".repeat(62));
        assert_eq!(instance_object("orders"), "orders");
        assert_eq!(instance_object(&long).len(), LONGEST);
        assert_ne!(instance_object(&long), instance_object(&other));
    }

    #[test]
    fn whatever_the_name_a_service_can_have_it() {
        for name in
            ["", "1st", "-", "Ünïcode \"x\"'\n${}: #", "../secrets", &"é".repeat(200), &"a-".repeat(100)]
        {
            let object = instance_object(name);
            assert!(Name::parse(&object).is_ok() && object.len() <= LONGEST, "{name:?} becomes {object:?}");
        }
        assert_ne!(instance_object("A"), instance_object("a"));
    }

    #[test]
    fn labels_for_people_do_not_decide_whose_an_object_is() {
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
