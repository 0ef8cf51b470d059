//! Two servers with platforms of their own on one state database.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use serde_json::{Value, json};
use toygres::{PASSWORD, Toygres, log_in, owner_url, psql, succeeds};

/// The key that both servers seal secrets with.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

async fn create(client: &reqwest::Client, toygres: &Toygres, name: &str) -> String {
    let request = client.post(toygres.url("/api/instances")).json(&json!({ "name": name }));
    let started: Value = request.send().await.unwrap().json().await.unwrap();
    succeeds(client, toygres, started["run_id"].as_str().unwrap()).await;
    started["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn instances_of_another_platform_are_refused_and_stay_unchanged() {
    let first = Toygres::start_with(|server| {
        server.env("TOYGRES_ENCRYPTION_KEY", KEY);
    });
    let second = Toygres::start_with(|server| {
        server.env("TOYGRES_ENCRYPTION_KEY", KEY).env("DATABASE_URL", owner_url(&first.database));
    });
    let (here, there) = (log_in(&first).await, log_in(&second).await);
    let only_there = create(&there, &second, "orders").await;

    let confirmed = json!({ "password": PASSWORD });
    assert!(here.post(first.url("/api/sudo")).json(&confirmed).send().await.unwrap().status().is_success());
    let runs = "select count(*) from toygres.run";
    let before = psql(&first.database, runs);
    let refused = [
        here.post(first.url("/api/instances/orders/stop")).json(&json!({})),
        here.post(first.url("/api/instances/orders/start")).json(&json!({})),
        here.delete(first.url("/api/instances/orders?confirm=orders")).json(&json!({})),
        here.delete(first.url(&format!("/api/instances/{only_there}?confirm=orders"))).json(&json!({})),
        here.post(first.url("/api/images")).json(&json!({ "instance_id": only_there })),
    ];
    for request in refused {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")), "{body}");
    }
    assert_eq!(psql(&first.database, runs), before, "a run was started");
    let status = format!("select status from toygres.instance where id = '{only_there}'");
    assert_eq!(psql(&first.database, &status).trim(), "running");

    // The same name on both: each server finds its own.
    let own = create(&here, &first, "orders").await;
    for (client, toygres, expected) in [(&here, &first, &own), (&there, &second, &only_there)] {
        let found: Value =
            client.get(toygres.url("/api/instances/orders")).send().await.unwrap().json().await.unwrap();
        assert_eq!(found["id"], json!(expected));
    }
    let stopped = here.post(first.url("/api/instances/orders/stop")).json(&json!({})).send().await.unwrap();
    let stopped: Value = stopped.json().await.unwrap();
    succeeds(&here, &first, stopped["run_id"].as_str().unwrap()).await;
    assert_eq!(psql(&first.database, &status).trim(), "running");
}
