//! Toygres on a cluster: `run --kubernetes`, and the part of the tests that needs one.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::command::{self, find, root, step};
use crate::report::Report;
use crate::test_programs::{self, TestProgram};
use crate::{browser, build, cluster, setup};

/// Why the part did not run if there is no cluster.
const NO_CLUSTER: &str =
    "everything on Kubernetes: no cluster is reachable. Set KUBECONFIG to one that tests may use";

/// The objects that `run` creates if they are missing: what it is, its arguments for `kubectl get`, and its file in `deploy/base`.
const NEEDED: [(&str, &[&str], &str); 3] = [
    ("the namespace toygres-system", &["namespace", "toygres-system"], "namespaces.yaml"),
    ("the namespace toygres-managed", &["namespace", "toygres-managed"], "namespaces.yaml"),
    (
        "the service account toygres-job",
        &["--namespace", "toygres-managed", "serviceaccount", "toygres-job"],
        "job-account.yaml",
    ),
];

/// Serves the dashboard on this machine. Instances and jobs run in the cluster of KUBECONFIG.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    setup::for_run()?;
    if find("kubectl").is_none() {
        bail!("There is no kubectl on this machine. Install it: https://kubernetes.io/docs/tasks/tools/");
    }
    let context = cluster::context()?;
    step(&format!("The cluster is {context}"));
    build::all()?;
    let image = cluster::image()?;
    // A namespace that was named exists.
    if std::env::var_os("TOYGRES_NAMESPACE").is_none() {
        prepare(&context)?;
    }
    step("Starting Toygres");
    let mut server = cluster::program(build::program("toygres-server"));
    build::site_environment(&mut server);
    server.arg("standalone").args(args).env("TOYGRES_PLATFORM", "kubernetes").env("TOYGRES_IMAGE", image);
    if std::env::var_os("TOYGRES_DATA_DIR").is_none() {
        // Not the directory of local instances: this is another state database, with other stores.
        server.env("TOYGRES_DATA_DIR", data_dir(&context)?);
    }
    Err(server.exec()).context("start the server")
}

/// Creates what a cluster without Toygres needs.
fn prepare(context: &str) -> anyhow::Result<()> {
    for (what, get, file) in NEEDED {
        if command::succeeds(cluster::kubectl(&["get"]).args(get)) {
            continue;
        }
        step(&format!("Creating {what} in {context}"));
        let file = root().join("deploy/base").join(file);
        command::run(cluster::kubectl(&["apply", "--server-side", "-f"]).arg(file))?;
    }
    Ok(())
}

/// The data directory for a cluster on this machine.
fn data_dir(context: &str) -> anyhow::Result<PathBuf> {
    let parent = if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib")
    } else {
        std::env::home_dir().context("there is no home directory; set TOYGRES_DATA_DIR")?.join(".local/share")
    };
    let name: String = context.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok(parent.join(format!("toygres-{name}")))
}

/// What the tests on a cluster run: everything that has to be built first.
pub(crate) struct Prepared {
    /// The container image, which the cluster has.
    image: String,
    /// The test programs of the platform.
    tests: Vec<TestProgram>,
}

/// Builds what the tests on a cluster run; none if no cluster was named.
///
/// # Errors
/// The cluster does not answer or already has Toygres, or a build failed.
pub(crate) fn prepare_tests() -> anyhow::Result<Option<Prepared>> {
    if !cluster::for_tests()? {
        return Ok(None);
    }
    let namespaces =
        ["get", "namespace", "toygres-system", "toygres-managed", "--ignore-not-found", "-o", "name"];
    if !command::output(&mut cluster::kubectl(&namespaces))?.trim().is_empty() {
        bail!(
            "This cluster already has Toygres, in toygres-system or toygres-managed, and the tests would delete it. Name another cluster, or delete these namespaces."
        );
    }
    Ok(Some(Prepared {
        image: cluster::image()?,
        tests: test_programs::compiled(&["--test", "kubernetes*"])?,
    }))
}

/// Runs the platform's tests, then the stories in the browser, on the cluster. It builds nothing.
pub(crate) fn test(prepared: Option<&Prepared>) -> anyhow::Result<Report> {
    let Some(Prepared { image, tests }) = prepared else { return Ok(Report::left_out(NO_CLUSTER)) };
    let mut report = Report::default();
    step("The Kubernetes platform against a real cluster");
    let platform = report.phase("platform", || {
        let mut commands = Vec::new();
        for program in tests {
            let mut run = program.configure(cluster::program(&program.path));
            run.arg("--ignored").env("TOYGRES_TEST_IMAGE", image);
            commands.push((program.name.clone(), run));
        }
        test_programs::run_all(commands)
    });
    report.add(platform);
    let stories = report.phase("stories", || browser::kubernetes(image))?;
    report.add(stories);
    Ok(report)
}
