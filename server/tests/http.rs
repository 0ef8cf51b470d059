//! Statuses, headers, sessions and error responses, for browsers, programs and attackers.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use toygres::{NAME, PASSWORD, Toygres, command, log_in, psql};

#[tokio::test]
async fn openapi_document_matches_the_routes() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let stranger = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let document: Value =
        client.get(toygres.url("/api/openapi.json")).send().await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "{paths:?}");
    let id = "0190d0b8-6d5f-7000-8000-000000000000";
    // The logout comes last, because it ends the session of the others.
    for (path, operations) in
        paths.iter().filter(|(path, _)| *path != "/logout").chain(paths.get_key_value("/logout"))
    {
        let url = toygres.url(&path.replace("{id}", id).replace("{name}", "missing"));
        for method in ["get", "post", "put", "delete", "patch"] {
            let verb: Method = method.to_uppercase().parse().unwrap();
            let request = |client: &reqwest::Client| {
                let request = client.request(verb.clone(), &url);
                if method == "get" {
                    request
                } else if path == "/login" {
                    request.form(&[("username", NAME), ("password", "wrong")])
                } else {
                    request
                        .header(CONTENT_TYPE, "application/json")
                        .header("origin", toygres.url(""))
                        .body("{}")
                }
            };
            // The response of an event stream has a status before its end.
            let answer = request(&client).send().await.unwrap();
            let status = answer.status().as_u16();
            let operation = &operations[method];
            if operation.is_null() {
                // The login page and its form have the same path.
                assert!(
                    status == 405 || (path == "/login" && method == "get"),
                    "{method} {path} is not in the document and gets {status}"
                );
                continue;
            }
            let declared = operation["responses"].as_object().unwrap();
            let response = &declared.get(&status.to_string());
            assert!(response.is_some(), "{method} {path} answers {status}, which is not declared");
            assert_ne!(status, 405);
            if let Some((kind, _)) =
                response.and_then(|response| response["content"].as_object()?.iter().next())
            {
                let given = answer.headers()[CONTENT_TYPE].to_str().unwrap();
                assert!(given.starts_with(kind.as_str()), "{method} {path} answers {given}, not {kind}");
            }
            if path.starts_with("/api") {
                assert_eq!(
                    request(&stranger).send().await.unwrap().status(),
                    401,
                    "{method} {path} without a session"
                );
                assert!(declared.contains_key("401"), "{method} {path}");
            }
        }
    }
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 401, "logged out");
}

type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, bool);

#[tokio::test]
async fn cross_site_requests_are_rejected() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let ours = toygres.url("");
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    // The headers, the type of the body, the path, and whether the request is accepted.
    let cases: &[Case<'_>] = &[
        (&[("sec-fetch-site", "same-origin")], form, "/logout2", true),
        (&[("sec-fetch-site", "none")], form, "/logout2", true),
        (&[("sec-fetch-site", "cross-site")], form, "/api/images", false),
        (&[("sec-fetch-site", "same-site")], json, "/api/images", false),
        (&[("origin", "https://evil.example")], json, "/api/images", false),
        (&[("origin", "null")], json, "/api/images", false),
        (&[("origin", &ours)], json, "/api/images", true),
        (&[("origin", &ours), ("sec-fetch-site", "cross-site")], json, "/api/images", false),
        (&[], json, "/api/images", true),
        (&[], "text/plain", "/api/images", false),
        (&[], form, "/api/images", false),
        (&[], form, "/api/fn/back-up", false),
        (&[], json, "/api/fn/back-up", false),
        (&[], form, "/sudo", false),
        (&[], form, "/login", true),
    ];
    for (headers, kind, path, passes) in cases {
        let mut request = client.post(toygres.url(path)).header(CONTENT_TYPE, *kind).body("{}");
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let refused = answer.status() == 403 && answer.text().await.unwrap().contains("cross_site");
        assert_eq!(!refused, *passes, "{headers:?} {kind} {path}");
    }
}

