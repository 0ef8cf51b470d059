//! What a browser, a program and an attacker get over HTTP: statuses, headers, sessions, and nothing that is not theirs.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use toygres::{NAME, PASSWORD, Toygres, command, log_in, psql};

#[tokio::test]
async fn the_openapi_document_tells_the_truth() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let stranger = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let document: Value =
        client.get(toygres.url("/api/openapi.json")).send().await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "{paths:?}");
    let id = "0190d0b8-6d5f-7000-8000-000000000000";
    // Logging out comes last: it ends the session that the others need.
    for (path, operations) in
        paths.iter().filter(|(path, _)| *path != "/logout").chain(paths.get_key_value("/logout"))
    {
        let url = toygres.url(&path.replace("{id}", id).replace("{name}", "nobody"));
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
            // A stream's answer is there before its end, which does not come.
            let answer = request(&client).send().await.unwrap();
            let status = answer.status().as_u16();
            let operation = &operations[method];
            if operation.is_null() {
                // The page of the way in has the address of its form.
                assert!(
                    status == 405 || (path == "/login" && method == "get"),
                    "{method} {path} is not in the document and gets {status}"
                );
                continue;
            }
            let declared = operation["responses"].as_object().unwrap();
            let told = &declared.get(&status.to_string());
            assert!(told.is_some(), "{method} {path} answers {status}, which is not declared");
            assert_ne!(status, 405);
            // Its type too, where one is declared.
            if let Some((kind, _)) = told.and_then(|told| told["content"].as_object()?.iter().next()) {
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
async fn what_another_site_makes_a_browser_send_is_refused() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let ours = toygres.url("");
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    // Headers, type of the body, path, whether the guard lets it pass.
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
async fn a_session_ends_when_it_ends() {
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
    // Each use makes it last longer.
    psql(
        &toygres.database,
        "update toygres.session set expires_at = clock_timestamp() + interval '1 minute'",
    );
    assert_eq!(asks(&cookie).await, 200);
    let longer = psql(
        &toygres.database,
        "select bool_or(expires_at > clock_timestamp() + interval '20 minutes') from toygres.session",
    );
    assert_eq!(longer, "t\n");
    // Only its hash is kept.
    let kept = psql(&toygres.database, "select encode(hash, 'escape') || data::text from toygres.session");
    assert!(!kept.contains(cookie.split('=').nth(1).unwrap()));
    let out = reqwest::Client::new()
        .post(toygres.url("/logout"))
        .header("cookie", &cookie)
        .header("origin", toygres.url(""));
    assert_eq!(out.send().await.unwrap().status(), 200);
    assert_eq!(asks(&cookie).await, 401);
    // Another password, or a closed account, ends every session at once.
    psql(&toygres.database, "update toygres.account set auth_epoch = auth_epoch + 1");
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_sudo_is_asked_for() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    // What cannot be taken back needs the password again, whoever asks how.
    let delete = client.delete(toygres.url("/api/instances/nobody?confirm=nobody")).send().await.unwrap();
    assert_eq!(delete.status(), 403);
    assert_eq!(delete.json::<Value>().await.unwrap()["error"]["code"], "sudo_required");
    let direct = client
        .post(toygres.url("/api/fn/reveal-password"))
        .header("origin", toygres.url(""))
        .header("accept", "application/json")
        .form(&[("name", "nobody")])
        .send()
        .await
        .unwrap();
    assert!(direct.text().await.unwrap().contains("sudo_required"));
    let sudo = |password: &'static str| {
        client.post(toygres.url("/api/sudo")).json(&json!({ "password": password })).send()
    };
    assert_eq!(sudo("wrong password").await.unwrap().status(), 401);
    assert_eq!(sudo(PASSWORD).await.unwrap().status(), 200);
    let delete = client.delete(toygres.url("/api/instances/nobody?confirm=nobody")).send().await.unwrap();
    assert_eq!(delete.status(), 404);
    // Guesses cost more and more time.
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
async fn bad_input_gets_a_sentence_and_every_answer_its_headers() {
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
    // A field that is mistyped would be as if it had not been sent.
    let mistyped = send(r#"{"name": "orders", "pasword": "x"}"#.to_owned()).await.unwrap();
    assert_eq!(mistyped.status(), 422);
    assert!(mistyped.text().await.unwrap().contains("pasword"));
    // By a connection of its own, which is closed on what is too large.
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

/// What a cluster alone has is refused on one machine, at its field.
#[tokio::test]
async fn what_only_a_cluster_has_is_refused_at_its_field() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let external = |more: Value| {
        let mut body = json!({ "name": "orders", "host": "127.0.0.1", "port": 1, "username": "postgres" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (path, body, field, words) in [
        (
            "/api/instances",
            json!({ "name": "big", "volume_bytes": 20_u64 << 30 }),
            "volume_bytes",
            "share its disk",
        ),
        ("/api/instances", json!({ "name": "old", "major": 9 }), "major", "apt-get install postgresql-9"),
        (
            "/api/instances",
            json!({ "name": "durable", "image_type": "pg_durable" }),
            "image_type",
            "pg_durable is not here",
        ),
        (
            "/api/instances/external",
            external(json!({ "secret_ref": "shop/orders/password" })),
            "secret_ref",
            "on Kubernetes only",
        ),
        (
            "/api/instances/external",
            external(json!({ "secret_ref": "shop/orders" })),
            "secret_ref",
            "namespace/name/key",
        ),
        (
            "/api/instances/external",
            external(json!({ "secret_ref": "a/b/c", "password": "x" })),
            "secret_ref",
            "not both",
        ),
    ] {
        let sent =
            client.post(toygres.url(path)).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), 422, "{body}");
        let error = answer.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!(error["field"], field, "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
}

#[tokio::test]
async fn one_server_a_data_directory_and_an_end_in_good_order() {
    let mut toygres = Toygres::start();
    let client = log_in(&toygres).await;
    // A page that is open does not keep the server from stopping.
    let stream = client.get(toygres.url("/api/events")).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let second = command(1, toygres.dir.path(), &toygres.database).output().unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains("Another Toygres serves the data directory"), "{words}");
    let elsewhere = tempfile::tempdir().unwrap();
    let taken = command(toygres.port, elsewhere.path(), &toygres.database).output().unwrap();
    let words = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!taken.status.success() && words.contains("Another program listens on"), "{words}");
    assert!(toygres.stop().success());
    drop(stream);
}

#[tokio::test]
async fn no_secret_is_where_it_should_not_be() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let canary = "canary-51c7-instance-password";
    let made: Value = client
        .post(toygres.url("/api/instances"))
        .json(&json!({ "name": "vault", "password": canary }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let run = made["run_id"].as_str().unwrap();
    loop {
        let everything = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&everything.stdout).contains(canary), "in a process' arguments");
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
    assert!(dump.contains("vault") && !dump.contains(canary) && !dump.contains(PASSWORD), "in the CMS");
    let grep = std::process::Command::new("grep")
        .args(["-rlF", "--", canary])
        .arg(toygres.dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "in a file");
}
