//! Stores of Azure and S3, against Azurite and moto: whole images, identities, and what goes wrong on the way.

mod emulators;
#[path = "emulators/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "these tests need no directory")]
mod scratch;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use emulators::{ACCOUNT, KEY, SUBJECT, World, options, sas};
use image::{Error, ImageReader, ImageWriter, Store, StoreOptions};
use model::{ExitClass, ImageId};
use proxy::{Fault, Proxy};
use scratch::{Written, manifest_of, random};

/// Writes an image, reads every byte of it, refuses to write it again, and deletes it.
async fn whole_image(url: &str, options: &StoreOptions) {
    let store = Store::open(url, options).expect("opened");
    store.probe().await.expect("usable");
    let written = Written::into(&store, &mut random()).await;
    let image = ImageReader::open(store.clone(), &written.prefix).await.expect("an image");
    assert_eq!((&image.manifest, &image.manifest_sha256), (&written.manifest, &written.sha256));
    assert_eq!(image.read("0/schema.dump").await.expect("read"), written.schema);
    let verified = image.verify(|_| {}).await.expect("whole");
    assert_eq!(verified.bytes, written.manifest.stored_bytes());

    let again = ImageWriter::new(store.clone(), written.prefix.as_str(), written.image);
    let other = model::Manifest { databases: Vec::new(), ..manifest_of(written.image, &written.tables) };
    let refused = again.commit(other).await.expect_err("there is one");
    assert!(matches!(refused, Error::Exists(_)), "{refused}");
    assert!(matches!(store.discard(&written.prefix).await, Err(Error::Exists(_))));

    // An upload of several parts that is dropped leaves nothing, and one that is finished is all there.
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
    assert!(matches!(store.get("images/b/1/0/large").await, Err(Error::Missing(_))));
    let gone = ImageReader::open(store, &written.prefix).await.expect_err("deleted");
    assert!(matches!(gone, Error::NoImage(_)), "{gone}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn an_image_in_azure_by_key_by_sas_and_by_identity() {
    let world = World::new();
    let (plain, tls, tokens) =
        (world.azurite(false).await, world.azurite(true).await, world.token_endpoint(3600));
    let url = format!("az://{ACCOUNT}/images/below/here");
    let endpoint = plain.url(false);
    whole_image(&url, &options(&[("endpoint", &endpoint), ("account_key", KEY)])).await;
    let signed =
        options(&[("endpoint", &endpoint), ("sas_token", &sas("rcwdl")), ("credential_type", "sas_token")]);
    whole_image(&format!("az://{ACCOUNT}/images"), &signed).await;
    world.write_token(SUBJECT, "first", 600);
    whole_image(&url, &world.identity(&tls, &tokens)).await;
    assert!(tokens.said().iter().any(|line| line.contains(SUBJECT)), "{:?}", tokens.said());
}

#[tokio::test]
#[ignore = "needs moto, which cargo xtask test installs"]
async fn an_image_in_s3_by_keys_and_by_web_identity() {
    let world = World::new();
    let (moto, tokens) = (world.moto().await, world.token_endpoint(3600));
    let keys = [("access_key_id", "AKIA1"), ("secret_access_key", "canary"), ("region", "eu-central-1")];
    let endpoint = moto.url(false);
    let keys = options(&[&keys[..], &[("endpoint", &*endpoint)]].concat());
    whole_image("s3://images/below/here", &keys).await;
    world.write_token(SUBJECT, "first", 600);
    whole_image("s3://images", &world.role(&moto, &tokens)).await;
    assert!(tokens.said().iter().any(|line| line.contains(r#""exchange":"sts","code":"ok""#)));

    let none =
        Store::open("s3://nobodys-bucket", &keys).expect("opened").probe().await.expect_err("no bucket");
    assert_eq!(none.class(), ExitClass::Configuration, "{none}");
    assert!(
        none.to_string().contains("NoSuchBucket") && none.to_string().contains("does not exist"),
        "{none}"
    );
    // Nothing but the bucket is missing: that is no damage to an image.
    let gone =
        ImageReader::open(Store::open("s3://nobodys-bucket", &keys).expect("opened"), "images/a/1").await;
    assert_eq!(gone.expect_err("no bucket").class(), ExitClass::Configuration);
}

/// The store's token lives for two seconds and so does the workload's; the upload takes longer, and a kubelet renews the
/// workload's in its file.
#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn an_upload_outlives_its_tokens() {
    let world = World::new();
    let (azurite, tokens) = (world.azurite(true).await, world.token_endpoint(2));
    world.write_token(SUBJECT, "token-0", 2);
    let store =
        Store::open(&format!("az://{ACCOUNT}/images"), &world.identity(&azurite, &tokens)).expect("opened");
    let writer = ImageWriter::new(store, "images/a/1", ImageId::new());
    let mut object = writer.object("0/schema.dump", "test", None).await.expect("begun");
    for n in 1..=4 {
        object.write(&vec![n; 6 * 1024 * 1024]).await.expect("taken");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.write_token(SUBJECT, &format!("token-{n}"), 2);
    }
    assert_eq!(object.finish().await.expect("finished").bytes, 24 * 1024 * 1024);
    let used = tokens.said();
    for n in [0, 2, 4] {
        assert!(used.iter().any(|line| line.contains(&format!("token-{n}"))), "token-{n}: {used:?}");
    }
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn an_identity_that_does_not_fit_is_told_what_to_correct() {
    let world = World::new();
    let (azurite, tokens) = (world.azurite(true).await, world.token_endpoint(3600));
    let url = format!("az://{ACCOUNT}/images");
    let told = async |options: &StoreOptions| {
        let refused = Store::open(&url, options).expect("opened").probe().await.expect_err("refused");
        (refused.class(), refused.to_string())
    };
    let other = "system:serviceaccount:default:somebody";
    world.write_token(other, "a", 600);
    let (class, words) = told(&world.identity(&azurite, &tokens)).await;
    assert_eq!(class, ExitClass::Authentication);
    for part in ["AADSTS700213", "federated credential", other, emulators::ISSUER, "AzureADTokenExchange"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    world.write_token(SUBJECT, "b", -60);
    let (class, words) = told(&world.identity(&azurite, &tokens)).await;
    assert!(class == ExitClass::Authentication && words.contains("AADSTS700024"), "{words}");

    let token = std::fs::read_to_string(world.path("token")).expect("there");
    let (body, _) = token.rsplit_once('.').expect("signed");
    std::fs::write(world.path("token"), format!("{body}.{}", "A".repeat(342))).expect("written");
    let (class, words) = told(&world.identity(&azurite, &tokens)).await;
    assert!(class == ExitClass::Authentication && words.contains("AADSTS50027"), "{words}");
    assert!(!words.contains(body), "a token is not shown: {words}");

    std::fs::remove_file(world.path("token")).expect("removed");
    let (class, words) = told(&world.identity(&azurite, &tokens)).await;
    assert!(class == ExitClass::Configuration && words.contains("AZURE_FEDERATED_TOKEN_FILE"), "{words}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn what_azure_refuses_has_its_code_and_the_fix() {
    let world = World::new();
    let (azurite, tls) = (world.azurite(false).await, world.azurite(true).await);
    let endpoint = azurite.url(false);
    let told = async |container: &str, more: &[(&str, &str)]| {
        let given = options(more);
        let url = format!("az://{ACCOUNT}/{container}");
        let refused = Store::open(&url, &given).expect("opened").probe().await.expect_err("refused");
        (refused.class(), refused.to_string())
    };
    let keyed = [("endpoint", &*endpoint), ("account_key", KEY)];
    let (class, words) = told("nowhere", &keyed).await;
    assert!(class == ExitClass::Configuration && words.contains("ContainerNotFound"), "{words}");
    let canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk=";
    let (class, words) = told("images", &[keyed[0], ("account_key", canary)]).await;
    // Azure says AuthenticationFailed here.
    assert!(class == ExitClass::Authentication && words.contains("AuthorizationFailure"), "{class}: {words}");
    assert!(!words.contains(canary), "{words}");
    let read_only = sas("rl");
    let (class, words) = told("images", &[keyed[0], ("sas_token", &read_only)]).await;
    assert_eq!(class, ExitClass::Authentication, "{words}");
    assert!(
        words.contains("AuthorizationPermissionMismatch") && words.contains("Blob Data Contributor"),
        "{words}"
    );
    let signature = read_only.rsplit_once("sig=").expect("signed").1;
    assert!(!words.contains(signature), "{words}");

    let (class, words) = told("images", &[("endpoint", &tls.url(true)), ("account_key", KEY)]).await;
    assert!(class == ExitClass::Configuration && words.contains("root certificate"), "{class}: {words}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
    let (class, words) = told("images", &[("endpoint", &format!("http://127.0.0.1:{free}")), keyed[1]]).await;
    assert!(class == ExitClass::Unreachable && words.contains("connection refused"), "{class}: {words}");
    let (class, words) = told("images", &[("endpoint", "http://nowhere.invalid"), keyed[1]]).await;
    assert!(class == ExitClass::Unreachable && words.contains("does not resolve"), "{class}: {words}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn a_store_that_is_busy_for_half_a_minute_is_waited_for() {
    let world = World::new();
    let azurite = world.azurite(false).await;
    let proxy = Proxy::before(azurite.url(false), world.client()).await;
    let url = format!("az://{ACCOUNT}/images");
    let given = |patience| options(&[("endpoint", &proxy.url), ("account_key", KEY)]).with_patience(patience);
    let store = Store::open(&url, &given(Duration::from_secs(180))).expect("opened");
    let began = Instant::now();
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        proxy.set(Fault::Until(Instant::now() + Duration::from_secs(30), status));
        store.probe().await.expect("in the end");
    }
    assert!(began.elapsed() > Duration::from_secs(55));
    proxy.set(Fault::Until(Instant::now() + Duration::from_secs(60), StatusCode::SERVICE_UNAVAILABLE));
    let hasty = Store::open(&url, &given(Duration::from_secs(2))).expect("opened");
    let busy = hasty.probe().await.expect_err("busy");
    assert_eq!(busy.class(), ExitClass::Transient, "{busy}");
    assert!(busy.to_string().contains("503 ServerBusy"), "{busy}");
}

#[tokio::test]
#[ignore = "needs Azurite and moto, which cargo xtask test installs"]
async fn what_breaks_on_the_way_is_repeated_and_never_taken_for_good() {
    let world = World::new();
    let (azurite, moto) = (world.azurite(false).await, world.moto().await);
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
        let proxy = Proxy::before(target, world.client()).await;
        let endpoint = [("endpoint", proxy.url.as_str())];
        let store = Store::open(&url, &options(&[keys, &endpoint[..]].concat())).expect("opened");
        let written = Written::into(&store, &mut random()).await;
        let image = ImageReader::open(store.clone(), &written.prefix).await.expect("an image");
        for times in [1, 5] {
            proxy.set(Fault::Cut(times));
            assert_eq!(image.read("0/schema.dump").await.expect("read"), written.schema, "{url}");
        }
        proxy.set(Fault::Flip(1));
        let damaged = image.read("0/schema.dump").await.expect_err("other bytes");
        assert_eq!(damaged.class(), ExitClass::Verification, "{url}: {damaged}");
        proxy.set(Fault::Flip(1));
        assert_eq!(image.verify(|_| {}).await.expect_err("other bytes").class(), ExitClass::Verification);

        // A write whose answer is lost is repeated; that it was there already by our own hand is no conflict.
        proxy.set(Fault::Forget(1));
        store.put("images/c/1/a", "x").await.expect("put");
        proxy.set(Fault::Forget(1));
        match store.create("images/c/1/manifest.json", "mine").await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.class(), ExitClass::Transient, "{url}: {error}"),
        }
        proxy.set(Fault::Nothing);
        store.create("images/c/1/manifest.json", "mine").await.expect("ours");
        let refused = store.create("images/c/1/manifest.json", "another's").await.expect_err("there is one");
        assert!(matches!(refused, Error::Exists(_)), "{url}: {refused}");
    }
}

#[tokio::test]
async fn codes_that_no_emulator_answers_with_have_the_right_words() {
    let client = reqwest::Client::builder().no_proxy();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxy = Proxy::before("http://127.0.0.1:1".to_owned(), client.build().expect("a client")).await;
    let azure = ("az://acme1/images", vec![("account_key", KEY)]);
    let s3 = ("s3://images", vec![("access_key_id", "a"), ("secret_access_key", "b")]);
    let (denied, wrong) = (ExitClass::Authentication, ExitClass::Configuration);
    // Another server's page is no word of the store's: an image is not damaged because a proxy knows no such address.
    let given = [("account_key", KEY), ("endpoint", proxy.url.as_str())];
    proxy.set(Fault::Answer(StatusCode::NOT_FOUND, "<html>no such page</html>".to_owned()));
    let store = Store::open(azure.0, &options(&given)).expect("opened");
    assert_eq!(store.get("images/a/1/x").await.expect_err("a page").class(), wrong);
    assert_eq!(store.size("images/a/1/x").await.expect_err("a page").class(), wrong);
    for ((url, keys), status, code, class, part) in [
        (
            &azure,
            403,
            "AuthorizationPermissionMismatch",
            denied,
            "Storage Blob Data Contributor on this container",
        ),
        (&azure, 403, "AuthorizationFailure", denied, "firewall"),
        (&azure, 403, "KeyBasedAuthenticationNotPermitted", denied, "workload identity"),
        (&azure, 403, "AuthenticationFailed", denied, "clock"),
        (&azure, 403, "SomethingNew", denied, "SomethingNew"),
        (&azure, 409, "ContainerBeingDeleted", wrong, "another"),
        (&s3, 403, "AccessDenied", denied, "s3:PutObject"),
        (&s3, 403, "SignatureDoesNotMatch", denied, "secret access key"),
        (&s3, 403, "InvalidAccessKeyId", denied, "no such access key"),
        (&s3, 400, "ExpiredToken", denied, "web identity"),
        (&s3, 403, "RequestTimeTooSkewed", denied, "clock"),
        (&s3, 301, "PermanentRedirect", wrong, "region"),
    ] {
        let answer =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>");
        proxy.set(Fault::Answer(StatusCode::from_u16(status).expect("one"), answer));
        let given: Vec<_> = keys.iter().copied().chain([("endpoint", proxy.url.as_str())]).collect();
        let store = Store::open(url, &options(&given)).expect("opened");
        let refused = store.put("images/a/1/x", "x").await.expect_err(code);
        assert_eq!(refused.class(), class, "{code}: {refused}");
        assert!(
            refused.to_string().contains(part) && refused.to_string().contains(code),
            "{code}: {refused}"
        );
        assert_eq!(store.list("images").await.expect_err(code).class(), class, "{code} of a list");
        // This question is answered without a body: the words come from another.
        assert_eq!(store.size("images/a/1/x").await.expect_err(code).class(), class, "{code} of a size");
    }
}
