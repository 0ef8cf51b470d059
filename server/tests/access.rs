//! Access by tokens, HTTPS and proxies, and the expiry of sessions.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use serde_json::{Value, json};
use toygres::{NAME, PASSWORD, Toygres, command, log_in, psql};

/// Creates a token with the command line.
fn token(toygres: &Toygres, arguments: &[&str]) -> String {
    let output = toygres.tool(&["token", "add"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn one_time_password_allows_only_its_change_and_its_file_is_deleted() {
    let toygres = Toygres::start_with(|server| {
        server.env_remove("TOYGRES_ADMIN_USERNAME").env_remove("TOYGRES_ADMIN_PASSWORD");
    });
    let file = toygres.dir.path().join("data/first-password");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!toygres.log().contains(text.split_whitespace().last().unwrap()));
    let first = text.split_whitespace().last().unwrap().to_owned();
    let client = reqwest::Client::builder().cookie_store(true).redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let log_in = async |password: &str| {
        let form = [("username", "admin"), ("password", password)];
        client.post(toygres.url("/login")).form(&form).send().await.unwrap().status().as_u16()
    };
    let instances =
        async || client.get(toygres.url("/api/instances")).send().await.unwrap().status().as_u16();
    assert_eq!(log_in(&first).await, 200);
    assert_eq!(instances().await, 403, "the password must be changed first");
    let form = [("old", first.as_str()), ("new", PASSWORD)];
    let change = client.post(toygres.url("/password")).header("origin", toygres.url("")).form(&form);
    assert_eq!(change.send().await.unwrap().headers()["location"], "/");
    assert!(!file.exists(), "the file still exists");
    assert_eq!(instances().await, 200);
    assert_eq!((log_in(&first).await, log_in(PASSWORD).await), (401, 200));
}

#[tokio::test]
async fn token_has_the_permissions_of_its_role_until_it_expires() {
    let toygres = Toygres::start();
    let ask = async |token: &str, method: Method, path: &str, body: Option<Value>| {
        let request = reqwest::Client::new().request(method, toygres.url(path)).bearer_auth(token);
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let code = answer.json::<Value>().await.unwrap_or_default()["error"]["code"].clone();
        (status, code.as_str().unwrap_or_default().to_owned())
    };
    let missing = "/api/instances/missing?confirm=missing";
    let image = || Some(json!({ "name": "orphan", "instance_id": "0190d0b8-6d5f-7000-8000-000000000000" }));

    let viewer = token(&toygres, &["looks", "--days", "1"]);
    assert!(viewer.starts_with("toy_") && viewer.len() == 68, "{viewer}");
    assert_eq!(ask(&viewer, Method::GET, "/api/runs", None).await.0, 200);
    assert_eq!(ask(&viewer, Method::POST, "/api/images", image()).await, (403, "forbidden".to_owned()));
    let operator = token(&toygres, &["works", "--role", "operator"]);
    assert_eq!(ask(&operator, Method::POST, "/api/images", image()).await.0, 404);
    assert_eq!(ask(&operator, Method::DELETE, missing, None).await.0, 403);
    let admin = token(&toygres, &["rules", "--role", "admin"]);
    assert_eq!(ask(&admin, Method::DELETE, missing, None).await, (403, "sudo_required".to_owned()));
    let sudo = token(&toygres, &["deletes", "--role", "admin", "--sudo"]);
    assert_eq!(ask(&sudo, Method::DELETE, missing, None).await, (404, "not_found".to_owned()));

    psql(&toygres.database, "update toygres.token set expires_at = clock_timestamp() where name = 'looks'");
    assert_eq!(ask(&viewer, Method::GET, "/api/runs", None).await, (401, "unauthenticated".to_owned()));
    psql(&toygres.database, "update toygres.token set revoked_at = clock_timestamp() where name = 'rules'");
    assert_eq!(ask(&admin, Method::GET, "/api/runs", None).await.0, 401);
    assert_eq!(ask(&format!("{sudo}0"), Method::GET, "/api/runs", None).await.0, 401);
    // Only the hash is stored.
    let stored = psql(&toygres.database, "select t::text from toygres.token t");
    assert!(stored.contains("deletes") && !stored.contains(&sudo), "{stored}");
}

#[tokio::test]
async fn https_session_cookie_is_secure() {
    let toygres = Toygres::start_with(|server| {
        server.env("TOYGRES_PUBLIC_URL", "https://toygres.example");
    });
    let client = reqwest::Client::new();
    let form = [("username", NAME), ("password", PASSWORD)];
    let login = client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-toygres="), "{cookie}");
    let has = |cookie: &str, wanted: &[&str]| {
        let parts: Vec<String> = cookie.split(';').map(|part| part.trim().to_lowercase()).collect();
        wanted.iter().all(|wanted| parts.iter().any(|part| part == wanted)) && !cookie.contains("Domain")
    };
    assert!(has(&cookie, &["secure", "httponly", "path=/", "samesite=lax"]), "{cookie}");
    let device = login.headers().get_all("set-cookie").iter().nth(1).unwrap().to_str().unwrap();
    assert!(device.starts_with("__Host-toygres-device="), "{device}");
    assert!(has(device, &["secure", "httponly", "path=/", "samesite=strict"]), "{device}");
    let scheme = client.post(toygres.url("/api/fn/appearance")).header("origin", "https://toygres.example");
    let scheme = scheme.form(&[("scheme", "dark")]).send().await.unwrap();
    let scheme = scheme.headers()["set-cookie"].to_str().unwrap();
    assert!(scheme.starts_with("scheme=dark") && has(scheme, &["secure"]), "{scheme}");
    let pair = cookie.split(';').next().unwrap();
    for path in ["/", "/login", "/health", "/api/runs", "/pkg/nothing"] {
        let answer = client.get(toygres.url(path)).header("cookie", pair).send().await.unwrap();
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000", "{path}");
    }
    // Only requests from the public URL are accepted.
    for (origin, status) in
        [("https://toygres.example", 200), ("http://toygres.example", 403), ("https://evil.example", 403)]
    {
        let logout = client.post(toygres.url("/logout")).header("cookie", pair).header("origin", origin);
        let answer = logout.send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        if status == 200 {
            // Browsers ignore a __Host- cookie without these attributes, also a removal.
            let removal = answer.headers()["set-cookie"].to_str().unwrap();
            assert!(
                removal.starts_with("__Host-toygres=;") && has(removal, &["secure", "path=/"]),
                "{removal}"
            );
        }
    }

    let plain = Toygres::start();
    let login = client.post(plain.url("/login")).form(&form).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("toygres=") && !cookie.contains("Secure"), "{cookie}");
    assert!(!login.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn late_response_does_not_remove_the_session_cookie() {
    let toygres = Toygres::start();
    let client = reqwest::Client::new();
    let form = [("username", NAME), ("password", PASSWORD)];
    let login = client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    let pair = |answer: &reqwest::Response| {
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    };
    let first = pair(&login);
    let sudo = client.post(toygres.url("/api/sudo")).header("cookie", &first);
    let sudo = sudo.json(&json!({ "password": PASSWORD })).send().await.unwrap();
    let second = pair(&sudo);
    assert_ne!(first, second);
    // A browser keeps the cookie of the last response, which can belong to an earlier request.
    for (cookie, status) in [(&first, 401), (&second, 200)] {
        for path in ["/api/runs", "/api/instances"] {
            let answer = client.get(toygres.url(path)).header("cookie", cookie).send().await.unwrap();
            assert_eq!(answer.status(), status);
            assert!(!answer.headers().contains_key("set-cookie"), "{:?}", answer.headers());
        }
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_sets_the_client_address() {
    let guess = async |toygres: &Toygres| {
        let form = [("username", NAME), ("password", "a guess")];
        let login = reqwest::Client::new().post(toygres.url("/login")).form(&form);
        // The client forged the first address; the proxy added the second.
        let login = login.header("x-forwarded-for", "198.51.100.1, 203.0.113.5");
        // Some proxies add a header of their own, or a port.
        let login = login.header("x-forwarded-for", "203.0.113.7:4711, 192.0.2.77");
        assert_eq!(login.send().await.unwrap().status(), 401);
        psql(&toygres.database, "select key from toygres.login_guess")
    };
    let keys = guess(&Toygres::start()).await;
    assert!(keys.contains("127.0.0.1") && !keys.contains("203.0.113.7"), "{keys}");
    assert!(!keys.contains("203.0.113.5"), "{keys}");
    let behind = Toygres::start_with(|server| {
        server.env("TOYGRES_PROXIES", "192.0.2.0/24,127.0.0.1");
    });
    let keys = guess(&behind).await;
    assert!(keys.contains("203.0.113.7"), "{keys}");
    assert!(!keys.contains("127.0.0.1") && !keys.contains("198.51.100.1"), "{keys}");
    assert!(!keys.contains("203.0.113.5"), "{keys}");
}

#[tokio::test]
async fn session_expires_after_twelve_hours_also_in_sudo_mode() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    psql(
        &toygres.database,
        "update toygres.session set created_at = clock_timestamp() - interval '11 hours 59 minutes'",
    );
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": PASSWORD }));
    assert_eq!(sudo.send().await.unwrap().status(), 200);
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 200);
    let left = psql(
        &toygres.database,
        "select count(*) from toygres.session where expires_at < clock_timestamp() + interval '61 seconds'",
    );
    assert_eq!(left, "1\n", "the confirmation of the password extended the session");
}

#[tokio::test]
async fn invalid_public_url_is_rejected() {
    let toygres = Toygres::start();
    for wrong in ["toygres.example", "ftp://toygres.example", "https://toygres.example/path"] {
        let elsewhere = tempfile::tempdir().unwrap();
        let refused = command(0, elsewhere.path(), &toygres.database)
            .env("TOYGRES_PUBLIC_URL", wrong)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && message.contains("TOYGRES_PUBLIC_URL"), "{wrong}: {message}");
    }
}
