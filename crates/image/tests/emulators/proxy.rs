//! A proxy before an emulator that does to requests what networks and providers do. It knows no store.
#![expect(clippy::unwrap_used, reason = "a test's scaffold fails loudly")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

/// What happens to the requests that it is for.
#[derive(Clone)]
pub(crate) enum Fault {
    /// None.
    Nothing,
    /// This status and body until then.
    Until(Instant, StatusCode),
    /// This answer, always.
    Answer(StatusCode, String),
    /// So many answers to reads break off in the middle.
    Cut(usize),
    /// So many reads give other bytes of the same length.
    Flip(usize),
    /// So many writes are taken, and their answers lost.
    Forget(usize),
}

#[derive(Clone)]
struct Shared {
    target: String,
    fault: Arc<Mutex<Fault>>,
    client: reqwest::Client,
}

/// The proxy; the fault can be changed while it runs.
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
    pub(crate) async fn before(target: String, client: reqwest::Client) -> Self {
        let fault = Arc::new(Mutex::new(Fault::Nothing));
        let shared = Shared { target, fault: Arc::clone(&fault), client };
        let app = Router::new().fallback(pass).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, fault, server }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

/// Takes one of the times that something is to happen.
fn once(left: &mut usize, wanted: bool) -> bool {
    let now = wanted && *left > 0;
    *left -= usize::from(now);
    now
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let reads =
        parts.method == http::Method::GET && !parts.uri.query().is_some_and(|query| query.contains("list"));
    let is_head = parts.method == http::Method::HEAD;
    let writes = parts.method == http::Method::PUT;
    let (mut cut, mut flip, mut forget) = (false, false, false);
    match &mut *shared.fault.lock().unwrap() {
        Fault::Nothing => {}
        Fault::Until(then, status) if Instant::now() < *then => {
            return (*status, "<Error><Code>ServerBusy</Code></Error>").into_response();
        }
        Fault::Until(..) => {}
        Fault::Answer(status, text) => return (*status, text.clone()).into_response(),
        Fault::Cut(left) => cut = once(left, reads),
        Fault::Flip(left) => flip = once(left, reads),
        Fault::Forget(left) => forget = once(left, writes),
    }
    let url = format!("{}{}", shared.target, parts.uri.path_and_query().unwrap());
    let mut sent = shared.client.request(parts.method, url).body(body);
    for (name, value) in &parts.headers {
        if name != http::header::HOST && name != http::header::CONTENT_LENGTH {
            sent = sent.header(name, value);
        }
    }
    let answer = sent.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        // Its own length is that of a body; an answer without one says how long the object is.
        if name != http::header::TRANSFER_ENCODING && (name != http::header::CONTENT_LENGTH || is_head) {
            response = response.header(name, value);
        }
    }
    let mut bytes = answer.bytes().await.unwrap().to_vec();
    if flip && let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    if cut || forget {
        let keep = if forget { 0 } else { bytes.len() / 2 };
        let half = Bytes::from(bytes[..keep].to_vec());
        let broken = futures::stream::iter([Ok(half)]).chain(futures::stream::once(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(std::io::Error::other("cut"))
        }));
        return response
            .header("content-length", bytes.len().max(1))
            .body(Body::from_stream(broken))
            .unwrap();
    }
    response.body(Body::from(bytes)).unwrap()
}
