//! The commands for accounts, keys and migrations, and the errors of a server that cannot start.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::{Value, json};
use toygres::{Toygres, command, log_in, psql, succeeds};

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Everything that a command printed.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The status of a login.
async fn status(toygres: &Toygres, name: &str, password: &str) -> u16 {
    let form = [("username", name), ("password", password)];
    let login = reqwest::Client::new().post(toygres.url("/login")).form(&form);
    login.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn account_is_created_and_its_password_changed() {
    let toygres = Toygres::start();
    let add = || toygres.tool(&["user", "add", "vera", "--role", "operator"]);
    let created = with_input(add(), "canary-first-password\n");
    assert!(created.status.success(), "{}", printed(&created));
    assert_eq!(status(&toygres, "vera", "canary-first-password").await, 200);
    let role = psql(&toygres.database, "select role from toygres.account where name = 'vera'");
    assert_eq!(role, "operator\n");
    let twice = with_input(add(), "another-password-1\n");
    assert!(!twice.status.success(), "{}", printed(&twice));
    let short = with_input(toygres.tool(&["user", "add", "otto"]), "short\n");
    assert!(!short.status.success() && printed(&short).contains("password"), "{}", printed(&short));

    let form = [("username", "vera"), ("password", "canary-first-password")];
    let client = reqwest::Client::builder().cookie_store(true).build().unwrap();
    client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    assert_eq!(client.get(toygres.url("/api/runs")).send().await.unwrap().status(), 200);
    let changed = with_input(toygres.tool(&["user", "passwd", "vera"]), "canary-second-password\n");
    assert!(changed.status.success(), "{}", printed(&changed));
    assert_eq!(
        client.get(toygres.url("/api/runs")).send().await.unwrap().status(),
        401,
        "the sessions of the account remain"
    );
    assert_eq!(status(&toygres, "vera", "canary-first-password").await, 401);
    let form = [("username", "vera"), ("password", "canary-second-password")];
    let again = client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    assert!(again.status().is_success());
    let unknown = with_input(toygres.tool(&["user", "passwd", "unknown"]), "a-long-password\n");
    assert!(!unknown.status.success() && printed(&unknown).contains("unknown"), "{}", printed(&unknown));
    let rows = "select actor, action, outcome from toygres.audit where subject = 'vera' and actor like 'the %' order by id";
    let audit = psql(&toygres.database, rows);
    let line = "the command line";
    let expected = format!("{line}|user.create|ok\n{line}|user.create|invalid\n{line}|user.password|ok\n");
    assert_eq!(audit, expected);
    for output in [created, twice, changed] {
        assert!(!printed(&output).contains("canary"), "{}", printed(&output));
    }
}

/// Runs a command on a terminal, types `input` as soon as the terminal does not echo, and returns what the terminal shows.
fn on_terminal(command: &Command, input: &str) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let side = || rustix::fs::open(name.as_str(), flags, Mode::empty()).unwrap();
    // Makes the terminal the controlling one, which is what /dev/tty opens.
    let mut setsid = Command::new("setsid");
    setsid.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
    setsid.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = setsid.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    // The command holds this side of the terminal open, and reading would not end.
    drop(setsid);
    let deadline = Instant::now() + Duration::from_secs(30);
    while tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO) {
        assert!(child.try_wait().unwrap().is_none(), "the command ended without reading the password");
        assert!(Instant::now() < deadline, "the terminal still echoes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut terminal = std::fs::File::from(terminal);
    terminal.write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let mut shown = Vec::new();
    // A terminal whose other side is closed reports an error at its end.
    let _ = terminal.read_to_end(&mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

#[tokio::test]
async fn typed_password_is_not_echoed() {
    let toygres = Toygres::start();
    let shown = on_terminal(&toygres.tool(&["user", "add", "tina"]), "canary-typed-password\n");
    assert!(shown.contains("Password:") && !shown.contains("canary"), "{shown:?}");
    assert_eq!(status(&toygres, "tina", "canary-typed-password").await, 200);
}

#[tokio::test]
async fn rotated_key_opens_every_secret_and_the_old_key_none() {
    let mut toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let body = json!({ "name": "vault", "password": "canary-of-the-vault" });
    let created: Value =
        client.post(toygres.url("/api/instances")).json(&body).send().await.unwrap().json().await.unwrap();
    succeeds(&client, &toygres, created["run_id"].as_str().unwrap()).await;
    let busy = toygres.tool(&["rotate-key"]).output().unwrap();
    assert!(!busy.status.success(), "{}", printed(&busy));
    assert!(toygres.stop().success());

    let file = toygres.dir.path().join("data/encryption.key");
    let old = std::fs::read_to_string(&file).unwrap();
    let id = || {
        psql(&toygres.database, "select key_id from toygres.encryption_key where active").trim().to_owned()
    };
    let before = id();
    let rotated = toygres.tool(&["rotate-key"]).output().unwrap();
    assert!(rotated.status.success(), "{}", printed(&rotated));
    let (after, new) = (id(), std::fs::read_to_string(&file).unwrap());
    assert!(before != after && printed(&rotated).contains(&before) && printed(&rotated).contains(&after));
    assert!(old != new && !printed(&rotated).contains(&new));
    let sealed = psql(&toygres.database, "select distinct key_id from toygres.secret");
    assert_eq!(sealed.trim(), after);

    // The old key and a missing one are rejected. The id of the right key is named, and no key is shown.
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut server = command(0, toygres.dir.path(), &toygres.database);
        change(&mut server);
        let output = server.env("RUST_LOG", "warn").output().unwrap();
        assert!(!output.status.success());
        let message = printed(&output);
        assert!(message.contains(&after) && message.contains("TOYGRES_ENCRYPTION_KEY"), "{message}");
        assert!(!message.contains(&old) && !message.contains(&new), "{message}");
    };
    refused(&|server| {
        server.env("TOYGRES_ENCRYPTION_KEY", &old);
    });
    std::fs::rename(&file, file.with_extension("moved")).unwrap();
    refused(&|_| {});
    assert!(!file.exists(), "a key was generated although the state database has one");
    std::fs::rename(file.with_extension("moved"), &file).unwrap();

    toygres.start_again(|_| {});
    let client = log_in(&toygres).await;
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": toygres::PASSWORD }));
    assert_eq!(sudo.send().await.unwrap().status(), 200);
    let reveal = client.post(toygres.url("/api/fn/reveal-password")).header("origin", toygres.url(""));
    let revealed = reveal.form(&[("name", "vault")]).send().await.unwrap().text().await.unwrap();
    assert!(revealed.contains("canary-of-the-vault"), "{revealed}");
}

#[test]
fn state_database_is_migrated_and_a_newer_schema_is_rejected() {
    let toygres = Toygres::start();
    let migrated = toygres.tool(&["migrate"]).output().unwrap();
    assert!(migrated.status.success(), "{}", printed(&migrated));
    psql(
        &toygres.database,
        "insert into toygres._sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'newer', true, '', 0)",
    );
    let elsewhere = tempfile::tempdir().unwrap();
    for mut program in [toygres.tool(&["migrate"]), command(0, elsewhere.path(), &toygres.database)] {
        let refused = program.env("RUST_LOG", "warn").output().unwrap();
        assert!(!refused.status.success());
        let message = printed(&refused);
        assert!(message.contains("9999"), "{message}");
    }
}

#[test]
fn database_url_errors_name_the_cause_without_the_password() {
    let good = toygres::database_url("postgres");
    let (_, place) = good.rsplit_once('@').unwrap();
    let (place, _) = place.split_once('/').unwrap();
    for (url, cause) in [
        ("postgres://toygres:canary-url-password@127.0.0.1:1/toygres".to_owned(), "refused"),
        (format!("postgres://toygres:canary-url-password@{place}/no_such_database"), "does not exist"),
        (format!("postgres://unknown:canary-url-password@{place}/postgres"), "unknown"),
        ("postgres://toygres:canary-url-password@[oops/toygres".to_owned(), "invalid"),
        ("canary-url-password".to_owned(), "invalid"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let refused = command(0, dir.path(), "unused")
            .env("DATABASE_URL", &url)
            .env("RUST_LOG", "debug")
            .output()
            .unwrap();
        assert!(!refused.status.success(), "{url}");
        let message = printed(&refused);
        assert!(message.contains(cause), "{url}: {message}");
        assert!(!message.contains("canary-url-password"), "{message}");
    }
}

#[test]
fn server_needs_no_right_outside_of_its_database() {
    let toygres = Toygres::start();
    let rights = "rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls";
    let owner = format!(
        "select {rights} from pg_roles join pg_database on datdba = pg_roles.oid where datname = current_database()"
    );
    assert_eq!(psql(&toygres.database, &owner), "f\n");
    let owners = "select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'toygres'::regnamespace";
    assert_eq!(psql(&toygres.database, owners).trim(), toygres.database);
    let granted = "select count(*) from pg_auth_members join pg_database on datdba = member where datname = current_database()";
    assert_eq!(psql(&toygres.database, granted), "0\n");
}

#[test]
fn mistyped_settings_create_no_installation() {
    let dir = tempfile::tempdir().unwrap();
    let mistyped = dir.path().join("mistyped");
    for arguments in [&["migrate"][..], &["token", "add", "deploy"]] {
        let mut tool = Command::new(command(0, dir.path(), "unused").get_program());
        let refused = tool
            .env_remove("DATABASE_URL")
            .args(arguments)
            .arg("--data-dir")
            .arg(&mistyped)
            .output()
            .unwrap();
        assert!(!refused.status.success(), "{arguments:?}: {}", printed(&refused));
        assert!(!mistyped.exists(), "{arguments:?}");
    }
    let refused = command(0, dir.path(), "unused").env("TOYGRES_STORE", "ftp://x").output().unwrap();
    assert!(
        !refused.status.success() && printed(&refused).contains("TOYGRES_STORE ftp://x"),
        "{}",
        printed(&refused)
    );
}
