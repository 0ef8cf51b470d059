//! A worker apart from the api, and what a server in a cluster refuses to start without.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use toygres::Toygres;

/// Killed at the test's end, however it ends.
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
fn a_worker_answers_whoever_watches_over_it_and_nobody_else() {
    let toygres = Toygres::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let worker = server("worker")
        .args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(toygres.dir.path().join("data"))
        .env("DATABASE_URL", toygres::database_url(&toygres.database))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut worker = Worker(worker.unwrap());
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while status(&at("/ready")) != "200" {
        assert!(worker.0.try_wait().unwrap().is_none(), "the worker ended");
        assert!(Instant::now() < deadline, "the worker is not ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status(&at("/health")), "200");
    assert_eq!(status(&at("/metrics")), "401", "counts are for those who log in");
    for path in ["/", "/login", "/api/instances", "/api/openapi.json"] {
        assert_eq!(status(&at(path)), "404", "{path}");
    }
}

#[test]
fn in_a_cluster_a_missing_key_or_image_is_named_before_anything_is_touched() {
    let refusal = |image: bool| {
        let mut api = server("api");
        api.args(["--platform", "kubernetes", "--listen", "127.0.0.1:0"]);
        // Nothing listens there: whoever gets that far fails with other words.
        api.env("DATABASE_URL", "postgres://toygres@127.0.0.1:1/toygres");
        if image {
            api.env("TOYGRES_IMAGE", "toygres:dev");
        }
        let output = api.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refusal(false).contains("TOYGRES_IMAGE"));
    let words = refusal(true);
    assert!(words.contains("TOYGRES_ENCRYPTION_KEY") && words.contains("toygres-secrets"), "{words}");
}
