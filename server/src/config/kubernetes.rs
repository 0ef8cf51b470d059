//! The options of `--platform kubernetes`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use platform::kubernetes::KubernetesConfig;

/// The official container images.
const POSTGRES_IMAGES: &str = "14=docker.io/library/postgres:14,15=docker.io/library/postgres:15,16=docker.io/library/postgres:16,17=docker.io/library/postgres:17,18=docker.io/library/postgres:18";

/// The options of `--platform kubernetes`.
#[derive(Args, Clone)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct Kubernetes {
    /// The namespace of instances and jobs. Use it for nothing else.
    #[arg(long, env = "TOYGRES_NAMESPACE", default_value = "toygres-managed", value_name = "NAMESPACE")]
    namespace: String,
    /// The namespace of Toygres itself. Its Secrets are never read.
    #[arg(
        long,
        env = "TOYGRES_SYSTEM_NAMESPACE",
        default_value = "toygres-system",
        value_name = "NAMESPACE"
    )]
    system_namespace: String,
    /// The container image of Toygres, which contains the agent of jobs. Required on Kubernetes.
    #[arg(long, env = "TOYGRES_IMAGE", value_name = "IMAGE")]
    image: Option<String>,
    /// The PostgreSQL container image of each major version, by tag or digest [default: docker.io/library/postgres].
    #[arg(long, env = "TOYGRES_POSTGRES_IMAGES", default_value = POSTGRES_IMAGES, value_delimiter = ',',
        value_parser = image_of_major, hide_default_value = true, value_name = "MAJOR=IMAGE")]
    postgres_images: Vec<(i32, String)>,
    /// The container image of each major version for instances of type pg_durable. Versions without one do not support it.
    #[arg(long, env = "TOYGRES_PG_DURABLE_IMAGES", value_delimiter = ',', value_parser = image_of_major,
        value_name = "MAJOR=IMAGE")]
    pg_durable_images: Vec<(i32, String)>,
    /// The libraries that instances of type pg_durable preload.
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
    /// A directory of templates that replace the built-in ones of the same name.
    #[arg(long, env = "TOYGRES_TEMPLATES", value_name = "DIR")]
    templates: Option<PathBuf>,
    /// The namespaces whose Secrets with the label toygres.io/readable=true may be read.
    #[arg(long, env = "TOYGRES_SECRET_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    secret_namespaces: Vec<String>,
    /// The lifetime of a job's identity token in seconds. It is renewed before it expires.
    #[arg(long, env = "TOYGRES_TOKEN_SECONDS", default_value = "3600", value_name = "SECONDS",
        value_parser = clap::value_parser!(i64).range(600..=86400))]
    token_seconds: i64,
    /// How many seconds a job is kept in the cluster after its end and its log were recorded.
    #[arg(long, env = "TOYGRES_JOB_TTL", default_value = "300", value_name = "SECONDS",
        value_parser = clap::value_parser!(i32).range(0..))]
    job_ttl: i32,
}

impl Kubernetes {
    /// The configuration of the platform.
    ///
    /// # Errors
    /// The container image is missing, or a namespace of Toygres is named as readable.
    pub(crate) fn config(&self) -> anyhow::Result<KubernetesConfig> {
        let is_given = |text: &String| !text.is_empty();
        let agent_image = self.image.clone().filter(is_given).context(
            "TOYGRES_IMAGE is not set. On Kubernetes, set it to the container image of Toygres, which contains the agent of jobs.",
        )?;
        let secret_namespaces: Vec<String> =
            self.secret_namespaces.iter().filter(|name| is_given(name)).cloned().collect();
        for own in [&self.namespace, &self.system_namespace] {
            ensure!(
                !secret_namespaces.contains(own),
                "TOYGRES_SECRET_NAMESPACES contains {own}, a namespace of Toygres itself, whose Secrets are never read. Remove it."
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
                .filter(|library| is_given(library))
                .cloned()
                .collect(),
            job_service_account: self.job_service_account.clone(),
            storage_class: self.storage_class.clone().filter(is_given),
            templates: self.templates.clone().filter(|directory| !directory.as_os_str().is_empty()),
            secret_namespaces,
            token_seconds: self.token_seconds,
            job_ttl_seconds: self.job_ttl,
        })
    }
}

/// Parses `MAJOR=IMAGE`.
fn image_of_major(text: &str) -> Result<(i32, String), String> {
    let (major, image) = text.trim().split_once('=').unwrap_or_default();
    match major.parse() {
        Ok(major) if !image.is_empty() => Ok((major, image.to_owned())),
        _ => Err("expected MAJOR=IMAGE, such as 17=docker.io/library/postgres:17".to_owned()),
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
    fn default_container_images_cover_all_versions_and_can_be_replaced() -> anyhow::Result<()> {
        let default = config(&["--image", "toygres:dev"])?;
        assert_eq!(default.postgres_images.keys().copied().collect::<Vec<_>>(), [14, 15, 16, 17, 18]);
        let pinned = config(&["--image", "toygres:dev", "--postgres-images", "17=postgres@sha256:0a1b"])?;
        assert_eq!(pinned.postgres_images, BTreeMap::from([(17, "postgres@sha256:0a1b".to_owned())]));
        Ok(())
    }

    #[test]
    fn missing_or_invalid_option_is_named_with_its_fix() {
        let error = |args: &[&str]| config(args).map(drop).map_err(|error| error.to_string());
        assert!(error(&[]).is_err_and(|message| message.contains("TOYGRES_IMAGE")));
        let own = ["--image", "toygres:dev", "--secret-namespaces", "shop,toygres-system"];
        assert!(error(&own).is_err_and(|message| message.contains("toygres-system")));
        let without_major = ["--image", "toygres:dev", "--postgres-images", "postgres:17"];
        assert!(
            error(&without_major).is_err_and(|message| message.contains("17=docker.io/library/postgres:17"))
        );
    }
}
