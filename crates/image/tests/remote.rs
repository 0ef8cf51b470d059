//! Stores of Azure and S3, with Azurite and moto: images, identities, refusals and faults.

mod emulators;
#[path = "emulators/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "these tests need no directory")]
mod scratch;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use emulators::{ACCOUNT, KEY, SUBJECT, TestServers, options, sas};
use image::{ImageReader, ImageWriter, Store, StoreOptions};
use model::{Failure, FailureCode, ImageId};
use proxy::{Fault, Proxy};
use scratch::{TestImage, manifest_of, random};

/// The failure of a store's test.
async fn probe_failure(url: &str, options: &StoreOptions) -> Failure {
    Store::open(url, options).expect("opened").probe().await.expect_err("refused").failure()
}

/// Writes an image, verifies it, fails to write it again, and deletes it.
async fn round_trip(url: &str, options: &StoreOptions) {
    let store = Store::open(url, options).expect("opened");
    store.probe().await.expect("usable");
    let written = TestImage::write(&store, &mut random()).await;
    let image = ImageReader::open(store.clone(), &written.prefix).await.expect("an image");
    assert_eq!((&image.manifest, &image.manifest_sha256), (&written.manifest, &written.sha256));
    assert_eq!(image.read("0/schema.dump").await.expect("read"), written.schema);
    let verified = image.verify(|_| {}).await.expect("undamaged");
    assert_eq!(verified.bytes, written.manifest.stored_bytes());

    let again = ImageWriter::new(store.clone(), written.prefix.as_str(), written.image);
    let other = model::Manifest { databases: Vec::new(), ..manifest_of(written.image, &written.tables) };
    let error = again.commit(other).await.expect_err("there is one");
    assert_eq!(error.code(), FailureCode::ObjectExists, "{error}");
    let error = store.discard(&written.prefix).await.expect_err("an image");
    assert_eq!(error.code(), FailureCode::ObjectExists, "{error}");

    // A dropped multipart upload leaves nothing; a finished one is complete.
    let writer = ImageWriter::new(store.clone(), "images/b/1", ImageId::new());
    let part = vec![7; 1024 * 1024];
    for finished in [false, true] {
        let mut object = writer.object("0/large", "test", None).await.expect("begun");
        for _ in 0..12 {
            object.write(&part).await.expect("taken");
        }
        match finished {
            true => assert_eq!(object.finish().await.expect("finished").bytes, 12 * 1024 * 1024),
            false => drop(object),
        }
        store.settle().await;
        assert_eq!(store.list("images/b").await.expect("listed").len(), usize::from(finished));
    }
    for prefix in [&written.prefix, "images/b/1", "images/never/was"] {
        store.delete_image(prefix).await.expect("deleted");
        store.delete_image(prefix).await.expect("deleted again");
    }
    assert_eq!(store.list("images").await.expect("listed"), []);
    let error = store.get("images/b/1/0/large").await.expect_err("deleted");
    assert_eq!(error.code(), FailureCode::ObjectMissing, "{error}");
    let error = ImageReader::open(store, &written.prefix).await.expect_err("deleted");
    assert_eq!(error.code(), FailureCode::ManifestMissing, "{error}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn azure_image_round_trips_by_key_sas_and_identity() {
    let servers = TestServers::new();
    let (plain, tls, tokens) =
        (servers.azurite(false).await, servers.azurite(true).await, servers.token_endpoint(3600));
    let url = format!("az://{ACCOUNT}/images/a/prefix");
    let endpoint = plain.url(false);
    round_trip(&url, &options(&[("endpoint", &endpoint), ("account_key", KEY)])).await;
    let signed =
        options(&[("endpoint", &endpoint), ("sas_token", &sas("rcwdl")), ("credential_type", "sas_token")]);
    round_trip(&format!("az://{ACCOUNT}/images"), &signed).await;
    servers.write_token(SUBJECT, "first", 600);
    round_trip(&url, &servers.identity(&tls, &tokens)).await;
    assert!(tokens.lines().iter().any(|line| line.contains(SUBJECT)), "{:?}", tokens.lines());
}

#[tokio::test]
#[ignore = "needs moto, which cargo xtask test installs"]
async fn s3_image_round_trips_by_keys_and_web_identity() {
    let servers = TestServers::new();
    let (moto, tokens) = (servers.moto().await, servers.token_endpoint(3600));
    let keys = [("access_key_id", "AKIA1"), ("secret_access_key", "canary"), ("region", "eu-central-1")];
    let endpoint = moto.url(false);
    let keys = options(&[&keys[..], &[("endpoint", &*endpoint)]].concat());
    round_trip("s3://images/a/prefix", &keys).await;
    servers.write_token(SUBJECT, "first", 600);
    round_trip("s3://images", &servers.role(&moto, &tokens)).await;
    assert!(tokens.lines().iter().any(|line| line.contains(r#""exchange":"sts","code":"ok""#)));

    let failure = probe_failure("s3://missing-bucket", &keys).await;
    assert_eq!(failure.code, FailureCode::StoreContainerMissing, "{failure}");
    // A missing bucket is not reported as a missing image.
    let store = Store::open("s3://missing-bucket", &keys).expect("opened");
    let error = ImageReader::open(store, "images/a/1").await.expect_err("no bucket");
    assert_eq!(error.code(), FailureCode::StoreContainerMissing, "{error}");
}

/// The store's token is valid for two seconds and the workload's token for six. The upload takes longer; the workload's token is
/// renewed in its file, as by a kubelet.
#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn upload_continues_after_its_tokens_expire() {
    const VALID: i64 = 6;
    let servers = TestServers::new();
    let (azurite, tokens) = (servers.azurite(true).await, servers.token_endpoint(2));
    let started = Instant::now();
    servers.write_token(SUBJECT, "token-0.", VALID);
    let store =
        Store::open(&format!("az://{ACCOUNT}/images"), &servers.identity(&azurite, &tokens)).expect("opened");
    let writer = ImageWriter::new(store, "images/a/1", ImageId::new());
    let mut object = writer.object("0/schema.dump", "test", None).await.expect("begun");
    let mut late = Vec::new();
    for n in 1..=8 {
        object.write(&vec![n; 3 * 1024 * 1024]).await.expect("taken");
        tokio::time::sleep(Duration::from_millis(1200)).await;
        servers.write_token(SUBJECT, &format!("token-{n}."), VALID);
        if started.elapsed() > Duration::from_secs(VALID.unsigned_abs()) {
            late.push(format!("token-{n}."));
        }
    }
    assert_eq!(object.finish().await.expect("finished").bytes, 24 * 1024 * 1024);
    let used = tokens.lines();
    let is_used = |token: &str| used.iter().any(|line| line.contains(token));
    assert!(["token-0.", "token-1.", "token-2."].into_iter().any(is_used), "{used:?}");
    assert!(late.iter().any(|token| is_used(token)), "none of {late:?} is used: {used:?}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn rejected_identities_have_codes_and_token_claims() {
    let servers = TestServers::new();
    let (azurite, tokens) = (servers.azurite(true).await, servers.token_endpoint(3600));
    let url = format!("az://{ACCOUNT}/images");
    let other = "system:serviceaccount:default:other";
    servers.write_token(other, "a", 600);
    let failure = probe_failure(&url, &servers.identity(&azurite, &tokens)).await;
    assert_eq!(failure.code, FailureCode::StoreIdentityRejected, "{failure}");
    for fact in ["AADSTS700213", other, emulators::ISSUER, "AzureADTokenExchange"] {
        assert!(failure.detail.contains(fact), "{fact}: {failure}");
    }
    servers.write_token(SUBJECT, "b", -60);
    let failure = probe_failure(&url, &servers.identity(&azurite, &tokens)).await;
    assert_eq!(failure.code, FailureCode::StoreCredentialsExpired, "{failure}");

    let token = std::fs::read_to_string(servers.path("token")).expect("readable");
    let (body, _) = token.rsplit_once('.').expect("signed");
    std::fs::write(servers.path("token"), format!("{body}.{}", "A".repeat(342))).expect("written");
    let failure = probe_failure(&url, &servers.identity(&azurite, &tokens)).await;
    assert_eq!(failure.code, FailureCode::StoreIdentityRejected, "{failure}");
    assert!(!failure.detail.contains(body), "the token is shown: {failure}");

    std::fs::remove_file(servers.path("token")).expect("removed");
    let failure = probe_failure(&url, &servers.identity(&azurite, &tokens)).await;
    assert_eq!(failure.code, FailureCode::StoreCredentialsMissing, "{failure}");
    assert!(failure.detail.contains(&servers.path("token")), "{failure}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn refusals_of_azure_have_codes_and_show_no_secrets() {
    let servers = TestServers::new();
    let (azurite, tls) = (servers.azurite(false).await, servers.azurite(true).await);
    let endpoint = azurite.url(false);
    let failure = async |container: &str, more: &[(&str, &str)]| {
        probe_failure(&format!("az://{ACCOUNT}/{container}"), &options(more)).await
    };
    let with_key = [("endpoint", &*endpoint), ("account_key", KEY)];
    let missing = failure("nowhere", &with_key).await;
    assert_eq!(missing.code, FailureCode::StoreContainerMissing, "{missing}");

    let canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk=";
    let wrong_key = failure("images", &[with_key[0], ("account_key", canary)]).await;
    // Azurite answers AuthorizationFailure; Azure answers AuthenticationFailed.
    assert_eq!(wrong_key.code, FailureCode::StoreAccountRefused, "{wrong_key}");
    assert!(!wrong_key.detail.contains(canary), "{wrong_key}");

    let read_only = sas("rl");
    let denied = failure("images", &[with_key[0], ("sas_token", &read_only)]).await;
    assert_eq!(denied.code, FailureCode::StoreAccessDenied, "{denied}");
    let signature = read_only.rsplit_once("sig=").expect("signed").1;
    assert!(!denied.detail.contains(signature), "{denied}");

    let untrusted = failure("images", &[("endpoint", &tls.url(true)), ("account_key", KEY)]).await;
    assert_eq!(untrusted.code, FailureCode::StoreCertificateUntrusted, "{untrusted}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn busy_store_is_retried_until_the_time_limit() {
    let servers = TestServers::new();
    let azurite = servers.azurite(false).await;
    let proxy = Proxy::start(azurite.url(false), servers.client()).await;
    let url = format!("az://{ACCOUNT}/images");
    let given = |retry_limit| {
        options(&[("endpoint", &proxy.url), ("account_key", KEY)]).with_retry_limit(retry_limit)
    };
    let store = Store::open(&url, &given(Duration::from_secs(180))).expect("opened");
    let began = Instant::now();
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        proxy.set(Fault::BusyUntil(Instant::now() + Duration::from_secs(30), status));
        store.probe().await.expect("succeeds after the outage");
    }
    assert!(began.elapsed() > Duration::from_secs(55));
    proxy.set(Fault::BusyUntil(Instant::now() + Duration::from_secs(60), StatusCode::SERVICE_UNAVAILABLE));
    let impatient = Store::open(&url, &given(Duration::from_secs(2))).expect("opened");
    let failure = impatient.probe().await.expect_err("busy").failure();
    assert_eq!(failure.code, FailureCode::StoreUnavailable, "{failure}");
    assert!(failure.detail.contains("503 ServerBusy"), "{failure}");
}

#[tokio::test]
#[ignore = "needs Azurite and moto, which cargo xtask test installs"]
async fn lost_responses_are_retried_and_flipped_bits_are_detected() {
    let servers = TestServers::new();
    let (azurite, moto) = (servers.azurite(false).await, servers.moto().await);
    let keys = [
        ("account_key", KEY),
        ("access_key_id", "a"),
        ("secret_access_key", "b"),
        ("region", "eu-central-1"),
    ];
    for (url, target, keys) in [
        (format!("az://{ACCOUNT}/images"), azurite.url(false), &keys[..1]),
        ("s3://images".to_owned(), moto.url(false), &keys[1..]),
    ] {
        let proxy = Proxy::start(target, servers.client()).await;
        let endpoint = [("endpoint", proxy.url.as_str())];
        let store = Store::open(&url, &options(&[keys, &endpoint[..]].concat())).expect("opened");
        let written = TestImage::write(&store, &mut random()).await;
        let image = ImageReader::open(store.clone(), &written.prefix).await.expect("an image");
        for times in [1, 5] {
            proxy.set(Fault::Truncate(times));
            assert_eq!(image.read("0/schema.dump").await.expect("read"), written.schema, "{url}");
        }
        proxy.set(Fault::FlipBit(1));
        let damaged = image.read("0/schema.dump").await.expect_err("other bytes");
        assert_eq!(damaged.code(), FailureCode::ObjectDamaged, "{url}: {damaged}");
        proxy.set(Fault::FlipBit(1));
        let damaged = image.verify(|_| {}).await.expect_err("other bytes");
        assert_eq!(damaged.code(), FailureCode::ObjectDamaged, "{url}: {damaged}");

        // A write whose response is lost is retried. The object that it created is no conflict.
        proxy.set(Fault::LoseResponse(1));
        store.put("images/c/1/a", "x").await.expect("put");
        proxy.set(Fault::LoseResponse(1));
        match store.create("images/c/1/manifest.json", "mine").await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.code(), FailureCode::StoreUnavailable, "{url}: {error}"),
        }
        proxy.set(Fault::None);
        store.create("images/c/1/manifest.json", "mine").await.expect("equal");
        let error = store.create("images/c/1/manifest.json", "another").await.expect_err("there is one");
        assert_eq!(error.code(), FailureCode::ObjectExists, "{url}: {error}");
    }
}

#[tokio::test]
async fn responses_of_providers_have_codes() {
    use FailureCode as Code;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let proxy = Proxy::start("http://127.0.0.1:1".to_owned(), client).await;
    let azure = ("az://acme1/images", vec![("account_key", KEY)]);
    let s3 = ("s3://images", vec![("access_key_id", "a"), ("secret_access_key", "b")]);
    for ((url, keys), status, code, expected) in [
        (&azure, 403, "AuthorizationPermissionMismatch", Code::StoreAccessDenied),
        (&azure, 403, "KeyBasedAuthenticationNotPermitted", Code::StoreKeysDisabled),
        (&azure, 403, "SomethingNew", Code::StoreAccessDenied),
        (&azure, 409, "ContainerBeingDeleted", Code::StoreContainerUnusable),
        (&s3, 403, "AccessDenied", Code::StoreAccessDenied),
        (&s3, 403, "SignatureDoesNotMatch", Code::StoreKeyRejected),
        (&s3, 400, "ExpiredToken", Code::StoreCredentialsExpired),
        (&s3, 403, "RequestTimeTooSkewed", Code::StoreClockSkewed),
        (&s3, 301, "PermanentRedirect", Code::StoreRegionWrong),
    ] {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>");
        proxy.set(Fault::Respond(StatusCode::from_u16(status).expect("a status"), body));
        let given: Vec<_> = keys.iter().copied().chain([("endpoint", proxy.url.as_str())]).collect();
        let store = Store::open(url, &options(&given)).expect("opened");
        let failure = store.put("images/a/1/x", "x").await.expect_err(code).failure();
        assert_eq!(failure.code, expected, "{failure}");
        assert_eq!(store.list("images").await.expect_err(code).code(), expected, "{code} for a list");
        // The response to HEAD has no body; the code is that of a second request.
        assert_eq!(store.size("images/a/1/x").await.expect_err(code).code(), expected, "{code} for a size");
    }
}

#[tokio::test]
async fn page_of_another_server_is_not_a_missing_object() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let proxy = Proxy::start("http://127.0.0.1:1".to_owned(), client).await;
    proxy.set(Fault::Respond(StatusCode::NOT_FOUND, "<html>no such page</html>".to_owned()));
    let given = [("account_key", KEY), ("endpoint", proxy.url.as_str())];
    let store = Store::open("az://acme1/images", &options(&given)).expect("opened");
    for error in [
        store.get("images/a/1/x").await.expect_err("a page"),
        store.size("images/a/1/x").await.expect_err("a page"),
    ] {
        assert_eq!(error.code(), FailureCode::StoreForeignAnswer, "{error}");
    }
}
