//! Hosts that users name: Toygres connects to no address of its own machine unless the operator allows it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use toygres::{Toygres, database_url, log_in};

/// The error of a request to add an external server.
async fn error_of(client: &reqwest::Client, toygres: &Toygres, host: &str, port: u16) -> Value {
    let body =
        json!({ "name": "orders", "host": host, "port": port, "username": "postgres", "password": "x" });
    let sent = client.post(toygres.url("/api/instances/external")).json(&body).send().await.unwrap();
    assert_eq!(sent.status(), 422, "{host}");
    let error = sent.json::<Value>().await.unwrap()["error"].clone();
    assert_eq!(error["code"], "invalid", "{host}: {error}");
    error
}

#[tokio::test]
async fn denied_addresses_are_refused_at_the_host_and_not_connected_to() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "169.254.169.254",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "::ffff:127.0.0.1",
        "[::1]",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0.0.0.0",
        "localhost",
    ] {
        let error = error_of(&client, &toygres, host, port).await;
        assert_eq!(
            (&error["field"], &error["cause"]),
            (&"host".into(), &"address_not_allowed".into()),
            "{error}"
        );
    }
    // A path is no host.
    assert_eq!(error_of(&client, &toygres, "/var/run/postgresql", 5432).await["field"], "host");
    // The first connection is this one.
    let own = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (_, first) = listener.accept().unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "a denied address was connected to");
}

#[tokio::test]
async fn allowed_network_is_connected_to_but_not_the_services_of_toygres() {
    let toygres = Toygres::start_with(|server| {
        server.env("TOYGRES_ALLOWED_NETWORKS", "127.0.0.0/8,::1");
    });
    let client = log_in(&toygres).await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = error_of(&client, &toygres, "127.0.0.1", closed).await;
    assert_eq!((&error["field"], &error["cause"]), (&"port".into(), &"connection_refused".into()), "{error}");
    let state_database = reqwest::Url::parse(&database_url("x")).unwrap();
    let state_database = state_database.port().unwrap_or(5432);
    for own in [toygres.port, state_database] {
        for host in ["127.0.0.1", "::ffff:127.0.0.1"] {
            let error = error_of(&client, &toygres, host, own).await;
            let cause = error["cause"].as_str();
            assert_eq!(cause, Some("address_not_allowed"), "{host}:{own}: {error}");
        }
    }
}

#[tokio::test]
async fn instances_of_toygres_are_reached_without_the_setting() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let created = client.post(toygres.url("/api/instances")).json(&json!({ "name": "orders" }));
    let created: Value = created.send().await.unwrap().json().await.unwrap();
    // Its last step but one connects to 127.0.0.1.
    toygres::succeeds(&client, &toygres, created["run_id"].as_str().unwrap()).await;
    let image = client.post(toygres.url("/api/images")).json(&json!({ "instance_id": created["id"] }));
    let image: Value = image.send().await.unwrap().json().await.unwrap();
    toygres::succeeds(&client, &toygres, image["run_id"].as_str().unwrap()).await;
}
