//! What `--platform kubernetes` is told by flags and variables. It knows no cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use platform::kubernetes::KubernetesConfig;

/// The official images; a person who pins digests or mirrors them names their own.
const POSTGRES_IMAGES: &str = "14=docker.io/library/postgres:14,15=docker.io/library/postgres:15,16=docker.io/library/postgres:16,17=docker.io/library/postgres:17,18=docker.io/library/postgres:18";

/// With `--platform kubernetes`.
#[derive(Args, Clone)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct Kubernetes {
    /// Where instances and jobs live. Nothing else should.
    #[arg(long, env = "TOYGRES_NAMESPACE", default_value = "toygres-managed", value_name = "NAMESPACE")]
    namespace: String,
    /// Where Toygres itself lives; its Secrets are never read.
    #[arg(
        long,
        env = "TOYGRES_SYSTEM_NAMESPACE",
        default_value = "toygres-system",
        value_name = "NAMESPACE"
    )]
    system_namespace: String,
    /// The image of Toygres, from which jobs take the agent; needed on Kubernetes.
    #[arg(long, env = "TOYGRES_IMAGE", value_name = "IMAGE")]
    image: Option<String>,
    /// The PostgreSQL image of each major version, by tag or digest.
    #[arg(long, env = "TOYGRES_POSTGRES_IMAGES", default_value = POSTGRES_IMAGES, value_delimiter = ',',
        value_parser = of_major, hide_default_value = true, value_name = "MAJOR=IMAGE")]
    postgres_images: Vec<(i32, String)>,
    /// The same for instances of type pg_durable; versions without one do not offer that type.
    #[arg(long, env = "TOYGRES_PG_DURABLE_IMAGES", value_delimiter = ',', value_parser = of_major,
        value_name = "MAJOR=IMAGE")]
    pg_durable_images: Vec<(i32, String)>,
    /// What instances of type pg_durable preload.
    #[arg(
        long,
        env = "TOYGRES_PG_DURABLE_PRELOAD",
        default_value = "pg_durable",
        value_delimiter = ',',
        value_name = "LIBRARY"
    )]
    pg_durable_preload: Vec<String>,
    /// The service account of jobs, in the namespace of instances.
    #[arg(long, env = "TOYGRES_JOB_SERVICE_ACCOUNT", default_value = "toygres-job", value_name = "NAME")]
    job_service_account: String,
    /// The storage class of volumes [default: the cluster's default].
    #[arg(long, env = "TOYGRES_STORAGE_CLASS", value_name = "NAME")]
    storage_class: Option<String>,
    /// A directory whose files replace the built-in templates of the same name.
    #[arg(long, env = "TOYGRES_TEMPLATES", value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Namespaces whose Secrets may be read, if they are labelled toygres.io/readable=true.
    #[arg(long, env = "TOYGRES_SECRET_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    secret_namespaces: Vec<String>,
    /// For how many seconds the identity token of a job is valid; it is renewed before.
    #[arg(long, env = "TOYGRES_TOKEN_SECONDS", default_value = "3600", value_name = "SECONDS",
        value_parser = clap::value_parser!(i64).range(600..=86400))]
    token_seconds: i64,
    /// For how many seconds a job stays in the cluster after its end and its log were kept.
    #[arg(long, env = "TOYGRES_JOB_TTL", default_value = "300", value_name = "SECONDS",
        value_parser = clap::value_parser!(i32).range(0..))]
    job_ttl: i32,
}

impl Kubernetes {
    /// All of it, as the platform takes it.
    ///
    /// # Errors
    /// The image is missing, or Secrets of Toygres' own namespaces would be readable.
    pub(crate) fn config(&self) -> anyhow::Result<KubernetesConfig> {
        let given = |text: &String| !text.is_empty();
        let agent_image = self.image.clone().filter(given).context(
            "On Kubernetes, TOYGRES_IMAGE names the image of Toygres, from which jobs take the agent. Set it.",
        )?;
        let secret_namespaces: Vec<String> =
            self.secret_namespaces.iter().filter(|name| given(name)).cloned().collect();
        for own in [&self.namespace, &self.system_namespace] {
            ensure!(
                !secret_namespaces.contains(own),
                "TOYGRES_SECRET_NAMESPACES names {own}, which is Toygres' own: its Secrets are never read for others. Leave it out."
            );
        }
        Ok(KubernetesConfig {
            namespace: self.namespace.clone(),
            system_namespace: self.system_namespace.clone(),
            agent_image,
            postgres_images: self.postgres_images.iter().cloned().collect(),
            pg_durable_images: self.pg_durable_images.iter().cloned().collect::<BTreeMap<_, _>>(),
            pg_durable_preload: self
                .pg_durable_preload
                .iter()
                .filter(|library| given(library))
                .cloned()
                .collect(),
            job_service_account: self.job_service_account.clone(),
            storage_class: self.storage_class.clone().filter(given),
            templates: self.templates.clone().filter(|directory| !directory.as_os_str().is_empty()),
            secret_namespaces,
            token_seconds: self.token_seconds,
            job_ttl_seconds: self.job_ttl,
        })
    }
}

fn of_major(text: &str) -> Result<(i32, String), String> {
    let (major, image) = text.trim().split_once('=').unwrap_or_default();
    match major.parse() {
        Ok(major) if !image.is_empty() => Ok((major, image.to_owned())),
        _ => Err(format!("`{text}` is not like 17=docker.io/library/postgres:17")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        kubernetes: Kubernetes,
    }

    fn config(args: &[&str]) -> anyhow::Result<KubernetesConfig> {
        Cli::try_parse_from([&["toygres-server"], args].concat())?.kubernetes.config()
    }

    #[test]
    fn every_supported_version_has_an_image_and_another_can_be_named_by_digest() -> anyhow::Result<()> {
        let stock = config(&["--image", "toygres:dev"])?;
        assert_eq!(stock.postgres_images.keys().copied().collect::<Vec<_>>(), [14, 15, 16, 17, 18]);
        let pinned = config(&["--image", "toygres:dev", "--postgres-images", "17=postgres@sha256:0a1b"])?;
        assert_eq!(pinned.postgres_images, BTreeMap::from([(17, "postgres@sha256:0a1b".to_owned())]));
        Ok(())
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_its_fix() {
        let words = |args: &[&str]| config(args).map(drop).map_err(|error| error.to_string());
        assert!(words(&[]).is_err_and(|words| words.contains("TOYGRES_IMAGE")));
        let own = ["--image", "toygres:dev", "--secret-namespaces", "shop,toygres-system"];
        assert!(words(&own).is_err_and(|words| words.contains("toygres-system")));
        let nameless = ["--image", "toygres:dev", "--postgres-images", "postgres:17"];
        assert!(words(&nameless).is_err_and(|words| words.contains("17=docker.io/library/postgres:17")));
    }
}
