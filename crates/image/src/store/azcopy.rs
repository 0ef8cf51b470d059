//! azcopy as what carries objects into Azure: it reads one from a pipe that we hold, and it gets its end only when all of
//! the object is known to be good. It knows no image.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, UploadPart};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::address::path;
use super::options::{StoreOptions, TRANSFER};
use crate::error::{Error, Result};

/// Bytes of a block, and how many of them a blob can have: what azcopy takes from a pipe at most.
const BLOCK: u64 = 8 * 1024 * 1024;
const BLOCKS: u64 = 50_000;
/// How much of its output is kept.
const OUTPUT: usize = 64 * 1024;
/// How often it may be asked for a token at the same time; on a pipe it takes no automatic choice.
const CONCURRENCY: &str = "4";

/// azcopy, and where to it carries.
#[derive(Debug)]
pub(crate) struct Azcopy {
    program: PathBuf,
    /// The URL of the store's prefix.
    base: String,
    environment: Vec<(&'static str, String)>,
    scratch: tempfile::TempDir,
}

impl Azcopy {
    /// azcopy, if the options choose it.
    pub(crate) fn chosen(
        account: &str,
        container: &str,
        prefix: &str,
        options: &StoreOptions,
    ) -> Result<Option<Self>> {
        match options.get(TRANSFER) {
            None | Some("object_store") => return Ok(None),
            Some("azcopy") => {}
            Some(other) => {
                return Err(Error::Settings(format!(
                    "the store's transfer {other:?} is not known: choose object_store or azcopy"
                )));
            }
        }
        let given = |key: &str, name: &str| {
            options.get(key).map(str::to_owned).or_else(|| std::env::var(name).ok().filter(|v| !v.is_empty()))
        };
        if !options.secrets().is_empty() {
            // It takes a SAS only in its arguments, where everybody on the machine can read it.
            return Err(Error::Settings(
                "azcopy is offered with a workload identity only: open the store by identity, or choose the transfer object_store".to_owned(),
            ));
        }
        let endpoint = given("endpoint", "AZURE_STORAGE_ENDPOINT").map_or_else(
            || format!("https://{account}.blob.core.windows.net"),
            |url| super::remote::of_account(&url, account),
        );
        let mut environment = vec![("AZCOPY_AUTO_LOGIN_TYPE", "WORKLOAD".to_owned())];
        for (key, name) in [
            ("client_id", "AZURE_CLIENT_ID"),
            ("tenant_id", "AZURE_TENANT_ID"),
            ("federated_token_file", "AZURE_FEDERATED_TOKEN_FILE"),
            ("authority_host", "AZURE_AUTHORITY_HOST"),
        ] {
            environment.extend(given(key, name).map(|value| (name, value)));
        }
        let scratch = tempfile::Builder::new().prefix("azcopy-").tempdir();
        Ok(Some(Self {
            program: std::env::var_os("TOYGRES_AZCOPY").map_or_else(|| "azcopy".into(), PathBuf::from),
            base: [&*endpoint, container, prefix].join("/").trim_end_matches('/').to_owned(),
            environment,
            scratch: scratch.map_err(|error| Error::io("azcopy's scratch directory", error))?,
        }))
    }

