//! Names and labels of everything that Toygres makes in a cluster.

use std::collections::BTreeMap;

use kube::ResourceExt;
use model::InstanceId;
use sha2::{Digest, Sha256};

/// Who applies fields.
pub(super) const FIELD_MANAGER: &str = "toygres";
/// Tells Toygres' objects from all others.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "toygres");
/// On every part of an instance: its id.
pub(super) const INSTANCE: &str = "toygres.io/instance";
/// On a job, its pods and its input: the job's name.
pub(super) const JOB: &str = "toygres.io/job";
/// On a job: the run that launched it.
pub(super) const RUN: &str = "toygres.io/run";

/// The longest name of a StatefulSet whose pods can be labelled with its revision.
const LONGEST: usize = 52;

/// The name of all parts of an instance: the instance's own, shortened to what Kubernetes takes.
pub(super) fn instance_object(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let hash = hex::encode(&Sha256::digest(name.as_bytes())[..4]);
    format!("{}-{hash}", name[..LONGEST - 9].trim_end_matches('-'))
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

/// Whether an object carries all of these labels.
pub(super) fn carries(object: &impl ResourceExt, labels: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(key, value)| object.labels().get(key) == Some(value))
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
}
