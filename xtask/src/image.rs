//! The container image: copies programs, site and Dockerfile to `target/image` and builds there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::build::{self, Profile};
use crate::command::{self, find, root, step};
use crate::setup;

/// The default tag.
pub(crate) const TAG: &str = "toygres:dev";
/// Names a program that builds a context and loads the image into a cluster: `PROGRAM NAME:TAG CONTEXT`.
const CLUSTER_BUILDER: &str = "TOYGRES_TEST_CLUSTER_IMAGE";
/// The version of glibc in the base image: a program that is linked to a newer one does not start there.
const BASE_GLIBC: (u32, u32) = (2, 36);

/// A program that builds container images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Builder {
    /// It also loads them into a cluster.
    Cluster(PathBuf),
    /// `docker`, `podman` or `buildah`.
    Tool(&'static str),
}

impl Builder {
    /// The first one that works on this machine.
    pub(crate) fn find() -> Option<Self> {
        if let Some(program) = std::env::var_os(CLUSTER_BUILDER).filter(|program| !program.is_empty()) {
            return Some(Self::Cluster(program.into()));
        }
        // A docker client without a daemon builds nothing.
        let works = |tool: &&str| find(tool).is_some() && command::succeeds(Command::new(tool).arg("info"));
        ["docker", "podman", "buildah"].into_iter().find(works).map(Self::Tool)
    }

    fn build(&self, tag: &str, context: &Path) -> anyhow::Result<()> {
        let mut build = match self {
            Self::Cluster(program) => Command::new(program),
            Self::Tool(tool) => {
                let mut build = Command::new(tool);
                build.args(["build", "-t"]);
                build
            }
        };
        command::run(build.arg(tag).arg(context))
    }
}

/// Builds the container image.
///
/// # Errors
/// There is no builder on this machine.
pub(crate) fn build(tag: &str, release: bool) -> anyhow::Result<Builder> {
    let context = context(release)?;
    let Some(builder) = Builder::find() else {
        bail!(
            "No docker, podman or buildah works on this machine. The build context is {}: build it where one does.",
            context.display()
        );
    };
    step(&format!("Building the container image {tag}"));
    builder.build(tag, &context)?;
    Ok(builder)
}

/// Builds the content of the container image and copies it to the directory of its Dockerfile.
pub(crate) fn context(release: bool) -> anyhow::Result<PathBuf> {
    setup::for_build()?;
    let profile = if release { Profile::Release } else { Profile::Dev };
    let context = build::target().join("image");
    if context.exists() {
        std::fs::remove_dir_all(&context)?;
    }
    std::fs::create_dir_all(&context)?;
    for (name, file) in programs(profile)? {
        let to = context.join(name);
        std::fs::copy(&file, &to).with_context(|| format!("copy {}", file.display()))?;
        if find("strip").is_some() {
            // Symbols are two thirds of the file.
            command::run(Command::new("strip").arg(&to))?;
        }
    }
    build::whole_site(profile)?;
    build::copy_all(&build::site(profile), &context.join("site"))?;
    std::fs::copy(root().join("deploy/Dockerfile"), context.join("Dockerfile"))?;
    let authorities = "/etc/ssl/certs/ca-certificates.crt";
    std::fs::copy(authorities, context.join("ca-certificates.crt"))
        .with_context(|| format!("copy {authorities} (Debian: apt-get install ca-certificates)"))?;
    Ok(context)
}

/// The server and the agent. The agent is static because it runs in container images of PostgreSQL; the server only if the glibc of
/// the base image is too old for it.
fn programs(profile: Profile) -> anyhow::Result<[(&'static str, PathBuf); 2]> {
    let (server, agent) = ("toygres-server", "toygres-agent");
    if profile == Profile::Release || glibc().is_none_or(|ours| ours > BASE_GLIBC) {
        let directory = build::static_programs(&[server, agent], profile)?;
        return Ok([(server, directory.join(server)), (agent, directory.join(agent))]);
    }
    build::programs()?;
    let directory = build::static_programs(&[agent], profile)?;
    Ok([(server, build::program(server)), (agent, directory.join(agent))])
}

/// The version of glibc on this machine.
fn glibc() -> Option<(u32, u32)> {
    let text = command::output(Command::new("getconf").arg("GNU_LIBC_VERSION")).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
