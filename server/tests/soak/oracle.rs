//! What must hold when the faults have ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::faults;
use crate::load::text;
use crate::toygres::{Toygres, psql};

/// Waits until no run is active. A backup waits minutes for a source that is down: it is cancelled, as an administrator does who
/// wants to start the instance.
pub(crate) async fn settles(client: &Client, toygres: &Toygres, within: Duration) {
    let deadline = Instant::now() + within;
    let active = "select id, name, state from toygres.run where state in ('running', 'undoing')";
    loop {
        let rows = psql(&toygres.database, active);
        if rows.trim().is_empty() && !client.get("/api/runs").await.is_null() {
            return;
        }
        assert!(Instant::now() < deadline, "runs do not end: {rows}{}", tail(&toygres.log()));
        cancel_backups_of_what_is_down(client).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn cancel_backups_of_what_is_down(client: &Client) {
    let down = client.list("/api/instances").await;
    let down: Vec<&Value> = down.iter().filter(|instance| instance["health"] == "down").collect();
    for run in client.list("/api/runs?active=true&workflow=create-image&per_page=200").await {
        if down.iter().any(|instance| instance["id"] == run["instance"]) && run["cancel"] == false {
            println!("cancel {} of an instance that is down", text(&run["title"]));
            client.send("POST", &format!("/api/runs/{}/cancel", text(&run["id"])), Some(json!({}))).await;
        }
    }
}

/// No run is stuck, and none has failed for a reason inside Toygres.
pub(crate) async fn check_runs(client: &Client) {
    let mut page = 1;
    let mut states = std::collections::BTreeMap::<String, u64>::new();
    loop {
        let runs = client.list(&format!("/api/runs?per_page=200&page={page}")).await;
        for run in &runs {
            let detail = client.get(&format!("/api/runs/{}", text(&run["id"]))).await;
            let code = text(&detail["error"]["code"]).to_owned();
            *states
                .entry(format!("{} {} {code}", text(&run["workflow"]), text(&run["state"])))
                .or_default() += 1;
            assert!(run["state"] != "stuck", "stuck: {detail}");
            assert!(code != "internal", "{detail}");
        }
        if runs.len() < 200 {
            break;
        }
        page += 1;
    }
    for (state, count) in states {
        println!("{count:6}  {state}");
    }
}

/// Every image that is available can be verified.
pub(crate) async fn check_images(client: &Client, toygres: &Toygres) {
    let images = client.list("/api/images?per_page=200&status=available").await;
    println!("{} images are verified", images.len());
    assert!(!images.is_empty(), "no backup succeeded: the load tests nothing");
    for image in &images {
        let path = format!("/api/images/{}/verify", text(&image["id"]));
        let (status, started) = client.send("POST", &path, Some(json!({}))).await.unwrap();
        assert_eq!(status, 202, "{started}");
        settles(client, toygres, Duration::from_secs(120)).await;
        let run = client.get(&format!("/api/runs/{}", text(&started["run_id"]))).await;
        assert_eq!(run["state"], "succeeded", "{run}");
    }
    let corrupt = client.list("/api/images?per_page=200&status=corrupt").await;
    assert!(corrupt.is_empty(), "{corrupt:?}");
}

/// No job is left, no directory of a deleted instance, and no object of a deleted image.
pub(crate) async fn check_leftovers(client: &Client, toygres: &Toygres) {
    let data = toygres.dir.path().join("data");
    let jobs = faults::jobs(&data);
    assert!(jobs.is_empty(), "jobs still run: {jobs:?}");
    let waiting = psql(&toygres.database, "select name from toygres.job where ended_at is null");
    assert!(waiting.trim().is_empty(), "jobs without a recorded end: {waiting}");

    let known = ids(client.list("/api/instances").await);
    let directories = names(&data.join("instances"));
    let unknown: Vec<&String> = directories.iter().filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "directories of deleted instances: {unknown:?}");

    let known = ids(client.list("/api/images?per_page=200").await);
    let unknown: Vec<String> =
        names(&data.join("images/images")).into_iter().filter(|id| !known.contains(id)).collect();
    assert!(unknown.is_empty(), "objects of deleted images: {unknown:?}");
}

fn ids(objects: Vec<Value>) -> BTreeSet<String> {
    objects.iter().map(|object| text(&object["id"]).to_owned()).collect()
}

fn names(directory: &std::path::Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The last lines of a log.
fn tail(log: &str) -> &str {
    let from = log.len().saturating_sub(20_000);
    &log[log.ceil_char_boundary(from)..]
}