    /// Starts it on an object. `store` is asked afterwards what has arrived.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: &str,
        store: Arc<dyn ObjectStore>,
    ) -> Result<Box<dyn MultipartUpload>> {
        let scratch = self.scratch.path();
        let mut command = Command::new(&self.program);
        command
            .arg("copy")
            .arg(format!("{}/{}", self.base, path(key)?))
            .args(["--from-to=PipeBlob", "--output-type=json", "--log-level=WARNING", "--block-size-mb=8"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("AZCOPY_CONCURRENCY_VALUE", CONCURRENCY)
            .env("AZCOPY_LOG_LOCATION", scratch)
            .env("AZCOPY_JOB_PLAN_LOCATION", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            Error::Settings(format!(
                "{} cannot be started ({error}): install azcopy where jobs run, name it in TOYGRES_AZCOPY, or choose the transfer object_store",
                self.program.display()
            ))
        })?;
        let mut output = child.stdout.take();
        let said = tokio::spawn(async move {
            let mut text = Vec::new();
            if let Some(output) = &mut output {
                // Its last lines are what counts, and they are short.
                while output.take(4096).read_to_end(&mut text).await.is_ok_and(|n| n > 0) {
                    text.drain(..text.len().saturating_sub(OUTPUT));
                }
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let input = child.stdin.take();
        let state = State { child, input, said: Some(said), bytes: 0 };
        Ok(Box::new(Upload {
            azcopy: Arc::clone(self),
            key: key.to_owned(),
            store,
            state: Arc::new(Mutex::new(state)),
        }))
    }
}

/// One object on its way.
#[derive(Debug)]
struct Upload {
    /// Its scratch directory lives as long as its uploads.
    azcopy: Arc<Azcopy>,
    key: String,
    store: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    child: Child,
    input: Option<ChildStdin>,
    said: Option<JoinHandle<String>>,
    bytes: u64,
}

impl Drop for State {
    fn drop(&mut self) {
        // Before the pipe closes: azcopy takes the end of its input for the end of the object, and commits.
        let _ = self.child.start_kill();
    }
}

impl State {
    /// How it ended, its words sorted.
    async fn end(&mut self) -> object_store::Result<()> {
        let status = self.child.wait().await.map_err(generic)?;
        let said = match self.said.take() {
            Some(said) => said.await.unwrap_or_default(),
            None => String::new(),
        };
        if status.success() { Ok(()) } else { Err(generic(words(&said, &status.to_string()))) }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let state = Arc::clone(&self.state);
        async move {
            let mut state = state.lock().await;
            state.bytes += part.content_length() as u64;
            if state.bytes > BLOCK * BLOCKS {
                return Err(generic(
                    "azcopy takes 390 GiB from a pipe at most: choose the transfer object_store for this store",
                ));
            }
            let Some(input) = &mut state.input else { return Err(generic("azcopy has ended")) };
            for bytes in &part {
                if input.write_all(bytes).await.is_err() {
                    // It ended early, and said why.
                    state.end().await?;
                    return Err(generic("azcopy ended before the object did"));
                }
            }
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let mut state = self.state.lock().await;
        if let Some(mut input) = state.input.take() {
            input.shutdown().await.map_err(generic)?;
        }
        state.end().await?;
        let there = self.store.head(&path(&self.key).map_err(generic)?).await?;
        if there.size != state.bytes {
            let words = format!(
                "azcopy says that it succeeded, and the store has {} of {} bytes",
                there.size, state.bytes
            );
            return Err(generic(words));
        }
        Ok(PutResult {
            e_tag: there.e_tag,
            version: there.version,
            extensions: object_store::Extensions::default(),
        })
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        let mut state = self.state.lock().await;
        let killed = state.child.kill().await;
        state.input = None;
        tracing::debug!(scratch = %self.azcopy.scratch.path().display(), "azcopy was ended");
        killed.map_err(generic)
    }
}

fn generic(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "azcopy", source: cause.into() }
}

/// What it said went wrong, in the form that a provider's own answer has, so that it is sorted like one.
fn words(output: &str, status: &str) -> String {
    let messages = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors: Vec<String> = messages
        .filter(|message| {
            message["MessageType"] == "Error"
                || message["MessageContent"]
                    .as_str()
                    .is_some_and(|text| text.contains("\"JobStatus\":\"Failed\""))
        })
        .filter_map(|message| message["MessageContent"].as_str().map(str::to_owned))
        .collect();
    let text = errors.join(" ");
    let code = super::known::in_text(&text).map(|code| format!(" <Code>{code}</Code>"));
    let first = text.lines().next().unwrap_or_default();
    format!("azcopy ended with {status}: {first}{}", code.unwrap_or_default())
}