#[tokio::test]
async fn session_ends_at_expiry_logout_and_password_change() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let login = || async {
        let form = [("username", NAME), ("password", PASSWORD)];
        let answer = reqwest::Client::new()
            .post(toygres.url("/login"))
            .form(&form)
            .header("cookie", "toygres=planted")
            .send()
            .await;
        let cookie = answer.unwrap().headers()["set-cookie"].to_str().unwrap().to_owned();
        cookie.split(';').next().unwrap().to_owned()
    };
    let asks = async |cookie: &str| {
        let request = reqwest::Client::new().get(toygres.url("/api/runs")).header("cookie", cookie);
        request.send().await.unwrap().status().as_u16()
    };
    let cookie = login().await;
    assert!(!cookie.contains("planted"));
    assert_eq!(asks(&cookie).await, 200);
    // Each use extends the session.
    psql(
        &toygres.database,
        "update toygres.session set expires_at = clock_timestamp() + interval '1 minute'",
    );
    assert_eq!(asks(&cookie).await, 200);
    let extended = psql(
        &toygres.database,
        "select bool_or(expires_at > clock_timestamp() + interval '20 minutes') from toygres.session",
    );
    assert_eq!(extended, "t\n");
    // Only the hash of the cookie is stored.
    let stored = psql(&toygres.database, "select encode(hash, 'escape') || data::text from toygres.session");
    assert!(!stored.contains(cookie.split('=').nth(1).unwrap()));
    let out = reqwest::Client::new()
        .post(toygres.url("/logout"))
        .header("cookie", &cookie)
        .header("origin", toygres.url(""));
    assert_eq!(out.send().await.unwrap().status(), 200);
    assert_eq!(asks(&cookie).await, 401);
    // A changed password or a disabled account ends every session.
    psql(&toygres.database, "update toygres.account set auth_epoch = auth_epoch + 1");
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn login_attempts_are_throttled_and_deletion_requires_sudo() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    // Destructive and revealing actions require the confirmation of the password by every route.
    let delete = client.delete(toygres.url("/api/instances/missing?confirm=missing")).send().await.unwrap();
    assert_eq!(delete.status(), 403);
    assert_eq!(delete.json::<Value>().await.unwrap()["error"]["code"], "sudo_required");
    let direct = client
        .post(toygres.url("/api/fn/reveal-password"))
        .header("origin", toygres.url(""))
        .header("accept", "application/json")
        .form(&[("name", "missing")])
        .send()
        .await
        .unwrap();
    assert!(direct.text().await.unwrap().contains("sudo_required"));
    let sudo = |password: &'static str| {
        client.post(toygres.url("/api/sudo")).json(&json!({ "password": password })).send()
    };
    assert_eq!(sudo("wrong password").await.unwrap().status(), 401);
    assert_eq!(sudo(PASSWORD).await.unwrap().status(), 200);
    let delete = client.delete(toygres.url("/api/instances/missing?confirm=missing")).send().await.unwrap();
    assert_eq!(delete.status(), 404);
    // The pause grows with every failed attempt.
    let mut last = 0;
    for _ in 0..12 {
        let form = [("username", NAME), ("password", "a guess")];
        let answer = reqwest::Client::new().post(toygres.url("/login")).form(&form).send().await.unwrap();
        last = answer.status().as_u16();
        if last == 429 {
            assert!(answer.headers().contains_key("retry-after"));
            break;
        }
        assert_eq!(last, 401);
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn invalid_input_is_explained_and_every_response_has_security_headers() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let send = |body: String| {
        client.post(toygres.url("/api/instances")).header(CONTENT_TYPE, "application/json").body(body).send()
    };
    let long = "a".repeat(10_000);
    for name in
        [";$(id)", "../etc", "a\nb", "<img src=x onerror=alert(1)>", "a\0b", "\u{202e}a", "-a", "", &long]
    {
        let answer = send(json!({ "name": name }).to_string()).await.unwrap();
        assert_eq!(answer.status(), 422, "{name:?}");
        let error = answer.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!(error["field"], "name", "{name:?}");
        assert!(error["message"].as_str().unwrap().ends_with('.'));
    }
    assert_eq!(send("{".to_owned()).await.unwrap().status(), 400);
    assert_eq!(send("{\"name\": 1}".to_owned()).await.unwrap().status(), 422);
    // A mistyped field name is an error, not ignored.
    let mistyped = send(r#"{"name": "orders", "pasword": "x"}"#.to_owned()).await.unwrap();
    assert_eq!(mistyped.status(), 422);
    assert!(mistyped.text().await.unwrap().contains("pasword"));
    // On a connection of its own, which the server closes.
    let large = format!("{{\"name\": \"{}\"}}", "a".repeat(400_000));
    let large = log_in(&toygres)
        .await
        .post(toygres.url("/api/instances"))
        .header(CONTENT_TYPE, "application/json")
        .body(large);
    let large = large.send().await.unwrap();
    assert_eq!(large.status(), 413);
    assert!(large.headers().contains_key("x-content-type-options"));
    assert_eq!(large.json::<Value>().await.unwrap()["error"]["code"], "too_large");
    let plain = client
        .post(toygres.url("/api/instances"))
        .header("origin", toygres.url(""))
        .header(CONTENT_TYPE, "text/plain")
        .body("{}");
    assert_eq!(plain.send().await.unwrap().status(), 415);
    for path in [
        "/api/images/no-uuid",
        "/api/images/0190d0b8-6d5f-7000-8000-000000000000",
        "/api/nothing",
        "/api/runs/x/events",
    ] {
        let answer = client.get(toygres.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["error"]["message"].is_string(), "{path}");
    }
    for path in [
        "/",
        "/login",
        "/instances",
        "/nothing",
        "/api/instances",
        "/api/nothing",
        "/health",
        "/pkg/nothing.js",
    ] {
        let answer = client.get(toygres.url(path)).send().await.unwrap();
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe-inline"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(
            header("cache-control"),
            if path.starts_with("/pkg/") { "no-cache" } else { "no-store" },
            "{path}"
        );
    }
}

