//! Access to a cluster, and the container image that it runs.

use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{self, find, step};
use crate::image::{self, Builder};

/// Names the start of a command line that runs a program where the cluster is reachable, with KUBECONFIG set.
const EXEC: &str = "TOYGRES_TEST_CLUSTER_EXEC";
/// Names a container image that the cluster already has.
const IMAGE: &str = "TOYGRES_IMAGE";

/// A command that can reach the cluster.
pub(crate) fn program(name: impl Into<std::ffi::OsString>) -> Command {
    let name = name.into();
    let prefix = std::env::var(EXEC).unwrap_or_default();
    let mut parts = prefix.split_whitespace();
    let Some(first) = parts.next() else { return Command::new(name) };
    let mut command = Command::new(first);
    command.args(parts).arg(name);
    command
}

/// `kubectl` with arguments.
pub(crate) fn kubectl(args: &[&str]) -> Command {
    let mut kubectl = program("kubectl");
    kubectl.args(args);
    kubectl
}

/// Whether a cluster was named that the tests can reach. The default of kubectl does not count: it may be in use.
///
/// # Errors
/// The cluster of TOYGRES_TEST_CLUSTER_EXEC does not answer.
pub(crate) fn for_tests() -> anyhow::Result<bool> {
    let named = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let mut ready = kubectl(&["--request-timeout=20s", "get", "--raw", "/readyz"]);
    if named(EXEC) {
        command::output(&mut ready).context("the cluster of TOYGRES_TEST_CLUSTER_EXEC does not answer")?;
        return Ok(true);
    }
    Ok(named("KUBECONFIG") && find("kubectl").is_some() && command::succeeds(&mut ready))
}

/// The name of the current context in KUBECONFIG.
pub(crate) fn context() -> anyhow::Result<String> {
    let name = command::output(&mut kubectl(&["config", "current-context"]))
        .context("find the cluster: KUBECONFIG names no current context")?;
    Ok(name.trim().to_owned())
}

/// How a container image gets into the cluster.
#[derive(Debug, PartialEq, Eq)]
enum Loader {
    /// The builder loads it.
    Built,
    /// This command does, with the tag as its last argument.
    Command(Vec<String>),
}

/// A container image that the cluster has: that of TOYGRES_IMAGE, else one that is built and loaded now.
pub(crate) fn image() -> anyhow::Result<String> {
    if let Some(given) = std::env::var(IMAGE).ok().filter(|image| !image.is_empty()) {
        return Ok(given);
    }
    let context = context()?;
    let Some(loader) = Builder::find().and_then(|builder| loader(&builder, &context)) else {
        bail!(
            "xtask can load container images only into kind, minikube and Docker Desktop, not into {context}. Build one with `cargo xtask image --tag REGISTRY/toygres:TAG`, push it, and set {IMAGE} to its name."
        );
    };
    image::build(image::TAG, false)?;
    if let Loader::Command(command_line) = loader {
        step(&format!("Loading {} into {context}", image::TAG));
        command::run(Command::new(&command_line[0]).args(&command_line[1..]).arg(image::TAG))?;
    }
    Ok(image::TAG.to_owned())
}

fn loader(builder: &Builder, context: &str) -> Option<Loader> {
    let command = |parts: &[&str]| Some(Loader::Command(parts.iter().map(ToString::to_string).collect()));
    match (builder, context) {
        (Builder::Cluster(_), _)
        | (Builder::Tool("docker"), "docker-desktop" | "rancher-desktop" | "orbstack") => Some(Loader::Built),
        (Builder::Tool("docker" | "podman"), _) if context.starts_with("kind-") => {
            command(&["kind", "load", "docker-image", "--name", &context["kind-".len()..]])
        }
        (Builder::Tool("docker" | "podman"), "minikube") => command(&["minikube", "image", "load"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_loaded_only_into_known_clusters() {
        let docker = Builder::Tool("docker");
        assert_eq!(loader(&Builder::Cluster("load".into()), "anywhere"), Some(Loader::Built));
        assert_eq!(loader(&docker, "docker-desktop"), Some(Loader::Built));
        let kind = ["kind", "load", "docker-image", "--name", "dev"].map(str::to_owned).to_vec();
        assert_eq!(loader(&docker, "kind-dev"), Some(Loader::Command(kind)));
        assert_eq!(loader(&docker, "production"), None);
        assert_eq!(loader(&Builder::Tool("buildah"), "docker-desktop"), None);
    }
}
