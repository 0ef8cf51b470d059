//! A worker without the dashboard, and the required options of a server on Kubernetes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use toygres::{Toygres, listening_port};

/// Killed at the end of the test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server(command: &str) -> Command {
    let mut server = Command::new(env!("CARGO_BIN_EXE_toygres-server"));
    for variable in ["TOYGRES_ENCRYPTION_KEY", "TOYGRES_IMAGE", "TOYGRES_LISTEN", "KUBECONFIG"] {
        server.env_remove(variable);
    }
    server.arg(command).stdin(Stdio::null());
    server
}

fn status(url: &str) -> String {
    let curl =
        Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", url]).output().unwrap();
    String::from_utf8(curl.stdout).unwrap()
}

#[test]
fn worker_serves_monitoring_only() {
    let toygres = Toygres::start();
    let output = toygres.dir.path().join("worker");
    let worker = server("worker")
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(toygres.dir.path().join("data"))
        .env("DATABASE_URL", toygres::owner_url(&toygres.database))
        .stdout(std::fs::File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn();
    let mut worker = Worker(worker.unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    let port = loop {
        assert!(worker.0.try_wait().unwrap().is_none(), "the worker ended");
        assert!(Instant::now() < deadline, "the worker does not listen");
        if let Some(port) = listening_port(&std::fs::read_to_string(&output).unwrap()) {
            break port;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    assert_eq!(status(&at("/ready")), "200");
    assert_eq!(status(&at("/health")), "200");
    assert_eq!(status(&at("/metrics")), "401", "metrics require a login");
    for path in ["/", "/login", "/api/instances", "/api/openapi.json"] {
        assert_eq!(status(&at(path)), "404", "{path}");
    }
}

#[test]
fn missing_kubernetes_options_are_named_before_anything_is_opened() {
    let error = |image: bool| {
        let mut api = server("api");
        api.args(["--platform", "kubernetes", "--listen", "127.0.0.1:0"]);
        // Nothing listens there: opening the state database would fail with another message.
        api.env("DATABASE_URL", "postgres://toygres@127.0.0.1:1/toygres");
        if image {
            api.env("TOYGRES_IMAGE", "toygres:dev");
        }
        let output = api.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(error(false).contains("TOYGRES_IMAGE"));
    let message = error(true);
    assert!(message.contains("TOYGRES_ENCRYPTION_KEY"), "{message}");
}
