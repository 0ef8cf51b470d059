//! An HTTP proxy that injects faults between a client and an emulator.
#![expect(clippy::unwrap_used, reason = "test fixture")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

/// The fault that the proxy injects.
#[derive(Clone)]
pub(crate) enum Fault {
    /// No fault.
    None,
    /// Requests are answered with this status and `ServerBusy` until then.
    BusyUntil(Instant, StatusCode),
    /// All requests are answered with this status and body.
    Respond(StatusCode, String),
    /// This many responses to reads are truncated.
    Truncate(usize),
    /// This many responses to reads have a flipped bit.
    FlipBit(usize),
    /// This many writes are executed and their responses lost.
    LoseResponse(usize),
}

#[derive(Clone)]
struct Shared {
    target: String,
    fault: Arc<Mutex<Fault>>,
    client: reqwest::Client,
}

/// A running proxy. The fault can be changed at any time.
pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) fault: Arc<Mutex<Fault>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Proxy {
    /// Starts a proxy in front of `target`.
    pub(crate) async fn start(target: String, client: reqwest::Client) -> Self {
        let fault = Arc::new(Mutex::new(Fault::None));
        let shared = Shared { target, fault: Arc::clone(&fault), client };
        let app = Router::new().fallback(forward).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, fault, server }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

/// Whether the fault applies to this request; decrements the number of faults left.
fn applies(left: &mut usize, matches: bool) -> bool {
    let applies = matches && *left > 0;
    *left -= usize::from(applies);
    applies
}

async fn forward(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let reads =
        parts.method == http::Method::GET && !parts.uri.query().is_some_and(|query| query.contains("list"));
    let is_head = parts.method == http::Method::HEAD;
    let writes = parts.method == http::Method::PUT;
    let (mut truncate, mut flip, mut lose) = (false, false, false);
    match &mut *shared.fault.lock().unwrap() {
        Fault::None => {}
        Fault::BusyUntil(then, status) if Instant::now() < *then => {
            return (*status, "<Error><Code>ServerBusy</Code></Error>").into_response();
        }
        Fault::BusyUntil(..) => {}
        Fault::Respond(status, text) => return (*status, text.clone()).into_response(),
        Fault::Truncate(left) => truncate = applies(left, reads),
        Fault::FlipBit(left) => flip = applies(left, reads),
        Fault::LoseResponse(left) => lose = applies(left, writes),
    }
    let url = format!("{}{}", shared.target, parts.uri.path_and_query().unwrap());
    let mut sent = shared.client.request(parts.method, url).body(body);
    for (name, value) in &parts.headers {
        if name != http::header::HOST && name != http::header::CONTENT_LENGTH {
            sent = sent.header(name, value);
        }
    }
    let received = sent.send().await.unwrap();
    let mut response = Response::builder().status(received.status());
    for (name, value) in received.headers() {
        // The length of a body can change; the response to HEAD has the length of the object.
        if name != http::header::TRANSFER_ENCODING && (name != http::header::CONTENT_LENGTH || is_head) {
            response = response.header(name, value);
        }
    }
    let mut bytes = received.bytes().await.unwrap().to_vec();
    if flip && let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    if truncate || lose {
        let keep = if lose { 0 } else { bytes.len() / 2 };
        let half = Bytes::from(bytes[..keep].to_vec());
        let broken = futures::stream::iter([Ok(half)]).chain(futures::stream::once(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(std::io::Error::other("truncated"))
        }));
        return response
            .header("content-length", bytes.len().max(1))
            .body(Body::from_stream(broken))
            .unwrap();
    }
    response.body(Body::from(bytes)).unwrap()
}
