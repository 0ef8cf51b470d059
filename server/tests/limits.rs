//! Limits of connections and requests: what many clients do does not stop others.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::io::{Read, Write};
use std::net::TcpStream;

use futures::StreamExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use toygres::{Toygres, log_in, psql, succeeds};

#[tokio::test]
async fn idle_connections_do_not_stop_a_login() {
    // The usual limit of open files, which the server inherits.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    assert!(maximum.is_none_or(|files| files > 2400), "this test opens 1,100 connections");
    setrlimit(Resource::Nofile, Rlimit { current: Some(1024), maximum }).unwrap();
    let toygres = Toygres::start();
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let idle: Vec<TcpStream> =
        (0..1100).map(|_| TcpStream::connect(("127.0.0.1", toygres.port)).unwrap()).collect();
    log_in(&toygres).await;
    drop(idle);
}

#[tokio::test]
async fn connection_without_a_complete_request_head_is_closed() {
    let toygres = Toygres::start();
    let mut stream = TcpStream::connect(("127.0.0.1", toygres.port)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n").unwrap();
    // Blocks until the server closes the connection.
    let closed = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new()));
    closed.await.unwrap().unwrap();
}

#[tokio::test]
async fn parallel_log_searches_do_not_cost_a_lease() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let searched = "0190d0b8-6d5f-7000-8000-00000000c0de";
    psql(
        &toygres.database,
        &format!(
            "insert into toygres.run (id, name, version, pool, input, labels, state, due_at, finished_at)
                 values ('{searched}', 'create-image', 1, 'none', '{{}}', '{{}}', 'succeeded', null, now());
             insert into toygres.log_chunk (run_id, first, last, lines)
                 select '{searched}', c, c + 499, (select jsonb_agg(jsonb_build_object('at', '2026-11-24T00:00:00Z',
                     'level', 'info', 'step', 'RunBackupJob', 'message', repeat('x', 180)) order by n)
                     from generate_series(c, c + 499) n) from generate_series(1, 50000, 500) c;
             insert into toygres.run_log values ('{searched}', 50000)"
        ),
    );
    let token = toygres.tool(&["token", "add", "viewer"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let started = client.post(toygres.url("/api/platform/test")).json(&json!({ "lines": 20_000 }));
    let started: Value = started.send().await.unwrap().json().await.unwrap();
    let run = started["run_id"].as_str().unwrap();
    let viewer = reqwest::Client::new();
    let search = toygres.url(&format!("/api/runs/{searched}/log?search=zz"));
    let searches = futures::stream::iter(0..200)
        .map(|_| viewer.get(&search).bearer_auth(&token).send())
        .buffer_unordered(200)
        .map(|answer| answer.unwrap().status().as_u16())
        .collect::<Vec<_>>();
    let (statuses, ()) = tokio::join!(searches, succeeds(&client, &toygres, run));
    // Each claim after a lost lease increments the epoch.
    let lost = psql(&toygres.database, "select count(*) from toygres.job where epoch > 1");
    assert_eq!(lost, "0\n", "a lease was lost: {}", toygres.log());
    assert!(statuses.contains(&200), "{statuses:?}");
}
