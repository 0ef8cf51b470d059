//! Uploads objects with azcopy: it reads an object from a pipe, and its input ends only when the whole object was written.

mod output;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use model::FailureCode;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, UploadPart};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::address::path;
use super::options::{StoreOptions, TRANSFER};
use crate::error::{Error, Result};

/// The size of a block in bytes, and the number of blocks of a blob: the limit for an object that azcopy reads from a pipe.
const BLOCK: u64 = 8 * 1024 * 1024;
const BLOCKS: u64 = 50_000;
/// The number of concurrent requests. azcopy does not choose it automatically for a pipe.
const CONCURRENCY: &str = "4";

/// azcopy and the container that it uploads to.
#[derive(Debug)]
pub(crate) struct Azcopy {
    program: PathBuf,
    /// The URL of the store's prefix.
    base: String,
    environment: Vec<(&'static str, String)>,
    scratch: tempfile::TempDir,
}

impl Azcopy {
    /// azcopy, if the options select it.
    pub(crate) fn selected(
        account: &str,
        container: &str,
        prefix: &str,
        options: &StoreOptions,
    ) -> Result<Option<Self>> {
        match options.get(TRANSFER) {
            None | Some("object_store") => return Ok(None),
            Some("azcopy") => {}
            Some(other) => {
                return Err(Error::settings(
                    TRANSFER,
                    format!("{other:?} is neither object_store nor azcopy"),
                ));
            }
        }
        let value = |key: &str, name: &str| {
            options.get(key).map(str::to_owned).or_else(|| std::env::var(name).ok().filter(|v| !v.is_empty()))
        };
        if !options.secrets().is_empty() {
            // azcopy takes a signature only as an argument, which every account of the machine can read.
            return Err(Error::settings(TRANSFER, "azcopy is supported with a workload identity only"));
        }
        let endpoint = value("endpoint", "AZURE_STORAGE_ENDPOINT").map_or_else(
            || format!("https://{account}.blob.core.windows.net"),
            |url| super::remote::with_account(&url, account),
        );
        let mut environment = vec![("AZCOPY_AUTO_LOGIN_TYPE", "WORKLOAD".to_owned())];
        for (key, name) in [
            ("client_id", "AZURE_CLIENT_ID"),
            ("tenant_id", "AZURE_TENANT_ID"),
            ("federated_token_file", "AZURE_FEDERATED_TOKEN_FILE"),
            ("authority_host", "AZURE_AUTHORITY_HOST"),
        ] {
            environment.extend(value(key, name).map(|value| (name, value)));
        }
        let scratch = tempfile::Builder::new().prefix("azcopy-").tempdir();
        Ok(Some(Self {
            program: std::env::var_os("TOYGRES_AZCOPY").map_or_else(|| "azcopy".into(), PathBuf::from),
            base: [&*endpoint, container, prefix].join("/").trim_end_matches('/').to_owned(),
            environment,
            scratch: scratch.map_err(|error| Error::io("azcopy's scratch directory", &error))?,
        }))
    }

    /// Starts the upload of an object. At the end its size is read from `store` and checked.
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
            Error::settings(TRANSFER, format!("{} cannot be started: {error}", self.program.display()))
        })?;
        let output = tokio::spawn(output::read_last(child.stdout.take()));
        let input = child.stdin.take();
        let state = State { child, input, output: Some(output), bytes: 0 };
        Ok(Box::new(Upload {
            azcopy: Arc::clone(self),
            key: key.to_owned(),
            store,
            state: Arc::new(Mutex::new(state)),
        }))
    }
}

/// The upload of one object.
#[derive(Debug)]
struct Upload {
    /// Keeps the scratch directory until the last upload ends.
    azcopy: Arc<Azcopy>,
    key: String,
    store: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<JoinHandle<String>>,
    bytes: u64,
}

impl Drop for State {
    fn drop(&mut self) {
        // Kill azcopy before the pipe closes: it takes the end of its input as the end of the object, and commits.
        let _ = self.child.start_kill();
    }
}

impl State {
    /// Waits for the end of azcopy and classifies its output if it failed.
    async fn end(&mut self, url: &str) -> object_store::Result<()> {
        let status = self.child.wait().await.map_err(generic)?;
        let output = match self.output.take() {
            Some(output) => output.await.unwrap_or_default(),
            None => String::new(),
        };
        if status.success() {
            Ok(())
        } else {
            Err(generic(output::classify(url, &output, &status.to_string())))
        }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (state, azcopy) = (Arc::clone(&self.state), Arc::clone(&self.azcopy));
        let key = self.key.clone();
        async move {
            let mut state = state.lock().await;
            state.bytes += part.content_length() as u64;
            if state.bytes > BLOCK * BLOCKS {
                let detail = "azcopy supports at most 390 GiB from a pipe";
                return Err(generic(Error::new(FailureCode::ObjectTooLarge, key, detail)));
            }
            let Some(input) = &mut state.input else { return Err(early_end(&azcopy.base)) };
            for bytes in &part {
                if input.write_all(bytes).await.is_err() {
                    // azcopy ended early; its output has the reason.
                    state.end(&azcopy.base).await?;
                    return Err(early_end(&azcopy.base));
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
        state.end(&self.azcopy.base).await?;
        let stored = self.store.head(&path(&self.key).map_err(generic)?).await?;
        if stored.size != state.bytes {
            let detail =
                format!("azcopy succeeded, but the store has {} of {} bytes", stored.size, state.bytes);
            return Err(generic(Error::new(FailureCode::StoreUnavailable, &self.key, detail)));
        }
        Ok(PutResult {
            e_tag: stored.e_tag,
            version: stored.version,
            extensions: object_store::Extensions::default(),
        })
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        let mut state = self.state.lock().await;
        let killed = state.child.kill().await;
        state.input = None;
        tracing::debug!(scratch = %self.azcopy.scratch.path().display(), "azcopy was killed");
        killed.map_err(generic)
    }
}

fn early_end(url: &str) -> object_store::Error {
    generic(Error::new(FailureCode::StoreUnavailable, url, "azcopy ended before the object did"))
}

/// Wraps an error of this crate or of the operating system in the type that [`MultipartUpload`] has.
fn generic(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "azcopy", source: cause.into() }
}
