//! Reaching a cluster, and giving it an image. It knows nothing of what runs there.

use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{self, find, say};
use crate::image::{self, Builder};

/// A command prefix by which the cluster is reached, with KUBECONFIG set by it.
const EXEC: &str = "TOYGRES_TEST_CLUSTER_EXEC";
/// An image that the cluster has already.
const IMAGE: &str = "TOYGRES_IMAGE";

/// A program that can reach the cluster.
pub(crate) fn program(name: impl Into<std::ffi::OsString>) -> Command {
    let name = name.into();
    let prefix = std::env::var(EXEC).unwrap_or_default();
    let mut words = prefix.split_whitespace();
    let Some(first) = words.next() else { return Command::new(name) };
    let mut command = Command::new(first);
    command.args(words).arg(name);
    command
}

/// `kubectl` with arguments.
pub(crate) fn kubectl(args: &[&str]) -> Command {
    let mut kubectl = program("kubectl");
    kubectl.args(args);
    kubectl
}

/// Whether there is a cluster that somebody named. The one of an unnamed default is left alone: it may be in use.
///
/// # Errors
/// The one that the tests were told to use does not answer.
pub(crate) fn for_tests() -> anyhow::Result<bool> {
    let named = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let answers = || command::succeeds(&mut kubectl(&["--request-timeout=20s", "get", "--raw", "/readyz"]));
    if named(EXEC) {
        let asked = command::output(&mut kubectl(&["--request-timeout=20s", "get", "--raw", "/readyz"]));
        return asked
            .map(|_| true)
            .context("the cluster that TOYGRES_TEST_CLUSTER_EXEC reaches does not answer");
    }
    Ok(named("KUBECONFIG") && find("kubectl").is_some() && answers())
}

/// The name of the cluster in KUBECONFIG that is meant.
pub(crate) fn context() -> anyhow::Result<String> {
    let name = command::output(&mut kubectl(&["config", "current-context"]))
        .context("find the cluster: KUBECONFIG names no current context")?;
    Ok(name.trim().to_owned())
}

/// How an image that was built here gets into the cluster.
#[derive(Debug, PartialEq, Eq)]
enum Loader {
    /// It is there once it is built.
    Built,
    /// By this command, with the tag at its end.
    By(Vec<String>),
}

/// An image of this build that the cluster has: the one in TOYGRES_IMAGE, or one that is built and loaded now.
pub(crate) fn image() -> anyhow::Result<String> {
    if let Some(given) = std::env::var(IMAGE).ok().filter(|image| !image.is_empty()) {
        return Ok(given);
    }
    let context = context()?;
    let Some(loader) = Builder::find().and_then(|builder| loader(&builder, &context)) else {
        bail!(
            "How an image gets into the cluster {context} is not known here (kind, minikube and Docker Desktop are). Build it with `cargo xtask image --tag REGISTRY/toygres:TAG`, push it, and set {IMAGE} to that."
        );
    };
    image::build(image::TAG, false)?;
    if let Loader::By(words) = loader {
        say(&format!("Loading {} into {context}", image::TAG));
        command::run(Command::new(&words[0]).args(&words[1..]).arg(image::TAG))?;
    }
    Ok(image::TAG.to_owned())
}

fn loader(builder: &Builder, context: &str) -> Option<Loader> {
    let words = |words: &[&str]| Some(Loader::By(words.iter().map(ToString::to_string).collect()));
    match (builder, context) {
        (Builder::Cluster(_), _)
        | (Builder::Tool("docker"), "docker-desktop" | "rancher-desktop" | "orbstack") => Some(Loader::Built),
        (Builder::Tool("docker" | "podman"), _) if context.starts_with("kind-") => {
            words(&["kind", "load", "docker-image", "--name", &context["kind-".len()..]])
        }
        (Builder::Tool("docker" | "podman"), "minikube") => words(&["minikube", "image", "load"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_loaded_only_where_it_is_known_how() {
        let docker = Builder::Tool("docker");
        assert_eq!(loader(&Builder::Cluster("load".into()), "anywhere"), Some(Loader::Built));
        assert_eq!(loader(&docker, "docker-desktop"), Some(Loader::Built));
        let kind = ["kind", "load", "docker-image", "--name", "dev"].map(str::to_owned).to_vec();
        assert_eq!(loader(&docker, "kind-dev"), Some(Loader::By(kind)));
        assert_eq!(loader(&docker, "production"), None);
        assert_eq!(loader(&Builder::Tool("buildah"), "docker-desktop"), None);
    }
}
