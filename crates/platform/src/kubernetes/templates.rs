//! The YAML that every object starts from: built in, file by file replaceable. It is parsed and checked once, into typed
//! objects; values are set on those, never put into text.

mod checks;

use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// All templates, parsed.
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

/// The built-in text of a template, from the project's folder `templates/`.
macro_rules! built_in {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../templates/", $name)))
    };
}

impl Templates {
    /// Parses the built-in templates and those in `directory` that replace one.
    ///
    /// # Errors
    /// A file cannot be read, is not the object that it should be, or lacks what Toygres fills in.
    pub(super) fn load(directory: Option<&Path>) -> Result<Self> {
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            return Err(Error::Impossible(format!(
                "The directory of templates {} is not there. Mend TOYGRES_TEMPLATES, or leave it away.",
                directory.display()
            )));
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

/// What is wrong with a template: the field, and what is the matter with it.
type Checked = std::result::Result<(), String>;

fn parse<K>(
    (name, built_in): (&str, &str),
    directory: Option<&Path>,
    check: impl Fn(&K) -> Checked,
) -> Result<K>
where
    K: DeserializeOwned + Serialize,
{
    let path = directory.map(|directory| directory.join(name)).filter(|path| path.exists());
    let place = path.as_ref().map_or_else(|| name.to_owned(), |path| path.display().to_string());
    let wrong = |error: String| {
        Error::Impossible(format!("The template {place} cannot be used: {}", error.trim_end()))
    };
    let text = match path {
        None => built_in.to_owned(),
        Some(path) => std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?,
    };
    let written = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let object: K = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let understood = serde_json::to_value(&object).map_err(|error| wrong(error.to_string()))?;
    checks::nothing_unknown(&written, &understood, "").map_err(&wrong)?;
    check(&object).map_err(wrong)?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error that a change of one template makes.
    fn with(name: &str, built_in: &str, from: &str, to: &str) -> Option<String> {
        assert!(built_in.contains(from), "{name} has no {from:?}");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(name), built_in.replace(from, to)).expect("write");
        let error = Templates::load(Some(directory.path())).err()?.to_string();
        assert!(error.contains(name), "the file is named: {error}");
        Some(error)
    }

    #[test]
    fn a_template_without_what_is_filled_in_names_file_and_field() {
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
            (built_in!("postgres-pvc.yaml"), "10Gi", "ten", "spec.resources.requests.storage"),
            (built_in!("postgres-config.yaml"), "pg_hba.conf: |", "hba.conf: |", "data[pg_hba.conf]"),
            (built_in!("postgres-service.yaml"), "port: 5432", "port: 5433", "spec.ports"),
        ];
        for ((name, built_in), from, to, field) in changes {
            let error = with(name, built_in, from, to).unwrap_or_else(|| panic!("{to:?} is refused"));
            assert!(error.contains(field), "{field} is named: {error}");
        }
    }

    #[test]
    fn what_is_a_person_s_to_change_is_taken() {
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
            (built_in!("postgres-config.yaml"), "127.0.0.1/32 trust", "127.0.0.1/32 scram-sha-256"),
        ];
        for ((name, built_in), from, to) in changes {
            assert_eq!(with(name, built_in, from, to), None);
        }
    }

    #[test]
    fn a_missing_directory_is_not_the_built_in_templates() {
        let error = Templates::load(Some(Path::new("/nowhere"))).expect_err("it is not there").to_string();
        assert!(error.contains("/nowhere") && error.contains("TOYGRES_TEMPLATES"), "{error}");
    }
}
