//! Who may do what: every route of the OpenAPI document and every server function, as each role and in sudo mode, compared
//! with the table in `snapshots/`. And what of it is audited.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::collections::BTreeSet;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use toygres::{Toygres, log_in, psql};

/// An id that no object has.
const ID: &str = "0190d0b8-6d5f-7000-8000-000000000000";
/// The callers, from the lowest to the highest permissions: the columns of the table.
const CALLERS: [(&str, &[&str]); 4] = [
    ("viewer", &["--role", "viewer"]),
    ("operator", &["--role", "operator"]),
    ("admin", &["--role", "admin"]),
    ("sudo", &["--role", "admin", "--sudo"]),
];

fn token(toygres: &Toygres, name: &str, role: &[&str]) -> String {
    let output = toygres.tool(&["token", "add", name]).args(role).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A body that passes the parser, and that the command refuses for another reason than the caller.
fn body_of(path: &str) -> Value {
    match path {
        "/api/instances/external" => json!({ "name": "-", "host": "h", "port": 1, "username": "u" }),
        "/api/images" => json!({ "name": "x", "instance_id": ID }),
        "/api/platform/test" => json!({ "lines": 1_000_001 }),
        "/api/sudo" => json!({ "password": "x" }),
        _ => json!({ "name": "-" }),
    }
}

/// The fields of all server functions: each ignores those that it does not know.
fn form() -> Vec<(&'static str, &'static str)> {
    let ids = ["id", "instance", "user", "token", "store"].map(|name| (name, ID));
    let more = [
        ("name", "-"),
        ("confirm", "-"),
        ("username", ""),
        ("role", "viewer"),
        ("password", "x"),
        ("disabled", "true"),
        ("host", "h"),
        ("url", "-"),
        ("page", "1"),
        ("days", "1"),
        ("scheme", ""),
        ("access[auth]", "environment"),
        ("access[transfer]", "object_store"),
        ("request[name]", "-"),
        ("request[major]", ""),
        ("request[volume_gib]", ""),
        ("request[dns_label]", ""),
        ("request[change]", "false"),
        ("filter[search]", ""),
        ("filter[status]", ""),
        ("filter[state]", ""),
        ("filter[workflow]", ""),
        ("filter[instance]", ""),
        ("filter[image]", ""),
        ("filter[sort]", ""),
        ("filter[page]", "1"),
    ];
    ids.into_iter().chain(more).collect()
}

/// The paths of all server functions, as the attributes in the source name them.
fn server_functions() -> BTreeSet<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../app/src/api");
    let files = std::fs::read_dir(directory).unwrap();
    let text: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let names = text.split("endpoint = \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    names.map(|name| format!("/api/fn/{name}")).collect()
}

/// The requests of the table by name. Streams and what ends the caller's session are left out.
async fn requests(toygres: &Toygres, client: &Client) -> Vec<(String, Method, String)> {
    let document: Value =
        client.get(toygres.url("/api/openapi.json")).send().await.unwrap().json().await.unwrap();
    let mut requests = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path == "/login" || path == "/logout" || path.ends_with("/events") {
            continue;
        }
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let filled = path.replace("{id}", ID).replace("{name}", "missing");
            let query = match path.rsplit('/').next().unwrap() {
                "restore-plan" => format!("?image={ID}"),
                _ => "?".to_owned(),
            };
            requests.push((format!("{method} {path}"), method, filled + query.trim_end_matches('?')));
        }
    }
    let functions = server_functions();
    assert!(functions.len() > 30, "{functions:?}");
    requests.extend(functions.into_iter().map(|path| (format!("FN {path}"), Method::POST, path)));
    requests
}

fn request(client: &Client, toygres: &Toygres, name: &str, method: &Method, path: &str) -> RequestBuilder {
    let request = client.request(method.clone(), toygres.url(path)).header("accept", "application/json");
    if name.starts_with("FN ") {
        // These two take JSON.
        if path.ends_with("/run") || path.ends_with("/log") {
            let filter = json!({ "search": "", "level": "debug" });
            return request.json(&json!({ "id": ID, "filter": filter, "stretch": "last" }));
        }
        return request.form(&form());
    }
    if *method == Method::POST { request.json(&body_of(path)) } else { request }
}

