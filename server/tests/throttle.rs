//! Guessing passwords: budgets, floods, and that the owner of an account still gets in.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Client, Response};
use serde_json::json;
use toygres::{NAME, PASSWORD, Toygres, database_url, log_in, psql};

/// A server behind a proxy at 127.0.0.1, so that a test can have many addresses.
fn behind_proxy() -> Toygres {
    Toygres::start_with(|server| {
        server.env("TOYGRES_PROXIES", "127.0.0.0/8");
    })
}

async fn attempt(client: &Client, toygres: &Toygres, from: &str, name: &str, password: &str) -> Response {
    let form = [("username", name), ("password", password)];
    let login = client.post(toygres.url("/login")).header("x-forwarded-for", from).form(&form);
    login.send().await.unwrap()
}

/// The most attempts that a budget allows in this time: five, and one after each of the doubling pauses.
fn budget(elapsed: Duration) -> usize {
    let pauses = (1_u32..).take_while(|n| Duration::from_secs((1_u64 << *n) - 1) <= elapsed).count();
    5 + pauses
}

/// Waits until a statement on the server's database waits for a lock.
async fn wait_for_lock(toygres: &Toygres) {
    let waiting = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and wait_event_type = 'Lock'",
        toygres.database
    );
    let deadline = Instant::now() + Duration::from_secs(30);
    while psql("postgres", &waiting) == "0\n" {
        assert!(Instant::now() < deadline, "no statement waits for the lock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn parallel_burst_is_verified_within_the_budget() {
    let toygres = behind_proxy();
    let client = Client::new();
    let began = Instant::now();
    let statuses: Vec<_> = futures::stream::iter(0..500)
        .map(|n| {
            let (client, toygres) = (&client, &toygres);
            async move {
                let answer = attempt(client, toygres, "198.51.100.1", NAME, &format!("guess {n}")).await;
                assert!(answer.status() == 401 || answer.headers().contains_key("retry-after"));
                answer.status().as_u16()
            }
        })
        .buffer_unordered(500)
        .collect()
        .await;
    let verified = statuses.iter().filter(|status| **status == 401).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(verified + refused, 500, "{statuses:?}");
    let allowed = budget(began.elapsed());
    assert!((5..=allowed).contains(&verified), "{verified} guesses were verified, {allowed} are allowed");
    // Each refusal costs nothing, so only the first of each pause is audited.
    let audited = psql(
        &toygres.database,
        "select count(*) filter (where outcome = 'unauthenticated'), count(*) filter (where outcome = 'too_many')
         from toygres.audit where action = 'login' and actor_kind = 'anonymous'",
    );
    let (failures, refusals) = audited.trim().split_once('|').unwrap();
    assert_eq!(failures, verified.to_string());
    assert!((1..=verified).contains(&refusals.parse().unwrap()), "{audited}");
    // Another network is not affected.
    assert_eq!(attempt(&client, &toygres, "203.0.113.9", NAME, PASSWORD).await.status(), 200);
    // The /64 of an IPv6 address is one network, whichever address in it is used.
    for n in 0..5 {
        let from = format!("2001:db8::{n}");
        assert_eq!(attempt(&client, &toygres, &from, NAME, "a guess").await.status(), 401);
    }
    assert_eq!(attempt(&client, &toygres, "2001:db8::abcd", NAME, "a guess").await.status(), 429);
}

/// Sends a login and hangs up without reading the response.
fn hang_up(toygres: &Toygres, from: &str, name: &str) {
    let body = format!("username={name}&password=bbbbbbbb");
    let mut stream = TcpStream::connect(("127.0.0.1", toygres.port)).unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: 127.0.0.1\r\nx-forwarded-for: {from}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
}

#[tokio::test]
async fn flood_that_hangs_up_neither_exhausts_memory_nor_stops_a_login() {
    let toygres = behind_proxy();
    let client = Client::new();
    let known = log_in(&toygres).await;
    let before = toygres.peak_memory();
    // From one network: a stranger in another network is not refused.
    for n in 0..300 {
        hang_up(&toygres, "198.51.100.1", &format!("one{n}"));
    }
    assert_eq!(attempt(&client, &toygres, "203.0.113.9", NAME, PASSWORD).await.status(), 200);
    // From as many networks as attempts: a known device is not refused.
    for n in 0..300 {
        hang_up(&toygres, &format!("10.1.{}.{}", n / 250, n % 250), &format!("many{n}"));
    }
    assert_eq!(attempt(&known, &toygres, "203.0.113.10", NAME, PASSWORD).await.status(), 200);
    // Four passwords at a time take 76 MiB. Without the limit, 300 would take 5.7 GB.
    let grown = toygres.peak_memory() - before;
    assert!(grown < 200 << 20, "the server grew by {grown} bytes");
}

#[tokio::test]
async fn known_device_has_a_budget_of_its_own_and_unlock_resets_all() {
    let toygres = Toygres::start();
    let (known, stranger) = (log_in(&toygres).await, Client::new());
    let guess = async |client: &Client, password: &str| {
        attempt(client, &toygres, "", NAME, password).await.status().as_u16()
    };
    while guess(&stranger, "a guess").await != 429 {}
    // The first delays last a second.
    let longer = "update toygres.login_guess set blocked_until = clock_timestamp() + interval '10 minutes'
        where key = 'account/admin/127.0.0.1'";
    psql(&toygres.database, longer);
    assert_eq!(guess(&stranger, PASSWORD).await, 429);
    // The owner shares the attacker's address.
    assert_eq!(guess(&known, PASSWORD).await, 200);
    // The token of a device is useless for another account.
    let line = "a-long-password";
    let mut add = toygres.tool(&["user", "add", "vera"]);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    assert!(add.wait().unwrap().success());
    for _ in 0..5 {
        attempt(&known, &toygres, "", "vera", "a guess").await;
    }
    let keys = psql(&toygres.database, "select key from toygres.login_guess where key like 'account/vera/%'");
    assert_eq!(keys, "account/vera/127.0.0.1\n");
    // Guesses from a stolen device are limited as well.
    let began = Instant::now();
    let mut verified = 0;
    while guess(&known, "a guess").await == 401 {
        verified += 1;
    }
    assert!((5..=budget(began.elapsed())).contains(&verified), "{verified} guesses were verified");
    let unlocked = toygres.tool(&["user", "unlock", NAME]).output().unwrap();
    assert!(unlocked.status.success(), "{}", String::from_utf8_lossy(&unlocked.stderr));
    assert_eq!((guess(&stranger, PASSWORD).await, guess(&known, PASSWORD).await), (200, 200));
    assert!(!toygres.tool(&["user", "unlock", "unknown"]).output().unwrap().status.success());
}

#[tokio::test]
async fn confirmation_of_the_password_has_the_same_budget() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let began = Instant::now();
    let statuses: Vec<u16> = futures::stream::iter(0..200)
        .map(|n| {
            let guess = json!({ "password": format!("guess {n}") });
            let request = client.post(toygres.url("/api/sudo")).json(&guess).send();
            async move { request.await.unwrap().status().as_u16() }
        })
        .buffer_unordered(200)
        .collect()
        .await;
    let verified = statuses.iter().filter(|status| **status == 401).count();
    assert!((5..=budget(began.elapsed())).contains(&verified), "{verified} guesses were verified");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn user_name_with_nul_is_rejected() {
    let toygres = Toygres::start();
    let login = Client::new().post(toygres.url("/login"));
    let login = login.header("content-type", "application/x-www-form-urlencoded");
    let answer = login.body("username=ad%00min&password=bbbbbbbb").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn confirmation_that_ends_after_a_logout_opens_no_session() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    // Holds the confirmation before the password is verified.
    let mut holder = Command::new("psql")
        .args(["-X", "-At", "-q", "-d", &database_url(&toygres.database)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut commands = holder.stdin.take().unwrap();
    writeln!(commands, "begin; lock table toygres.login_guess; select 'held';").unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let sudo = client.post(toygres.url("/api/sudo")).json(&json!({ "password": PASSWORD })).send();
    let sudo = tokio::spawn(sudo);
    wait_for_lock(&toygres).await;
    let logout = client.post(toygres.url("/logout")).header("origin", toygres.url(""));
    assert_eq!(logout.send().await.unwrap().status(), 200);
    drop(commands);
    holder.wait().unwrap();
    assert_eq!(sudo.await.unwrap().unwrap().status(), 401);
    assert_eq!(psql(&toygres.database, "select count(*) from toygres.session"), "0\n");
}
