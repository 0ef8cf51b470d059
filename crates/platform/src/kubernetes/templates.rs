//! The YAML templates of all objects. Each built-in template can be replaced by a file. They are parsed into typed objects and
//! checked once; values are set on the objects, never inserted into text.

mod checks;

use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
use model::{Failure, FailureCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};
use checks::Checked;

/// All templates.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    pub(super) backup_job: Job,
    pub(super) restore_job: Job,
    pub(super) volume: PersistentVolumeClaim,
    pub(super) secret: Secret,
    pub(super) config: ConfigMap,
    pub(super) server: StatefulSet,
    pub(super) service: Service,
}

/// The name and text of a built-in template, from the directory `templates/` of the repository.
macro_rules! built_in {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../templates/", $name)))
    };
}

impl Templates {
    /// Parses the built-in templates and those in `directory` that replace one.
    ///
    /// # Errors
    /// [`FailureCode::PlatformSettingsInvalid`] with the file and the field: a file cannot be read, is of another kind, or
    /// lacks a field that Toygres sets.
    pub(super) fn load(directory: Option<&Path>) -> Result<Self> {
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            let detail = format!("the directory {} does not exist", directory.display());
            return Err(Failure::new(FailureCode::PlatformSettingsInvalid, detail)
                .on("TOYGRES_TEMPLATES")
                .into());
        }
        Ok(Self {
            backup_job: parse(built_in!("backup-job.yaml"), directory, checks::backup_job)?,
            restore_job: parse(built_in!("restore-job.yaml"), directory, checks::restore_job)?,
            volume: parse(built_in!("postgres-pvc.yaml"), directory, checks::volume)?,
            secret: parse(built_in!("postgres-secret.yaml"), directory, |_| Ok(()))?,
            config: parse(built_in!("postgres-config.yaml"), directory, checks::config)?,
            server: parse(built_in!("postgres-statefulset.yaml"), directory, checks::server)?,
            service: parse(built_in!("postgres-service.yaml"), directory, checks::service)?,
        })
    }
}

/// Parses and checks one template.
fn parse<K>(
    (name, built_in): (&str, &str),
    directory: Option<&Path>,
    check: impl Fn(&K) -> Checked,
) -> Result<K>
where
    K: DeserializeOwned + Serialize,
{
    let path = directory.map(|directory| directory.join(name)).filter(|path| path.exists());
    let file = path.as_ref().map_or_else(|| name.to_owned(), |path| path.display().to_string());
    let invalid = |error: String| -> Error {
        Failure::new(FailureCode::PlatformSettingsInvalid, error.trim_end()).on(&*file).into()
    };
    let text = match path {
        None => built_in.to_owned(),
        Some(path) => std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?,
    };
    let written: serde_json::Value =
        serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let object: K = serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let parsed = serde_json::to_value(&object).map_err(|error| invalid(error.to_string()))?;
    checks::no_unknown_fields(&written, &parsed, "").map_err(&invalid)?;
    check(&object).map_err(invalid)?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The failure that a change of one template causes.
    fn failure_with(name: &str, built_in: &str, from: &str, to: &str) -> Option<Failure> {
        assert!(built_in.contains(from), "{name} has no {from:?}");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(name), built_in.replace(from, to)).expect("write");
        let failure = Failure::from(Templates::load(Some(directory.path())).err()?);
        assert_eq!(failure.code, FailureCode::PlatformSettingsInvalid);
        let file = directory.path().join(name).display().to_string();
        assert_eq!(failure.subject, Some(file), "{failure}");
        Some(failure)
    }

    #[test]
    fn template_without_a_required_field_is_refused_with_the_field() {
        let server = built_in!("postgres-statefulset.yaml");
        let job = built_in!("restore-job.yaml");
        let changes = [
            (server, "- name: postgres\n", "- name: database\n", "spec.template.spec.containers[postgres]"),
            (server, "name: initialise", "name: prepare", "spec.template.spec.initContainers[initialise]"),
            (server, "name: data, persistent", "name: files, persistent", "spec.template.spec.volumes[data]"),
            (
                server,
                "config, configMap: { name: set-by-toygres }",
                "config, emptyDir: {}",
                "volumes[config]",
            ),
            (server, "resources: &resources", "resource: &resources", "initContainers[0].resource"),
            (server, "kind: StatefulSet", "kind: Deployment", "StatefulSet"),
            (server, "replicas: 1", "replicas: one", "replicas"),
            (job, "restartPolicy: Never", "restartPolicy: OnFailure", "spec.template.spec.restartPolicy"),
            (job, "backoffLimit: 0", "backoffLimit: 3", "spec.backoffLimit"),
            (job, "- name: agent\n", "- name: copy\n", "spec.template.spec.initContainers[agent]"),
            (job, "restartPolicy: Always", "restartPolicy: null", "initContainers[postgres]"),
            (
                job,
                "{ name: server-tmp, mountPath: /tmp }",
                "{ name: secrets, mountPath: /tmp }",
                "[secrets] is a secret",
            ),
            (
                job,
                "{ name: HOME, value: /tmp }",
                "{ name: X, valueFrom: {} }",
                "initContainers[postgres].env",
            ),
            (built_in!("postgres-pvc.yaml"), "10Gi", "ten", "spec.resources.requests.storage"),
            (built_in!("postgres-config.yaml"), "pg_hba.conf: |", "hba.conf: |", "data[pg_hba.conf]"),
            (built_in!("postgres-service.yaml"), "port: 5432", "port: 5433", "spec.ports"),
        ];
        for ((name, built_in), from, to, field) in changes {
            let failure =
                failure_with(name, built_in, from, to).unwrap_or_else(|| panic!("{to:?} is refused"));
            assert!(failure.detail.contains(field), "{field} is missing in {failure}");
        }
    }

    #[test]
    fn other_fields_of_a_template_can_be_changed() {
        let server = built_in!("postgres-statefulset.yaml");
        let changes = [
            (server, "memory: 512Mi", "memory: 4Gi"),
            (server, "999", "70"),
            (
                server,
                "    spec:\n",
                "    spec:\n      nodeSelector: { disk: ssd }\n      imagePullSecrets: [{ name: registry }]\n",
            ),
            (built_in!("postgres-pvc.yaml"), "spec:\n", "spec:\n  storageClassName: fast\n"),
            (built_in!("postgres-config.yaml"), "127.0.0.1/32 scram-sha-256", "127.0.0.1/32 trust"),
        ];
        for ((name, built_in), from, to) in changes {
            assert_eq!(failure_with(name, built_in, from, to), None);
        }
    }

    #[test]
    fn missing_directory_is_refused() {
        let error = Templates::load(Some(Path::new("/nowhere"))).expect_err("the directory does not exist");
        assert_eq!(error.code(), FailureCode::PlatformSettingsInvalid);
        assert_eq!(error.failure().subject.as_deref(), Some("TOYGRES_TEMPLATES"));
    }
}
