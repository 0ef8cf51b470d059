//! The YAML that every object starts from: built in, file by file replaceable. It is parsed once, into typed objects;
//! values are set on those, never put into text.

use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
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
        Ok(Self {
            backup_job: checked(built_in!("backup-job.yaml"), directory)?,
            restore_job: checked(built_in!("restore-job.yaml"), directory)?,
            volume: parse(built_in!("postgres-pvc.yaml"), directory)?,
            secret: parse(built_in!("postgres-secret.yaml"), directory)?,
            config: parse(built_in!("postgres-config.yaml"), directory)?,
            server: parse(built_in!("postgres-statefulset.yaml"), directory)?,
            service: parse(built_in!("postgres-service.yaml"), directory)?,
        })
    }
}

/// A Job's template that has what is filled in.
fn checked(template: (&str, &str), directory: Option<&Path>) -> Result<Job> {
    let job = parse(template, directory)?;
    super::objects::job::check(&job).map_err(|error| {
        Error::Impossible(format!("The template {} cannot be used: {error}.", template.0))
    })?;
    Ok(job)
}

fn parse<K>((name, built_in): (&str, &str), directory: Option<&Path>) -> Result<K>
where
    K: DeserializeOwned,
{
    let wrong = |place: String, error: String| {
        Error::Impossible(format!("The template {place} cannot be used: {error}"))
    };
    let path = directory.map(|directory| directory.join(name)).filter(|path| path.exists());
    let (place, text) = match path {
        None => (name.to_owned(), built_in.to_owned()),
        Some(path) => {
            let place = path.display().to_string();
            let text =
                std::fs::read_to_string(&path).map_err(|error| wrong(place.clone(), error.to_string()))?;
            (place, text)
        }
    };
    serde_saphyr::from_str(&text).map_err(|error| wrong(place, error.to_string()))
}
