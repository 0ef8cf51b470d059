//! One program and its connection: passes input, output and signals, and kills the program with its process group when the
//! connection is closed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use model::{Failure, FailureCode};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, FrameWriter, MAX_DATA, Requests, Stop, invalid};
use crate::tools::Tool;

/// How long the output of a program may remain open after its end: its descendants may have inherited it.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of frames that wait for a slow client.
const BACKLOG: usize = 4;

/// The process group of a program, which is killed when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It fails if all of its processes have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a program until it ends, or kills it when the client closes the connection.
///
/// # Errors
/// The program cannot be started, or the client sent an invalid frame.
pub(super) async fn run(
    tool: Tool,
    requests: &mut Requests,
    replies: &mut FrameWriter,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let mut child =
        tool.piped().map_err(|error| Failure::new(FailureCode::ProgramsMissing, format!("{error:#}")))?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (sender, mut frames) = mpsc::channel(BACKLOG);
    let (input, parts) = mpsc::channel(1);
    let mut copies = JoinSet::new();
    copies.spawn(send_output(child.stdout.take(), sender.clone(), Frame::Output));
    copies.spawn(send_output(child.stderr.take(), sender.clone(), Frame::Errors));
    copies.spawn(write_input(child.stdin.take(), parts, sender.clone()));
    let running = async move {
        let ended = tokio::select! {
            status = child.wait() => Ok(Some(status)),
            served = serve(requests, input, group.0) => served.map(|()| None),
            () = cancel.cancelled() => Ok(None),
        };
        // What the program left must not hold its output open.
        drop(group);
        let Some(status) = ended? else {
            let _ = child.wait().await;
            return Ok(());
        };
        let status = status.map_err(|error| invalid(&error.to_string()))?;
        let _ = timeout(OUTPUT_TIMEOUT, async { while copies.join_next().await.is_some() {} }).await;
        // It fails if the client has closed the connection.
        let _ = sender.send(Frame::Ended(code_of(status))).await;
        Ok(())
    };
    // The channel ends with the program and its copies.
    let sending = async {
        while let Some(frame) = frames.recv().await {
            if replies.send(frame).await.is_err() {
                frames.close();
            }
        }
    };
    futures::future::join(running, sending).await.0
}

/// Passes the frames of the client until it closes the connection.
async fn serve(
    requests: &mut Requests,
    input: mpsc::Sender<Bytes>,
    program: Option<Pid>,
) -> Result<(), Failure> {
    let mut input = Some(input);
    while let Some(frame) = requests.next().await {
        match frame.map_err(|error| invalid(&error.to_string()))? {
            Frame::Input(bytes) if bytes.len() <= MAX_DATA => {
                let sent = input.as_ref().map(|input| input.try_send(bytes));
                if let None | Some(Err(mpsc::error::TrySendError::Full(_))) = sent {
                    return Err(invalid("input was sent before it was requested"));
                }
            }
            Frame::InputEnded => input = None,
            Frame::Signal(stop) => {
                if let Some(program) = program {
                    // It fails if the program has ended.
                    let _ = kill_process(program, signal_of(stop));
                }
            }
            _ => return Err(invalid("an unexpected frame was sent")),
        }
    }
    Ok(())
}

fn signal_of(stop: Stop) -> Signal {
    match stop {
        Stop::Interrupt => Signal::INT,
        Stop::Quit => Signal::QUIT,
        Stop::Terminate => Signal::TERM,
    }
}

/// Writes the input of the program. The input of a program that does not read any more is discarded.
async fn write_input(
    stdin: Option<ChildStdin>,
    mut parts: mpsc::Receiver<Bytes>,
    taken: mpsc::Sender<Frame>,
) {
    let mut stdin = stdin;
    while let Some(part) = parts.recv().await {
        if let Some(open) = &mut stdin
            && open.write_all(&part).await.is_err()
        {
            stdin = None;
        }
        if taken.send(Frame::InputTaken).await.is_err() {
            return;
        }
    }
}

/// Sends what a program writes.
async fn send_output<R: AsyncRead + Unpin>(
    from: Option<R>,
    frames: mpsc::Sender<Frame>,
    frame: impl Fn(Bytes) -> Frame,
) {
    let Some(from) = from else { return };
    let mut parts = ReaderStream::with_capacity(from, MAX_DATA);
    while let Some(Ok(part)) = parts.next().await {
        if frames.send(frame(part)).await.is_err() {
            return;
        }
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
