//! A server with the part of the S3 protocol that stores use. Its objects are in memory; requests can be delayed, refused and
//! counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The name of the only bucket.
pub(crate) const BUCKET: &str = "images";

/// The server. Clones share its objects and counters.
#[derive(Clone)]
pub(crate) struct ObjectServer(Arc<Inner>);

struct Inner {
    address: String,
    latency: Duration,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The parts of unfinished uploads, by key and number.
    parts: Mutex<BTreeMap<(String, u32), Vec<u8>>>,
    gets: AtomicUsize,
    lists: AtomicUsize,
    refuses_deletes: AtomicBool,
}

impl ObjectServer {
    /// Starts a server that answers each GET after a delay.
    pub(crate) async fn start(latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap().to_string(),
            latency,
            objects: Mutex::default(),
            parts: Mutex::default(),
            gets: AtomicUsize::new(0),
            lists: AtomicUsize::new(0),
            refuses_deletes: AtomicBool::new(false),
        }));
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(client));
            }
        });
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Puts an object below a key without a request.
    pub(crate) fn put(&self, key: &str, content: Vec<u8>) {
        self.0.objects.lock().unwrap().insert(key.to_owned(), content);
    }

    /// The keys that begin with a prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let objects = self.0.objects.lock().unwrap();
        objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// The numbers of GET requests for objects and for lists since the last call.
    pub(crate) fn take_counts(&self) -> (usize, usize) {
        (self.0.gets.swap(0, Ordering::SeqCst), self.0.lists.swap(0, Ordering::SeqCst))
    }

    /// Whether deletions are answered with "access denied" from now on.
    pub(crate) fn refuse_deletes(&self, refuses: bool) {
        self.0.refuses_deletes.store(refuses, Ordering::SeqCst);
    }

    async fn serve(self, client: TcpStream) {
        let mut client = BufReader::new(client);
        while let Some(request) = Request::read(&mut client).await {
            let (mut status, mut answer) = self.answer(&request).await;
            let mut range = String::new();
            if let (Some((first, last)), "200 OK") = (request.range, status) {
                let last = last.min(answer.len().saturating_sub(1));
                range = format!("content-range: bytes {first}-{last}/{}\r\n", answer.len());
                (status, answer) = ("206 Partial Content", answer[first..=last].to_vec());
            }
            let length = answer.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\netag: \"1\"\r\n{range}\
                 last-modified: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n"
            );
            let body = if request.method == "HEAD" { Vec::new() } else { answer };
            if client.write_all(&[head.into_bytes(), body].concat()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, request: &Request) -> (&'static str, Vec<u8>) {
        let Request { method, target, body, .. } = request;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = path.trim_start_matches('/').trim_start_matches(BUCKET).trim_start_matches('/').to_owned();
        let is_delete = method == "DELETE" || (method == "POST" && query.starts_with("delete"));
        if is_delete && self.0.refuses_deletes.load(Ordering::SeqCst) {
            let error = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            return ("403 Forbidden", error.into());
        }
        match method.as_str() {
            "GET" if query.starts_with("list-type") => {
                self.0.lists.fetch_add(1, Ordering::SeqCst);
                ("200 OK", self.list(query).into_bytes())
            }
            "GET" | "HEAD" => {
                self.0.gets.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(self.0.latency).await;
                match self.0.objects.lock().unwrap().get(&key) {
                    Some(content) => ("200 OK", content.clone()),
                    None => {
                        let error = "<Error><Code>NoSuchKey</Code><Message>missing</Message></Error>";
                        ("404 Not Found", error.into())
                    }
                }
            }
            "PUT" => {
                match query.split('&').find_map(|part| part.strip_prefix("partNumber=")) {
                    Some(number) => {
                        let part = (key, number.parse().unwrap());
                        self.0.parts.lock().unwrap().insert(part, body.clone());
                    }
                    None => self.put(&key, body.clone()),
                }
                ("200 OK", Vec::new())
            }
            "POST" if query.starts_with("uploads") => {
                let upload =
                    "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
                ("200 OK", upload.into())
            }
            "POST" if query.contains("uploadId=") => {
                self.put(&key, self.take_parts(&key).concat());
                let completed =
                    "<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>";
                ("200 OK", completed.into())
            }
            "DELETE" if query.contains("uploadId=") => {
                self.take_parts(&key);
                ("204 No Content", Vec::new())
            }
            "DELETE" => {
                self.0.objects.lock().unwrap().remove(&key);
                ("204 No Content", Vec::new())
            }
            "POST" => {
                let text = String::from_utf8(body.clone()).unwrap();
                let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
                let deleted: String = keys
                    .map(|key| {
                        self.0.objects.lock().unwrap().remove(key);
                        format!("<Deleted><Key>{key}</Key></Deleted>")
                    })
                    .collect();
                ("200 OK", format!("<DeleteResult>{deleted}</DeleteResult>").into_bytes())
            }
            other => panic!("the method {other} is not implemented"),
        }
    }

    /// Removes and returns the parts of the upload of a key, in order.
    fn take_parts(&self, key: &str) -> Vec<Vec<u8>> {
        let mut parts = self.0.parts.lock().unwrap();
        let (taken, rest) = std::mem::take(&mut *parts).into_iter().partition(|((of, _), _)| of == key);
        *parts = rest;
        let taken: BTreeMap<(String, u32), Vec<u8>> = taken;
        taken.into_values().collect()
    }

    fn list(&self, query: &str) -> String {
        let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default();
        let prefix = prefix.replace("%2F", "/");
        let objects = self.0.objects.lock().unwrap();
        let found: String = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, content)| {
                format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><ETag>1</ETag>\
                     <LastModified>2026-11-28T00:00:00.000Z</LastModified></Contents>",
                    content.len()
                )
            })
            .collect();
        format!(
            "<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        )
    }
}

struct Request {
    method: String,
    target: String,
    /// The first and the last requested byte.
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

impl Request {
    /// The next request; `None` at the end of the connection.
    async fn read(client: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        client.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let mut words = line.split_whitespace().map(ToOwned::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let (mut length, mut range) = (0, None);
        loop {
            let mut header = String::new();
            client.read_line(&mut header).await.ok().filter(|read| *read > 0)?;
            if header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':')?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "range" => {
                    let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
                    range = Some((first.parse().ok()?, last.parse().ok()?));
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.ok()?;
        Some(Self { method, target, range, body })
    }
}