/// What an answer says about the permissions of its caller.
async fn outcome(request: RequestBuilder) -> &'static str {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let error: Value = serde_json::from_str(&text).unwrap_or_default();
    // REST errors are in an object, those of server functions are not.
    let code = error["error"]["code"].as_str().or(error["code"].as_str()).unwrap_or_default();
    assert!(!["broken_json", "internal"].contains(&code), "{status} {text}");
    assert!(
        !text.contains("The form was incomplete") && !text.contains("expected fields"),
        "{status} {text}"
    );
    match (status, code) {
        (403, "sudo_required") => "sudo",
        (401 | 403, _) => "refused",
        _ => "allowed",
    }
}

#[tokio::test]
async fn every_route_has_the_permissions_of_the_table() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let tokens = CALLERS.map(|(name, role)| token(&toygres, name, role));
    let rows = || psql(&toygres.database, "select count(*) from toygres.audit");
    let mut table = String::from("what | viewer | operator | admin | sudo\n");
    for (name, method, path) in requests(&toygres, &client).await {
        let mut line = name.clone();
        for token in &tokens {
            let before = rows();
            let request = request(&client, &toygres, &name, &method, &path).bearer_auth(token);
            let outcome = outcome(request).await;
            // A refused change is audited; a refused view may be.
            let audited = if rows() == before { "" } else { " +" };
            line.push_str(&format!(" | {outcome}{audited}"));
        }
        table.push_str(&line);
        table.push('\n');
    }
    insta::assert_snapshot!("permissions", table);
}

/// The entries of the audit log after `id`.
fn entries(toygres: &Toygres, id: &str) -> String {
    let columns = "actor_kind, action, subject, outcome, run is not null";
    psql(&toygres.database, &format!("select {columns} from toygres.audit where id > {id} order by id"))
}

fn newest(toygres: &Toygres) -> String {
    psql(&toygres.database, "select max(id) from toygres.audit").trim().to_owned()
}

#[tokio::test]
async fn audit_names_logouts_forgeries_and_no_false_confirmation() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let before = newest(&toygres);
    let forged = client.post(toygres.url("/api/fn/back-up")).header("origin", "https://evil.example");
    assert_eq!(forged.form(&form()).send().await.unwrap().status(), 403);
    let change = [("old", toygres::PASSWORD), ("new", "another-long-password")];
    let change = client.post(toygres.url("/password")).header("origin", toygres.url("")).form(&change);
    assert_eq!(change.send().await.unwrap().status(), 303);
    let logout = client.post(toygres.url("/logout")).header("origin", toygres.url(""));
    assert_eq!(logout.send().await.unwrap().status(), 200);
    let expected = "account|request|/api/fn/back-up|cross_site|f\n\
                    account|user.password|admin|ok|f\n\
                    account|logout|session|ok|f\n";
    assert_eq!(entries(&toygres, &before), expected);
    // The id tells an account from a token or an account with the same name.
    let actor = psql(
        &toygres.database,
        &format!(
            "select count(*) from toygres.audit x join toygres.account a on a.id = x.actor_id where x.id > {before}"
        ),
    );
    assert_eq!(actor, "3\n");
}

#[tokio::test]
async fn change_and_audit_row_are_one_transaction() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": toygres::PASSWORD }));
    assert_eq!(sudo.send().await.unwrap().status(), 200);
    // The audit log refuses rows: then there must be no change either.
    psql(
        &toygres.database,
        "create function refuse() returns trigger language plpgsql as $$begin raise 'full'; end$$;
         create trigger refuse before insert on toygres.audit for each row execute function refuse()",
    );
    let user = [("username", "eve"), ("role", "admin"), ("password", "a-long-password")];
    let post = |path: &str| client.post(toygres.url(path)).header("origin", toygres.url(""));
    let created = post("/api/fn/create-user").header("accept", "application/json").form(&user);
    assert_eq!(created.send().await.unwrap().status(), 500);
    let test = client.post(toygres.url("/api/platform/test")).json(&json!({}));
    assert_eq!(test.send().await.unwrap().status(), 500);
    let changed = "select (select count(*) from toygres.account), (select count(*) from toygres.run)";
    assert_eq!(psql(&toygres.database, changed), "1|0\n");
}