#[tokio::test]
async fn kubernetes_only_fields_are_rejected_on_one_machine() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": PASSWORD }));
    assert_eq!(sudo.send().await.unwrap().status(), 200);
    let external = |more: Value| {
        let mut body = json!({ "name": "orders", "host": "192.0.2.10", "port": 1, "username": "postgres" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (path, body, field) in [
        ("/api/instances", json!({ "name": "big", "volume_bytes": 20_u64 << 30 }), "volume_bytes"),
        ("/api/instances", json!({ "name": "old", "major": 9 }), "major"),
        ("/api/instances", json!({ "name": "durable", "image_type": "pg_durable" }), "image_type"),
        ("/api/instances/external", external(json!({ "secret_ref": "shop/orders/password" })), "secret_ref"),
        ("/api/instances/external", external(json!({ "secret_ref": "shop/orders" })), "secret_ref"),
        (
            "/api/instances/external",
            external(json!({ "secret_ref": "a/b/c", "password": "x" })),
            "secret_ref",
        ),
    ] {
        let sent =
            client.post(toygres.url(path)).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), 422, "{body}");
        let error = answer.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!((&error["code"], &error["field"]), (&"invalid".into(), &field.into()), "{error}");
    }
}

#[tokio::test]
async fn data_directory_and_port_are_exclusive_and_an_open_stream_does_not_delay_the_stop() {
    let mut toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let stream = client.get(toygres.url("/api/events")).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let elsewhere = tempfile::tempdir().unwrap();
    let same_directory = command(0, toygres.dir.path(), &toygres.database).output().unwrap();
    let same_port = command(toygres.port, elsewhere.path(), &toygres.database).output().unwrap();
    for (refused, named) in [(same_directory, "data directory"), (same_port, "--listen")] {
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && message.contains(named), "{message}");
    }
    assert!(toygres.stop().success());
    drop(stream);
}

