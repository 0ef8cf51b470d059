//! The container image: lays programs, site and Dockerfile into `target/image` and has a builder of the machine make the
//! image. It knows no cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::build::{self, Profile};
use crate::command::{self, find, root, say};
use crate::setup;

/// The tag unless another is named.
pub(crate) const TAG: &str = "toygres:dev";
/// A program that builds a context under a tag and gives it to a cluster: `PROGRAM NAME:TAG CONTEXT`.
const CLUSTER_BUILDER: &str = "TOYGRES_TEST_CLUSTER_IMAGE";
/// The C library of the image's base: a program that was linked to a newer one does not start there.
const BASE_GLIBC: (u32, u32) = (2, 36);

/// What builds images here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Builder {
    /// A program that gives them to a cluster as well.
    Cluster(PathBuf),
    /// `docker`, `podman` or `buildah`.
    Tool(&'static str),
}

impl Builder {
    /// The one that there is, if any.
    pub(crate) fn find() -> Option<Self> {
        if let Some(program) = std::env::var_os(CLUSTER_BUILDER).filter(|program| !program.is_empty()) {
            return Some(Self::Cluster(program.into()));
        }
        // The docker that is only a client builds nothing.
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

/// Builds the image, with the builder that is there.
pub(crate) fn build(tag: &str, release: bool) -> anyhow::Result<Builder> {
    let context = context(release)?;
    let Some(builder) = Builder::find() else {
        bail!(
            "There is no docker, podman or buildah that works here. All that the image is made of is in {}: build it there.",
            context.display()
        );
    };
    say(&format!("Building the image {tag}"));
    builder.build(tag, &context)?;
    Ok(builder)
}

/// Builds all that is in the image and lays it beside its Dockerfile.
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
            // Symbols are two thirds of a program.
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

/// The server and the agent. The agent runs in images of others, so it is static; the server where it has to be.
fn programs(profile: Profile) -> anyhow::Result<[(&'static str, PathBuf); 2]> {
    let (server, agent) = ("toygres-server", "toygres-agent");
    if profile == Profile::Release || glibc().is_none_or(|ours| ours > BASE_GLIBC) {
        let directory = build::static_programs(&["server", "agent"], profile)?;
        return Ok([(server, directory.join(server)), (agent, directory.join(agent))]);
    }
    build::programs()?;
    let directory = build::static_programs(&["agent"], profile)?;
    Ok([(server, build::program(server)), (agent, directory.join(agent))])
}

/// The version of this machine's C library.
fn glibc() -> Option<(u32, u32)> {
    let text = command::output(Command::new("getconf").arg("GNU_LIBC_VERSION")).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