#[tokio::test]
async fn audit_is_exported_as_json_lines_to_admins() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    psql(
        &toygres.database,
        "insert into toygres.audit (actor, action, subject, outcome)
         select 'system', 'test', n::text, 'ok' from generate_series(1, 2500) n",
    );
    let export = client.get(toygres.url("/api/audit?format=jsonl")).send().await.unwrap();
    assert!(export.headers()["content-type"].to_str().unwrap().starts_with("application/jsonl"));
    let text = export.text().await.unwrap();
    let ids: Vec<i64> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap())
        .collect();
    assert!(ids.len() > 2500 && ids.is_sorted_by(|a, b| a < b), "{} rows", ids.len());
    let count = psql(
        &toygres.database,
        "select count(*) from toygres.audit where action = 'audit.export' and outcome = 'ok'",
    );
    assert_eq!(count, "1\n");
    let operator = token(&toygres, "ops", &["--role", "operator"]);
    let refused = Client::new().get(toygres.url("/api/audit")).bearer_auth(operator).send().await.unwrap();
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn what_opens_an_instance_or_gives_up_a_rollback_requires_sudo_mode() {
    let toygres = Toygres::start();
    let tokens = CALLERS.map(|(name, role)| token(&toygres, name, role));
    let ask = async |token: &str, path: &str, body: &Value| {
        let request = Client::new().post(toygres.url(path)).bearer_auth(token).json(body);
        let answer = request.send().await.unwrap();
        let error: Value = answer.json().await.unwrap();
        error["error"]["code"].as_str().unwrap_or("ok").to_owned()
    };
    let codes = async |path: &str, body: Value| {
        let mut codes = Vec::new();
        for token in &tokens {
            codes.push(ask(token, path, &body).await);
        }
        codes.join(" ")
    };
    let large = 1_u64 << 40;
    // A local instance has no volume, so that none is created here.
    let body = json!({ "name": "open", "volume_bytes": large, "trust_loopback": true });
    assert_eq!(codes("/api/instances", body).await, "forbidden forbidden sudo_required invalid");
    let secret = json!({ "name": "s", "host": "h", "port": 1, "username": "u", "secret_ref": "a/b/c" });
    assert_eq!(codes("/api/instances/external", secret).await, "forbidden invalid sudo_required invalid");
    // A deletion that has begun leaves an object without its data.
    let run = |id: u8, name: &str, state: &str| {
        psql(
            &toygres.database,
            &format!(
                "insert into toygres.run (id, name, version, pool, input, labels, state, due_at, cancel)
                 values ('0190d0b8-6d5f-7000-8000-0000000000{id:02}', '{name}', 1, 'none', '{{}}',
                     '{{\"title\": \"t\", \"image_name\": \"orders\"}}', '{state}',
                     case when '{state}' = 'running' then now() end, '{state}' = 'stuck')"
            ),
        );
        format!("/api/runs/0190d0b8-6d5f-7000-8000-0000000000{id:02}")
    };
    let deletion = run(1, "delete-image", "running");
    assert_eq!(codes(&format!("{deletion}/cancel"), json!({})).await, "forbidden forbidden ok ok");
    let stuck = run(2, "create-image", "stuck");
    let accept = format!("{stuck}/accept?confirm=other");
    assert_eq!(codes(&accept, json!({})).await, "forbidden forbidden sudo_required invalid");
}

#[tokio::test]
async fn tokens_end_with_their_owner() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": toygres::PASSWORD }));
    assert_eq!(sudo.send().await.unwrap().status(), 200);
    let create = client
        .post(toygres.url("/api/fn/create-token"))
        .header("origin", toygres.url(""))
        .header("accept", "application/json")
        .form(&[("name", "ci"), ("role", "operator"), ("days", "1")]);
    let token: String = create.send().await.unwrap().json().await.unwrap();
    let ask = async || {
        let request = Client::new().get(toygres.url("/api/runs")).bearer_auth(&token);
        request.send().await.unwrap().status().as_u16()
    };
    let owner = |change: &str| psql(&toygres.database, &format!("update toygres.account set {change}"));
    assert_eq!(ask().await, 200);
    owner("role = 'viewer'");
    assert_eq!(ask().await, 401, "the owner has a lower role than the token");
    owner("role = 'operator'");
    assert_eq!(ask().await, 200);
    owner("disabled = true");
    assert_eq!(ask().await, 401, "the owner is disabled");
    // Tokens of the command line expire unless that is declined.
    toygres.tool(&["token", "add", "short"]).output().unwrap();
    toygres.tool(&["token", "add", "eternal", "--no-expiry"]).output().unwrap();
    let expiry =
        "select name, (expires_at - created_at) > interval '89 days' from toygres.token order by name";
    assert_eq!(psql(&toygres.database, expiry), "ci|f\neternal|\nshort|t\n");
}
