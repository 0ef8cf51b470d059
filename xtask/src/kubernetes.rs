//! Toygres and a cluster: `run --kubernetes`, and the part of the tests that needs one.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::command::{self, cargo, find, root, say};
use crate::test::{self, Count};
use crate::{browser, build, cluster, setup};

/// Why the part was left out, where there is no cluster.
const NO_CLUSTER: &str =
    "everything on Kubernetes: no cluster is reachable. Set KUBECONFIG to one that tests may use";

/// What `run` makes in a cluster where it is missing: the two namespaces, and whom jobs run as.
const NEEDED: [(&str, &[&str], &str); 3] = [
    ("the namespace toygres-system", &["namespace", "toygres-system"], "namespaces.yaml"),
    ("the namespace toygres-managed", &["namespace", "toygres-managed"], "namespaces.yaml"),
    (
        "the service account toygres-job",
        &["--namespace", "toygres-managed", "serviceaccount", "toygres-job"],
        "job-account.yaml",
    ),
];

/// Serves on this machine what is in the cluster of KUBECONFIG, and does the work there.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    setup::for_run()?;
    if find("kubectl").is_none() {
        bail!("There is no kubectl on this machine. Install it: https://kubernetes.io/docs/tasks/tools/");
    }
    let context = cluster::context()?;
    say(&format!("The cluster is {context}"));
    build::all()?;
    let image = cluster::image()?;
    // Whoever names another namespace has made it.
    if std::env::var_os("TOYGRES_NAMESPACE").is_none() {
        prepare(&context)?;
    }
    say("Starting Toygres");
    let mut server = cluster::program(build::program("toygres-server"));
    build::site_environment(&mut server);
    server.arg("standalone").args(args).env("TOYGRES_PLATFORM", "kubernetes").env("TOYGRES_IMAGE", image);
    if std::env::var_os("TOYGRES_DATA_DIR").is_none() {
        // Not the directory of this machine's own instances: another CMS, with other stores.
        server.env("TOYGRES_DATA_DIR", data_dir(&context)?);
    }
    Err(server.exec()).context("start the server")
}

/// Makes what a cluster needs that has seen no Toygres, after saying so.
fn prepare(context: &str) -> anyhow::Result<()> {
    for (what, get, file) in NEEDED {
        if command::succeeds(cluster::kubectl(&["get"]).args(get)) {
            continue;
        }
        say(&format!("Making {what} in {context}"));
        let file = root().join("deploy/base").join(file);
        command::run(cluster::kubectl(&["apply", "--server-side", "-f"]).arg(file))?;
    }
    Ok(())
}

/// Where the state of this cluster's Toygres is kept on this machine.
fn data_dir(context: &str) -> anyhow::Result<PathBuf> {
    let place = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib")
    } else {
        std::env::home_dir().context("there is no home directory; set TOYGRES_DATA_DIR")?.join(".local/share")
    };
    let name: String = context.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok(place.join(format!("toygres-{name}")))
}

/// Everything that needs a cluster: the platform's own tests, then stories in the browser.
pub(crate) fn test() -> anyhow::Result<Count> {
    if !cluster::for_tests()? {
        return Ok(Count { left_out: vec![NO_CLUSTER.to_owned()], ..Count::default() });
    }
    let there = ["get", "namespace", "toygres-system", "toygres-managed", "--ignore-not-found", "-o", "name"];
    if !command::output(&mut cluster::kubectl(&there))?.trim().is_empty() {
        bail!(
            "There is a Toygres in this cluster already, in toygres-system or toygres-managed, and the tests would delete it. Name another cluster, or delete these namespaces yourself."
        );
    }
    let image = cluster::image()?;
    say("The Kubernetes platform against a real cluster");
    // Of the whole workspace: another choice of packages builds their dependencies with other features, anew.
    let tests = ["test", "--workspace", "--test", "kubernetes*"];
    // Compiled here, since the way to the cluster may not lead anywhere else.
    command::run(cargo().args(tests).arg("--no-run"))?;
    let mut run = cluster::program(command::cargo_program());
    run.args(tests).args(["--no-fail-fast", "--", "--ignored"]);
    run.env("CARGO_NET_OFFLINE", "true").env("TOYGRES_TEST_IMAGE", &image);
    let mut count = test::counted(&mut run)?;
    count.add(browser::kubernetes(&image)?);
    Ok(count)
}
