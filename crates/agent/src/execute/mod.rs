//! Runs PostgreSQL's programs for an agent in another container. What an image contains is executed here, so this process has no
//! secret, and neither a program that it starts nor a client of its socket can make it run anything else.

mod frame;
mod program;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use model::{ExitClass, Failure, FailureCode};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::ExecuteArgs;
use crate::programs::{FOR_RESTORE, Programs};
use crate::signals::cancelled_by_signals;
use crate::stderr::log_stderr;
use crate::tools::{Confinement, Tool};
use frame::{Frame, FrameCodec, Request, Requests, invalid, refused};

#[cfg(fuzzing)]
pub(crate) use frame::read_all;
pub(crate) use relay::{is_relayed, relay};

/// The most programs that run at a time. A restore needs the server and one client.
const MAX_PROGRAMS: usize = 8;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted, which happens if there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the socket until a signal stops the process. Every connection runs one program.
pub(crate) async fn serve(args: ExecuteArgs) -> ExitClass {
    let cancel = cancelled_by_signals();
    let listener = match bind(&args) {
        Ok(listener) => listener,
        Err(error) => {
            log_stderr(&format!("cannot listen on {}: {error}", args.socket.display()));
            return FailureCode::TaskInvalid.into();
        }
    };
    let (args, slots, running) = (Arc::new(args), Arc::new(Semaphore::new(MAX_PROGRAMS)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                running.spawn(handle(args.clone(), stream, slots.clone(), cancel.clone()));
            }
            Err(error) => {
                log_stderr(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    running.close();
    running.wait().await;
    ExitClass::Ok
}

fn bind(args: &ExecuteArgs) -> std::io::Result<UnixListener> {
    // An earlier process of a restarted container left it.
    match std::fs::remove_file(&args.socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(&args.socket),
    }
}

/// Runs the program of one connection, or says why not.
async fn handle(
    args: Arc<ExecuteArgs>,
    stream: UnixStream,
    slots: Arc<Semaphore>,
    cancel: CancellationToken,
) {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    let (reader, writer) = stream.into_split();
    let mut requests = FramedRead::new(reader, FrameCodec::new());
    let mut replies = FramedWrite::new(writer, FrameCodec::new());
    let permitted = async {
        // The permissions of the socket refuse other accounts too, unless its directory is mounted elsewhere.
        if peer.ok() != Some(rustix::process::geteuid().as_raw()) {
            return Err(refused("the client has another account"));
        }
        let slot = slots.try_acquire().map_err(|_| refused("too many programs are running"))?;
        Ok((slot, tool(&args, first(&mut requests).await?).await?))
    };
    let failure = match permitted.await {
        Ok((_slot, tool)) => program::run(tool, &mut requests, &mut replies, &cancel).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = failure {
        log_stderr(&failure.to_string());
        // The client may have closed the connection.
        let _ = replies.send(Frame::Refused(failure)).await;
    }
}

/// The request of a connection.
async fn first(requests: &mut Requests) -> Result<Request, Failure> {
    match timeout(REQUEST_TIMEOUT, requests.next()).await {
        Ok(Some(Ok(Frame::Start(request)))) => Ok(request),
        Ok(Some(Err(error))) => Err(invalid(&error.to_string())),
        Ok(Some(Ok(_)) | None) => Err(invalid("the first frame is no request")),
        Err(_) => Err(invalid("no request was sent in time")),
    }
}

/// The requested program, confined.
async fn tool(args: &ExecuteArgs, request: Request) -> Result<Tool, Failure> {
    let Some(name) = FOR_RESTORE.iter().find(|name| **name == request.program) else {
        return Err(refused("the program is not allowed").on(request.program));
    };
    if let Some(variable) = request.environment.keys().find(|variable| !is_relayed(variable)) {
        return Err(refused("the environment variable is not allowed").on(variable));
    }
    let bin_dir = args.bin_dir.as_deref().and_then(|dir| dir.to_str());
    let programs = Programs::find(bin_dir, request.major, FOR_RESTORE).await.map_err(|error| {
        error
            .downcast::<Failure>()
            .unwrap_or_else(|error| Failure::new(FailureCode::Other, format!("{error:#}")))
    })?;
    let mut within = Confinement { read: programs.dirs(), write: args.write.clone() };
    within.read.extend(args.read.iter().cloned());
    if *name == "initdb" {
        // It chooses the kind of shared memory by trying it out. It executes no content of an image.
        within.write.push("/dev/shm".into());
    }
    // The agent, which reads the messages of the program, knows the code.
    let tool = Tool::confined(&programs.path(name), None, FailureCode::Other, &within);
    Ok(tool.args(request.arguments).envs(request.environment))
}
