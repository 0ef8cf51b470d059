//! Credentials for jobs that write no image, with Azurite: what they can do, and what not.

#[expect(dead_code, reason = "these tests need no bucket")]
mod emulators;
#[expect(dead_code, reason = "these tests need one kind of fault")]
#[path = "emulators/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "these tests need no directory")]
mod scratch;

use std::time::Duration;

use axum::http::StatusCode;
use emulators::{ACCOUNT, KEY, SUBJECT, TestServers, options, sas};
use image::{ImageReader, Reading, Store, StoreOptions, TRANSFER};
use model::FailureCode;
use proxy::{Fault, Proxy};
use scratch::{TestImage, random};

const HOUR: Duration = Duration::from_secs(3600);

fn url() -> String {
    format!("az://{ACCOUNT}/images/a/prefix")
}

async fn signed(options: &StoreOptions, valid_for: Duration) -> StoreOptions {
    match options.for_reading(&url(), valid_for).await.expect("derived") {
        Reading::Signed(signed) => signed,
        other => panic!("{other:?}"),
    }
}

/// Reads an image with derived credentials, creates an object, and is refused everything else.
async fn reads_only(full: &StoreOptions) {
    let store = Store::open(&url(), full).expect("opened");
    let written = TestImage::write(&store, &mut random()).await;
    let options = signed(full, HOUR).await;
    for secret in full.secrets() {
        assert!(!options.to_json().contains(&secret), "{options:?} contain the key of the store");
    }
    let reader = Store::existing(&url(), &options).expect("opened");
    let image = ImageReader::open(reader.clone(), &written.prefix).await.expect("an image");
    assert_eq!(image.verify(|_| {}).await.expect("undamaged").bytes, written.manifest.stored_bytes());
    assert_eq!(reader.list("images").await.expect("listed"), store.list("images").await.expect("listed"));

    let manifest = format!("{}/manifest.json", written.prefix);
    let refusals = [
        reader.put(&manifest, "x").await,
        reader.delete(&manifest).await,
        reader.delete_image(&written.prefix).await,
    ];
    for refusal in refusals {
        let error = refusal.expect_err("refused");
        assert_eq!(error.code(), FailureCode::StoreAccessDenied, "{error}");
    }
    image.verify(|_| {}).await.expect("still undamaged");

    // The segments of a log are created, also if the first response is lost, and not replaced.
    reader.create("logs/a/log-0.jsonl", "line").await.expect("created");
    reader.create("logs/a/log-0.jsonl", "line").await.expect("equal");
    let error = reader.create("logs/a/log-0.jsonl", "other").await.expect_err("it exists");
    assert_eq!(error.code(), FailureCode::ObjectExists, "{error}");
    store.delete_image("logs/a").await.expect("deleted");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn signature_by_the_account_key_reads_and_creates_but_does_not_replace_or_delete() {
    let servers = TestServers::new();
    let (plain, tls) = (servers.azurite(false).await, servers.azurite(true).await);
    let endpoint = plain.url(false);
    reads_only(&options(&[("endpoint", &endpoint), ("account_key", KEY), ("credential_type", "access_key")]))
        .await;
    let (endpoint, root) = (tls.url(true), servers.root());
    let full = options(&[("endpoint", &endpoint), ("account_key", KEY), ("root_certificate", &root)]);
    reads_only(&full).await;

    let expired = Store::open(&url(), &signed(&full, Duration::ZERO).await).expect("opened");
    let error = expired.list("images").await.expect_err("expired");
    // Azurite answers AuthorizationFailure; Azure answers AuthenticationFailed.
    assert_eq!(error.code(), FailureCode::StoreAccountRefused, "{error}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn signature_by_a_workload_identity_reads_and_creates_but_does_not_replace_or_delete() {
    let servers = TestServers::new();
    let (azurite, tokens) = (servers.azurite(true).await, servers.token_endpoint(3600));
    servers.write_token(SUBJECT, "first", 600);
    let identity = servers.identity(&azurite, &tokens);
    reads_only(&identity).await;
    let derived = signed(&identity, HOUR).await.to_json();
    for part in ["client_id", "tenant_id", "authority_host", "token_file"] {
        assert!(!derived.contains(part), "the job could use the identity: {part}");
    }
}

#[tokio::test]
#[ignore = "needs Node.js and openssl"]
async fn refused_delegation_is_not_reported_as_an_outage() {
    let servers = TestServers::new();
    let tokens = servers.token_endpoint(3600);
    servers.write_token(SUBJECT, "first", 600);
    let proxy = Proxy::start("http://127.0.0.1:1".to_owned(), servers.client()).await;
    let identity = options(&[
        ("endpoint", &proxy.url),
        ("root_certificate", &servers.root()),
        ("credential_type", "workload_identity"),
        ("client_id", "toygres"),
        ("tenant_id", "tenant"),
        ("authority_host", &tokens.url(true)),
        ("federated_token_file", &servers.path("token")),
    ]);
    let answer = |status, code: &str| {
        proxy
            .set(Fault::Respond(status, format!("<Error><Code>{code}</Code><Message>No.</Message></Error>")));
    };
    answer(StatusCode::FORBIDDEN, "AuthorizationPermissionMismatch");
    match identity.for_reading(&url(), HOUR).await.expect("an answer") {
        Reading::Refused(failure) => assert_eq!(failure.code, FailureCode::StoreAccessDenied, "{failure}"),
        other => panic!("{other:?}"),
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy");
    let error = identity.for_reading(&url(), HOUR).await.expect_err("busy");
    assert_eq!(error.code(), FailureCode::StoreUnavailable, "{error}");
    proxy.set(Fault::Respond(StatusCode::OK, "<html>canary</html>".to_owned()));
    let error = identity.for_reading(&url(), HOUR).await.expect_err("no key");
    assert_eq!(error.code(), FailureCode::StoreForeignAnswer, "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");

    servers.write_token(SUBJECT, "late", -60);
    let error = identity.for_reading(&url(), HOUR).await.expect_err("expired");
    assert_eq!(error.code(), FailureCode::StoreCredentialsExpired, "{error}");
}

#[tokio::test]
async fn other_stores_are_unchanged_and_invalid_keys_are_refused() {
    let keys = options(&[("access_key_id", "a"), ("secret_access_key", "b")]);
    let typed = options(&[("sas_token", &sas("rcwdl"))]);
    let none = StoreOptions::default();
    for (url, options) in
        [("s3://images", &keys), ("file:///images", &none), (&*url(), &typed), (&*url(), &none)]
    {
        let derived = options.for_reading(url, HOUR).await.expect("derived");
        assert!(matches!(derived, Reading::Unchanged), "{url}: {derived:?}");
    }
    let error =
        options(&[("account_key", "canary!")]).for_reading(&url(), HOUR).await.expect_err("no base64");
    assert_eq!(error.code(), FailureCode::StoreSettingsInvalid, "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    // azcopy, which uploads only, accepts no signature.
    let azcopy = options(&[("account_key", KEY), ("endpoint", "http://127.0.0.1:1"), (TRANSFER, "azcopy")]);
    Store::existing(&url(), &signed(&azcopy, HOUR).await).expect("opened");
}
