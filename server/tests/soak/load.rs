//! The simulated users.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::client::Client;

/// The password of every instance, so that users can write rows.
const PASSWORD: &str = "soak-password-5b1f";
/// The most instances at the same time.
const INSTANCES: usize = 5;
/// The most images: then one is deleted.
const IMAGES: usize = 12;

/// Sends random requests until `end`.
pub(crate) async fn user(client: Client, mut rng: StdRng, user: u64, end: Instant) {
    let mut number = 0;
    while Instant::now() < end {
        number += 1;
        act(&client, &mut rng, &format!("soak-{user}-{number}")).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..800))).await;
    }
}

/// One random action. `name` is that of the object that it may create.
async fn act(client: &Client, rng: &mut StdRng, name: &str) {
    let instances = client.list("/api/instances").await;
    let running: Vec<&Value> = instances.iter().filter(|instance| instance["status"] == "running").collect();
    let images = client.list("/api/images?per_page=200").await;
    let available: Vec<&Value> = images.iter().filter(|image| image["status"] == "available").collect();
    match rng.random_range(0..100) {
        0..25 => {
            if let Some(source) = pick(rng, &running) {
                let body = json!({ "instance_id": source["id"], "name": name });
                client.send("POST", "/api/images", Some(body)).await;
            }
        }
        25..45 if instances.len() < INSTANCES => create(client, rng, &available, name).await,
        25..55 => {
            if let Some(instance) = pick(rng, &running) {
                insert_rows(instance).await;
            }
        }
        55..63 => {
            if let Some(image) = pick(rng, &available) {
                let path = format!("/api/images/{}/verify", text(&image["id"]));
                client.send("POST", &path, Some(json!({}))).await;
            }
        }
        63..74 => turn(client, rng, &instances).await,
        74..77 => cancel(client, rng).await,
        77..82 => delete_instance(client, rng, &instances).await,
        82..88 if images.len() > IMAGES => {
            if let Some(image) = pick(rng, &images.iter().collect::<Vec<_>>()) {
                let path = format!("/api/images/{}?confirm={}", text(&image["id"]), text(&image["name"]));
                client.send("DELETE", &path, None).await;
            }
        }
        _ => look(client, rng).await,
    }
}

/// Creates an empty instance, or restores an image.
async fn create(client: &Client, rng: &mut StdRng, available: &[&Value], name: &str) {
    let mut body = json!({ "name": name, "password": PASSWORD });
    if let Some(image) = pick(rng, available).filter(|_| rng.random_bool(0.7)) {
        body["source_image_id"] = image["id"].clone();
    }
    client.send("POST", "/api/instances", Some(body)).await;
}

/// Writes some rows. The server of the instance may have been killed.
async fn insert_rows(instance: &Value) {
    let sql = "create table if not exists soak (id bigserial primary key, text text);
               insert into soak (text) select repeat(md5(n::text), 20) from generate_series(1, 2000) n;";
    let url = format!(
        "postgres://{}@{}:{}/postgres?connect_timeout=5",
        text(&instance["username"]),
        text(&instance["host"]),
        instance["port"]
    );
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-d", &url, "-c", sql]).env("PGPASSWORD", PASSWORD);
    let _ = psql.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
}

/// Stops a running instance or starts another one.
async fn turn(client: &Client, rng: &mut StdRng, instances: &[Value]) {
    if let Some(instance) = pick(rng, &instances.iter().collect::<Vec<_>>()) {
        let is_healthy = instance["status"] == "running" && instance["health"] != "down";
        // More starts than stops: only a running instance can be backed up.
        let verb = if is_healthy && rng.random_bool(0.4) { "stop" } else { "start" };
        let path = format!("/api/instances/{}/{verb}", text(&instance["name"]));
        client.send("POST", &path, Some(json!({}))).await;
    }
}

async fn cancel(client: &Client, rng: &mut StdRng) {
    let active = client.list("/api/runs?active=true&per_page=200").await;
    if let Some(run) = pick(rng, &active.iter().collect::<Vec<_>>()) {
        client.send("POST", &format!("/api/runs/{}/cancel", text(&run["id"])), Some(json!({}))).await;
    }
}

async fn delete_instance(client: &Client, rng: &mut StdRng, instances: &[Value]) {
    if let Some(instance) = pick(rng, &instances.iter().collect::<Vec<_>>()) {
        let name = text(&instance["name"]);
        client.send("DELETE", &format!("/api/instances/{name}?confirm={name}"), None).await;
    }
}

/// Reads a page or a log.
async fn look(client: &Client, rng: &mut StdRng) {
    let runs = client.list("/api/runs?per_page=50").await;
    let log = pick(rng, &runs.iter().collect::<Vec<_>>());
    let log = log.map_or_else(|| "/api/runs".to_owned(), |run| format!("/api/runs/{}/log", text(&run["id"])));
    let pages = ["/", "/instances", "/images", "/runs", "/settings", "/metrics", &log];
    let page = pages[rng.random_range(0..pages.len())];
    client.send("GET", page, None).await;
}

fn pick<'a>(rng: &mut StdRng, from: &[&'a Value]) -> Option<&'a Value> {
    (!from.is_empty()).then(|| from[rng.random_range(0..from.len())])
}

/// The text of a JSON string.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