#[tokio::test]
async fn secrets_are_not_in_arguments_pages_logs_or_files() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let canary = "canary-51c7-instance-password";
    let created: Value = client
        .post(toygres.url("/api/instances"))
        .json(&json!({ "name": "vault", "password": canary }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let run = created["run_id"].as_str().unwrap();
    loop {
        let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        assert!(
            !String::from_utf8_lossy(&processes.stdout).contains(canary),
            "in the arguments of a process"
        );
        let detail: Value =
            client.get(toygres.url(&format!("/api/runs/{run}"))).send().await.unwrap().json().await.unwrap();
        if detail["state"] != "running" {
            assert_eq!(detail["state"], "succeeded", "{detail}");
            break;
        }
    }
    for path in [
        "/",
        "/instances",
        "/instances/vault",
        "/settings",
        "/api/instances",
        "/api/runs",
        &format!("/runs/{run}"),
    ] {
        let page = client.get(toygres.url(path)).send().await.unwrap().text().await.unwrap();
        assert!(!page.contains(canary) && !page.contains(PASSWORD), "{path}");
    }
    let log = toygres.log();
    assert!(!log.contains(canary) && !log.contains(PASSWORD), "in the server's log");
    let dump = std::process::Command::new("pg_dump")
        .args(["--inserts", "-d", &toygres::database_url(&toygres.database)])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(
        dump.contains("vault") && !dump.contains(canary) && !dump.contains(PASSWORD),
        "in the state database"
    );
    let grep = std::process::Command::new("grep")
        .args(["-rlF", "--", canary])
        .arg(toygres.dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "in a file");
}

#[tokio::test]
async fn repeated_request_with_an_idempotency_key_is_executed_once() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let test = async |key: &str, lines: u64| {
        let request = client.post(toygres.url("/api/platform/test")).header("idempotency-key", key);
        let answer = request.json(&json!({ "lines": lines })).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let first = test("one", 1).await;
    assert_eq!(first.0, 202);
    assert_eq!(test("one", 1).await, first);
    let other = test("one", 2).await;
    assert_eq!((other.0, other.1["error"]["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert_ne!(test("two", 1).await.1["run_id"], first.1["run_id"]);
    // A request that was refused may be repeated.
    assert_eq!((test("three", 2_000_000).await.0, test("three", 1).await.0), (422, 202));
    // The key is the caller's own.
    let token = toygres.tool(&["token", "add", "ci", "--role", "operator"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let other = reqwest::Client::new().post(toygres.url("/api/platform/test")).bearer_auth(token.trim());
    let other = other.header("idempotency-key", "one").json(&json!({ "lines": 1 })).send().await.unwrap();
    assert_ne!(other.json::<Value>().await.unwrap()["run_id"], first.1["run_id"]);
    assert_eq!(test(&"x".repeat(201), 1).await.0, 400);
    let runs = psql(&toygres.database, "select count(*) from toygres.run");
    assert_eq!(runs, "4\n");
}

#[tokio::test]
async fn parallel_requests_with_one_idempotency_key_create_one_image() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let id = uuid::Uuid::now_v7();
    // Nothing listens at the port: the backup fails, after its image was reserved.
    let insert = format!(
        "insert into toygres.instance (id, name, platform, origin, status, image_type, host, port, username, database, tls)
         select '{id}', 'source', id, 'external', 'running', 'stock', '127.0.0.1', 1, 'postgres', 'postgres', 'disable'
         from toygres.platform"
    );
    psql(&toygres.database, &insert);
    let back_up = async |key: &str| {
        let request = client.post(toygres.url("/api/images")).header("idempotency-key", key);
        let answer = request.json(&json!({ "instance_id": id })).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (first, second) = tokio::join!(back_up("nightly"), back_up("nightly"));
    assert_eq!(first.0, 202, "{first:?}");
    assert_eq!(first, second);
    assert_eq!(psql(&toygres.database, "select count(*) from toygres.image"), "1\n");
    assert_ne!(back_up("other").await.1["id"], first.1["id"]);
    assert_eq!(psql(&toygres.database, "select count(*) from toygres.image"), "2\n");

    let document: Value =
        client.get(toygres.url("/api/openapi.json")).send().await.unwrap().json().await.unwrap();
    let documents_key = |path: &str| {
        let parameters =
            document["paths"][path]["post"]["parameters"].as_array().cloned().unwrap_or_default();
        parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key")
    };
    assert!(documents_key("/api/images"));
    assert!(documents_key("/api/images/{id}/verify"));
    assert!(!documents_key("/login"));
}
