//! The codes of failed connections, from real connections of the HTTP client.

#[expect(dead_code, reason = "these tests need certificates but no emulator")]
mod emulators;
#[path = "emulators/tls.rs"]
mod tls;

use std::time::Duration;

use emulators::{KEY, TestServers, options};
use image::{Store, StoreOptions};
use model::{Failure, FailureCode, NetworkPolicy};

/// The failure of a request to the bucket `images` at an endpoint.
async fn failure_at(endpoint: &str, more: &[(&str, &str)]) -> Failure {
    let keys = [("endpoint", endpoint), ("access_key_id", "a"), ("secret_access_key", "b")];
    let options = options(&[&keys[..], more].concat()).with_retry_limit(Duration::from_millis(100));
    let store = Store::open("s3://images", &options).expect("opened");
    store.get("images/a/1/x").await.expect_err(endpoint).failure()
}

#[tokio::test]
async fn denied_address_of_an_endpoint_is_not_connected_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let denied = serde_json::to_string(&NetworkPolicy::default()).expect("JSON");
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
        let endpoint = format!("http://{host}:{port}");
        let keys = [("endpoint", endpoint.as_str()), ("access_key_id", "a"), ("secret_access_key", "b")];
        let options = [&keys[..], &[(image::NETWORK, denied.as_str())]].concat();
        let error = Store::open("s3://images", &StoreOptions::from_iter(options)).expect_err(host);
        assert_eq!(error.code(), FailureCode::AddressNotAllowed, "{error}");
    }
    let failure = failure_at(&format!("http://localhost:{port}"), &[(image::NETWORK, denied.as_str())]).await;
    assert_eq!(failure.code, FailureCode::AddressNotAllowed, "{failure:?}");
    // The first connection is this one.
    let own = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    let (_, first) = listener.accept().await.expect("accepted");
    assert_eq!(first, own.local_addr().expect("an address"), "a denied address was connected to");
}

#[tokio::test]
async fn unresolved_endpoint_is_reported() {
    let failure = failure_at("http://nowhere.invalid", &[]).await;
    assert_eq!(failure.code, FailureCode::StoreNameNotResolved, "{failure}");
    assert_eq!(failure.subject.as_deref(), Some("nowhere.invalid"));
}

#[tokio::test]
async fn refused_connection_is_reported() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let failure = failure_at(&format!("http://127.0.0.1:{port}"), &[]).await;
    assert_eq!(failure.code, FailureCode::StoreUnreachable, "{failure}");
    assert_eq!(failure.subject, Some(format!("127.0.0.1:{port}")));
}

#[tokio::test]
async fn untrusted_certificate_is_reported() {
    let files = TestServers::new();
    let port = tls::serve_tls("127.0.0.1", &files.path("tls.pem"), &files.path("tls.key"));
    let failure = failure_at(&format!("https://127.0.0.1:{port}"), &[]).await;
    assert_eq!(failure.code, FailureCode::StoreCertificateUntrusted, "{failure}");
    let explanation = failure.code.explanation();
    assert!(!explanation.fix.contains("TLS mode"), "advice for a PostgreSQL server: {}", explanation.fix);
}

#[tokio::test]
async fn certificate_for_another_host_is_reported() {
    let files = TestServers::new();
    // The certificate is for 127.0.0.1 and localhost.
    let port = tls::serve_tls("127.0.0.2", &files.path("tls.pem"), &files.path("tls.key"));
    let root = files.root();
    let failure = failure_at(&format!("https://127.0.0.2:{port}"), &[("root_certificate", &root)]).await;
    assert_eq!(failure.code, FailureCode::StoreCertificateInvalid, "{failure}");
}

#[tokio::test]
async fn answer_of_another_server_is_reported() {
    let ssh = tls::serve_text("SSH-2.0-OpenSSH_9.2p1\r\n");
    for scheme in ["http", "https"] {
        let failure = failure_at(&format!("{scheme}://127.0.0.1:{ssh}"), &[]).await;
        assert_eq!(failure.code, FailureCode::StoreForeignAnswer, "{scheme}: {failure}");
    }
    let page = "<html><head><title>Sign in</title></head></html>";
    let text =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}", page.len());
    let portal = tls::serve_text(text.leak());
    let keys = [("account_key", KEY), ("endpoint", &*format!("http://127.0.0.1:{portal}"))];
    let store = Store::open("az://acme1/images", &StoreOptions::from_iter(keys)).expect("opened");
    let failure = store.list("images").await.expect_err("a page").failure();
    assert_eq!(failure.code, FailureCode::StoreForeignAnswer, "{failure}");
}
