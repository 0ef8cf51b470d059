//! Stands in for a program that runs in another container: a child of the agent that passes input, output, signals and the exit
//! code. So the agent starts, stops and reads both kinds of programs in the same way.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use model::{ExitClass, Failure, FailureCode};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::io::ReaderStream;

use super::frame::{Frame, FrameCodec, FrameWriter, MAX_DATA, Request, Stop, invalid, refused};
use crate::cli::RelayArgs;
use crate::stderr::log_stderr;

/// How long the other container may take to serve the socket.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval at which the socket is tried.
const INTERVAL: Duration = Duration::from_millis(50);

/// The environment variables that are passed to the program. None of them is a secret.
const RELAYED: [&str; 9] =
    ["LC_ALL", "TMPDIR", "PGAPPNAME", "PGDATA", "PGHOST", "PGOPTIONS", "PGPASSFILE", "PGPORT", "PGUSER"];

/// Whether an environment variable is passed to the program.
pub(crate) fn is_relayed(variable: &str) -> bool {
    RELAYED.contains(&variable)
}

/// Runs a program through the socket of `toygres-agent execute`, and returns its exit code.
pub(crate) async fn relay(args: RelayArgs) -> i32 {
    // Otherwise the program would continue without its agent.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    match run(args).await {
        Ok(code) => code,
        Err(failure) => {
            log_stderr(&failure.to_string());
            ExitClass::from(failure.code).code()
        }
    }
}

async fn run(args: RelayArgs) -> Result<i32, Failure> {
    let request = Request {
        program: args.program,
        major: args.major,
        arguments: args.arguments,
        environment: std::env::vars().filter(|(name, _)| is_relayed(name)).collect(),
    };
    let (reader, writer) = connect(&args.socket).await?.into_split();
    let mut replies = FramedRead::new(reader, FrameCodec::new());
    let (sender, frames) = mpsc::channel(1);
    // Before the program starts, so that no signal is lost. Until here a signal ends this process.
    for (kind, stop) in [
        (SignalKind::interrupt(), Stop::Interrupt),
        (SignalKind::quit(), Stop::Quit),
        (SignalKind::terminate(), Stop::Terminate),
    ] {
        let mut signals = signal(kind).map_err(|error| lost(&error.to_string()))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(Frame::Signal(stop)).await.is_ok() {}
        });
    }
    tokio::spawn(send(request, frames, FramedWrite::new(writer, FrameCodec::new())));
    let (taken, room) = mpsc::channel(1);
    tokio::spawn(send_input(file(std::io::stdin())?, sender, room));
    let (mut output, mut errors) = (file(std::io::stdout())?, file(std::io::stderr())?);
    while let Some(reply) = replies.next().await {
        match reply.map_err(|error| invalid(&error.to_string()))? {
            // The agent may have closed an output that it does not read.
            Frame::Output(bytes) => drop(write(&mut output, &bytes).await),
            Frame::Errors(bytes) => drop(write(&mut errors, &bytes).await),
            Frame::InputTaken => drop(taken.try_send(())),
            Frame::Ended(code) => return Ok(code),
            Frame::Refused(failure) => return Err(failure),
            _ => return Err(invalid("an unexpected frame was sent")),
        }
    }
    Err(lost("the connection was closed before the program ended"))
}

/// Connects to the socket, which the other container may not have created yet.
async fn connect(socket: &Path) -> Result<UnixStream, Failure> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream)
                if stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw()) =>
            {
                return Ok(stream);
            }
            Ok(_) => return Err(refused("the socket belongs to another account")),
            Err(error) if Instant::now() > deadline => {
                return Err(lost(&format!("cannot connect to {}: {error}", socket.display())));
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// Sends the request, then the frames of the channel.
async fn send(request: Request, mut frames: mpsc::Receiver<Frame>, mut replies: FrameWriter) {
    let mut next = Some(Frame::Start(request));
    while let Some(frame) = next {
        if replies.send(frame).await.is_err() {
            // The other side reports the reason or closes the connection.
            return;
        }
        next = frames.recv().await;
    }
}

/// Sends the input, one part after the other.
async fn send_input(input: File, sender: mpsc::Sender<Frame>, mut room: mpsc::Receiver<()>) {
    let mut parts = ReaderStream::with_capacity(input, MAX_DATA);
    while let Some(Ok(part)) = parts.next().await {
        if sender.send(Frame::Input(part)).await.is_err() || room.recv().await.is_none() {
            return;
        }
    }
    // It fails if the program has ended.
    let _ = sender.send(Frame::InputEnded).await;
}

/// A standard stream of this process.
fn file(stream: impl AsFd) -> Result<File, Failure> {
    let owned = stream.as_fd().try_clone_to_owned();
    Ok(File::from_std(owned.map_err(|error| lost(&error.to_string()))?.into()))
}

async fn write(output: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}

fn lost(detail: &str) -> Failure {
    Failure::new(
        FailureCode::ConnectionLost,
        format!("the container of the scratch server is not usable: {detail}"),
    )
}
