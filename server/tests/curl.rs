//! The curl commands of the seed's documentation, unchanged, against a real server.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toygres::{NAME, PASSWORD, Toygres};

/// Runs a command of the documentation in a shell; only the port and the file of the cookies are replaced.
fn shell(toygres: &Toygres, line: &str) -> String {
    let line = line.replace("localhost:8080", &format!("localhost:{}", toygres.port));
    let line =
        line.replace("/tmp/cookies.txt", &toygres.dir.path().join("cookies.txt").display().to_string());
    let output = Command::new("sh")
        .args(["-c", &line])
        .env("TOYGRES_ADMIN_USERNAME", NAME)
        .env("TOYGRES_ADMIN_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn post(toygres: &Toygres, path: &str, body: &Value) -> Value {
    let line = format!(
        "curl -s -b /tmp/cookies.txt -X POST http://localhost:8080{path} -H 'Content-Type: application/json' -d '{body}'"
    );
    serde_json::from_str(&shell(toygres, &line)).unwrap()
}

fn wait_for(toygres: &Toygres, run: &Value) {
    let run = run.as_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let text =
            shell(toygres, &format!("curl -s -b /tmp/cookies.txt http://localhost:8080/api/runs/{run}"));
        let detail: Value = serde_json::from_str(&text).unwrap();
        match detail["state"].as_str().unwrap() {
            "succeeded" => return,
            "running" => assert!(Instant::now() < deadline, "{text}"),
            _ => panic!("{text}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn curl_commands_of_the_seed_work() {
    let toygres = Toygres::start();
    assert_eq!(shell(&toygres, "curl http://localhost:8080/health"), "ok\n");
    shell(
        &toygres,
        r#"curl -X POST http://localhost:8080/login -H "Content-Type: application/x-www-form-urlencoded" -d "username=$TOYGRES_ADMIN_USERNAME&password=$TOYGRES_ADMIN_PASSWORD" -c /tmp/cookies.txt"#,
    );
    assert_eq!(shell(&toygres, "curl -b /tmp/cookies.txt http://localhost:8080/api/instances"), "[]");
    assert_eq!(shell(&toygres, "curl -b /tmp/cookies.txt http://localhost:8080/api/images"), "[]");

    let created =
        post(&toygres, "/api/instances", &json!({"name": "orders", "password": "the source has it"}));
    assert_eq!(created["status"], "creating");
    wait_for(&toygres, &created["run_id"]);

    let body =
        json!({"name": "my-backup", "instance_id": created["id"], "description": "Optional description"});
    let image = post(&toygres, "/api/images", &body);
    assert_eq!(image["name"], "my-backup");
    wait_for(&toygres, &image["run_id"]);

    let body = json!({"name": "restored-instance", "password": "ignored-uses-source", "source_image_id": image["id"],
        "dns_label": "restored-instance"});
    let restored = post(&toygres, "/api/instances", &body);
    wait_for(&toygres, &restored["run_id"]);
    let text =
        shell(&toygres, "curl -b /tmp/cookies.txt http://localhost:8080/api/instances/restored-instance");
    let restored: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(restored["status"], "running");

    // The restored instance has the password of its source, not the one of the request.
    let login = |password: &str| {
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-w",
            "-h",
            "127.0.0.1",
            "-p",
            &restored["port"].to_string(),
            "-U",
            "postgres",
            "-c",
            "select 1",
        ]);
        psql.env("PGPASSWORD", password).output().unwrap().status.success()
    };
    assert!(login("the source has it"));
    assert!(!login("ignored-uses-source"));
}
