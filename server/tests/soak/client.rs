//! The REST client of the simulated users.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::toygres::Toygres;

/// A client with the rights of an admin. It counts the answers, and fails the test if the server reports an internal error.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    counts: Arc<Mutex<BTreeMap<(String, u16), u64>>>,
}

impl Client {
    pub(crate) fn new(toygres: &Toygres) -> Self {
        let token = toygres.tool(&["token", "add", "soak", "--role", "admin", "--sudo"]).output().unwrap();
        assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
        let text = String::from_utf8(token.stdout).unwrap();
        let token = text.split_whitespace().last().unwrap();
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let http = reqwest::Client::builder().default_headers(headers).timeout(Duration::from_secs(60));
        Self { http: http.build().unwrap(), base: toygres.url(""), counts: Arc::default() }
    }

    /// Sends a request. None if the server is not there or has no state database.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = match body {
            Some(body) => request.json(&body),
            None => request.header("content-type", "application/json"),
        };
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.text().await.ok()?;
        // The path without names and identifiers.
        let kind: Vec<&str> = path
            .split(['/', '?'])
            .filter(|part| part.len() < 20 && !part.contains('=') && !part.starts_with("soak-"))
            .collect();
        *self.counts.lock().unwrap().entry((format!("{method} {}", kind.join("/")), status)).or_default() +=
            1;
        assert!(status < 500 || status == 503, "{method} {path}: {status} {body}");
        (status != 503).then(|| (status, serde_json::from_str(&body).unwrap_or_default()))
    }

    /// GETs a document; null if there is none now.
    pub(crate) async fn get(&self, path: &str) -> Value {
        match self.send("GET", path, None).await {
            Some((200, body)) => body,
            _ => Value::Null,
        }
    }

    /// GETs a list that is not paged, or the newest 200 entries.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let body = self.get(path).await;
        body.as_array().cloned().unwrap_or_default()
    }

    /// Prints how often each kind of request had which status.
    pub(crate) fn print_counts(&self) {
        for ((request, status), count) in &*self.counts.lock().unwrap() {
            println!("{count:6}  {status}  {request}");
        }
    }
}
