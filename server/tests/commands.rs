//! The commands beside the server: accounts, keys, migrations; and what a server says that cannot start.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use toygres::{Toygres, command, free_port, log_in, psql, succeeds};

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// How logging in is answered.
async fn status(toygres: &Toygres, name: &str, password: &str) -> u16 {
    let form = [("username", name), ("password", password)];
    let login = reqwest::Client::new().post(toygres.url("/login")).form(&form);
    login.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_account_is_made_and_gets_another_password() {
    let toygres = Toygres::start();
    let add = || toygres.tool(&["user", "add", "vera", "--role", "operator"]);
    let made = with_input(add(), "canary-first-password\n");
    assert!(made.status.success() && words(&made).contains("vera may log in"), "{}", words(&made));
    assert_eq!(status(&toygres, "vera", "canary-first-password").await, 200);
    let role = psql(&toygres.database, "select role from toygres.account where name = 'vera'");
    assert_eq!(role, "operator\n");
    let twice = with_input(add(), "another-password-1\n");
    assert!(!twice.status.success(), "{}", words(&twice));
    let short = with_input(toygres.tool(&["user", "add", "otto"]), "short\n");
    assert!(!short.status.success() && words(&short).contains("password"), "{}", words(&short));

    let form = [("username", "vera"), ("password", "canary-first-password")];
    let client = reqwest::Client::builder().cookie_store(true).build().unwrap();
    client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 200);
    let changed = with_input(toygres.tool(&["user", "passwd", "vera"]), "canary-second-password\n");
    assert!(changed.status.success(), "{}", words(&changed));
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 401, "her sessions end");
    assert_eq!(status(&toygres, "vera", "canary-first-password").await, 401);
    let form = [("username", "vera"), ("password", "canary-second-password")];
    let again = client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    assert!(again.status().is_success());
    let nobody = with_input(toygres.tool(&["user", "passwd", "nobody"]), "a-long-password\n");
    assert!(!nobody.status.success() && words(&nobody).contains("nobody"), "{}", words(&nobody));
    let rows = "select actor, action, outcome from toygres.audit where subject = 'vera' and actor like 'the %' order by id";
    let audit = psql(&toygres.database, rows);
    let line = "the command line";
    let expected = format!("{line}|user.create|ok\n{line}|user.create|invalid\n{line}|user.password|ok\n");
    assert_eq!(audit, expected);
    for output in [made, twice, changed] {
        assert!(!words(&output).contains("canary"), "{}", words(&output));
    }
}

#[tokio::test]
async fn another_key_opens_everything_and_the_old_one_nothing() {
    let mut toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let body = json!({ "name": "vault", "password": "canary-of-the-vault" });
    let made: Value =
        client.post(toygres.url("/api/instances")).json(&body).send().await.unwrap().json().await.unwrap();
    succeeds(&client, &toygres, made["run_id"].as_str().unwrap()).await;
    let busy = toygres.tool(&["rotate-key"]).output().unwrap();
    assert!(!busy.status.success() && words(&busy).contains("Stop it first"), "{}", words(&busy));
    assert!(toygres.stop().success());

    let file = toygres.dir.path().join("data/encryption.key");
    let old = std::fs::read_to_string(&file).unwrap();
    let id = || {
        psql(&toygres.database, "select key_id from toygres.encryption_key where active").trim().to_owned()
    };
    let before = id();
    let rotated = toygres.tool(&["rotate-key"]).output().unwrap();
    assert!(rotated.status.success(), "{}", words(&rotated));
    let (after, new) = (id(), std::fs::read_to_string(&file).unwrap());
    assert!(before != after && words(&rotated).contains(&before) && words(&rotated).contains(&after));
    assert!(old != new && !words(&rotated).contains(&new));
    let sealed = psql(&toygres.database, "select distinct key_id from toygres.secret");
    assert_eq!(sealed.trim(), after);

    // The old key, and none at all, are refused: the right one is named, neither is shown.
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut server = command(free_port(), toygres.dir.path(), &toygres.database);
        change(&mut server);
        let output = server.env("RUST_LOG", "warn").output().unwrap();
        assert!(!output.status.success());
        let words = words(&output);
        assert!(words.contains(&after) && words.contains("TOYGRES_ENCRYPTION_KEY"), "{words}");
        assert!(!words.contains(&old) && !words.contains(&new), "{words}");
    };
    refused(&|server| {
        server.env("TOYGRES_ENCRYPTION_KEY", &old);
    });
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    refused(&|_| {});
    assert!(!file.exists(), "a key was made although the CMS has one");
    std::fs::rename(file.with_extension("away"), &file).unwrap();

    toygres.start_again(|_| {});
    let client = log_in(&toygres).await;
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": toygres::PASSWORD }));
    assert_eq!(sudo.send().await.unwrap().status(), 200);
    let reveal = client.post(toygres.url("/api/fn/reveal-password")).header("origin", toygres.url(""));
    let revealed = reveal.form(&[("name", "vault")]).send().await.unwrap().text().await.unwrap();
    assert!(revealed.contains("canary-of-the-vault"), "{revealed}");
}

#[test]
fn a_cms_is_migrated_and_one_of_a_newer_program_is_refused() {
    let toygres = Toygres::start();
    let migrated = toygres.tool(&["migrate"]).output().unwrap();
    assert!(migrated.status.success() && words(&migrated).contains("up to date"), "{}", words(&migrated));
    psql(
        &toygres.database,
        "insert into toygres._sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'of tomorrow', true, '', 0)",
    );
    let elsewhere = tempfile::tempdir().unwrap();
    for mut program in [toygres.tool(&["migrate"]), command(free_port(), elsewhere.path(), &toygres.database)]
    {
        let refused = program.env("RUST_LOG", "warn").output().unwrap();
        assert!(!refused.status.success());
        let words = words(&refused);
        assert!(words.contains("newer Toygres") && words.contains("9999"), "{words}");
    }
}

#[test]
fn a_wrong_database_url_is_explained_without_its_password() {
    let good = toygres::database_url("postgres");
    let (_, place) = good.rsplit_once('@').unwrap();
    let (place, _) = place.split_once('/').unwrap();
    let dead = free_port();
    for (url, word) in [
        (
            format!("postgres://toygres:canary-url-password@127.0.0.1:{dead}/toygres"),
            "Is that PostgreSQL running?",
        ),
        (format!("postgres://toygres:canary-url-password@{place}/no_such_database"), "does not exist"),
        (format!("postgres://nobody:canary-url-password@{place}/postgres"), "nobody"),
        ("postgres://toygres:canary-url-password@[oops/toygres".to_owned(), "cannot be read"),
        ("canary-url-password".to_owned(), "cannot be read"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let refused = command(free_port(), dir.path(), "unused")
            .env("DATABASE_URL", &url)
            .env("RUST_LOG", "debug")
            .output()
            .unwrap();
        assert!(!refused.status.success(), "{url}");
        let words = words(&refused);
        assert!(words.contains(word), "{url}: {words}");
        assert!(!words.contains("canary-url-password"), "{words}");
    }
}
