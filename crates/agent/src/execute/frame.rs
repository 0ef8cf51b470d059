//! The messages between the agent and `toygres-agent execute`: frames with a length, a kind, and a content of bounded size.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};

use bytes::{BufMut as _, Bytes, BytesMut};
use model::{Failure, FailureCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite, LengthDelimitedCodec};

/// The most bytes of a program's input or output in one frame.
pub(super) const MAX_DATA: usize = 64 * 1024;
/// The most bytes of a frame. A longer one is refused before it is read.
pub(super) const MAX_FRAME: usize = 2 * MAX_DATA;

/// The frames that the agent sends.
pub(super) type Requests = FramedRead<OwnedReadHalf, FrameCodec>;
/// Where one side sends its frames.
pub(super) type FrameWriter = FramedWrite<OwnedWriteHalf, FrameCodec>;

/// The failure of a request that is valid and not permitted.
pub(super) fn refused(detail: &str) -> Failure {
    Failure::new(FailureCode::Refused, detail)
}

/// The failure of a connection on which the other side does not follow the protocol.
pub(super) fn invalid(detail: &str) -> Failure {
    Failure::new(FailureCode::TaskInvalid, format!("the connection to the agent is invalid: {detail}"))
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The name of the program, not a path.
    pub(super) program: String,
    /// The major version of PostgreSQL to which it belongs.
    pub(super) major: i32,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
}

/// A signal for the running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stop {
    /// SIGINT: PostgreSQL stops in the mode fast.
    Interrupt,
    /// SIGQUIT: PostgreSQL stops in the mode immediate.
    Quit,
    /// SIGTERM: PostgreSQL stops in the mode smart.
    Terminate,
}

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The first frame of the agent.
    Start(Request),
    /// A part of the program's input. The next part may be sent after [`Frame::InputTaken`].
    Input(Bytes),
    /// The program's input is complete.
    InputEnded,
    /// A signal for the program.
    Signal(Stop),
    /// The program has read, or does not read any more, the last part of its input.
    InputTaken,
    /// A part of the program's standard output.
    Output(Bytes),
    /// A part of the program's standard error.
    Errors(Bytes),
    /// The last frame: the program's exit code; 128 plus the signal if it was killed.
    Ended(i32),
    /// The last frame: the program was not started, or is killed, because a frame is invalid.
    Refused(Failure),
}

/// Reads and writes frames.
pub(super) struct FrameCodec(LengthDelimitedCodec);

impl FrameCodec {
    pub(super) fn new() -> Self {
        Self(LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec())
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Error> {
        self.0.decode(buffer)?.map(|frame| parse(frame.freeze())).transpose()
    }
}

/// Reads frames until one is invalid.
#[cfg(fuzzing)]
pub(crate) fn read_all(bytes: &[u8]) {
    let (mut codec, mut buffer) = (FrameCodec::new(), BytesMut::from(bytes));
    while let Ok(Some(_)) = codec.decode(&mut buffer) {}
}

impl Encoder<Frame> for FrameCodec {
    type Error = Error;

    fn encode(&mut self, frame: Frame, buffer: &mut BytesMut) -> Result<(), Error> {
        let (kind, content) = match frame {
            Frame::Start(request) => (0, json(&request)?),
            Frame::Input(bytes) => (1, bytes),
            Frame::InputEnded => (2, Bytes::new()),
            Frame::Signal(signal) => (3, json(&signal)?),
            Frame::InputTaken => (4, Bytes::new()),
            Frame::Output(bytes) => (5, bytes),
            Frame::Errors(bytes) => (6, bytes),
            Frame::Ended(code) => (7, json(&code)?),
            Frame::Refused(failure) => (8, json(&failure)?),
        };
        let mut bytes = BytesMut::with_capacity(content.len() + 1);
        bytes.put_u8(kind);
        bytes.put(content);
        self.0.encode(bytes.freeze(), buffer)
    }
}

fn parse(mut frame: Bytes) -> Result<Frame, Error> {
    if frame.is_empty() {
        return Err(Error::new(ErrorKind::InvalidData, "a frame is empty"));
    }
    let content = frame.split_off(1);
    Ok(match frame[0] {
        0 => Frame::Start(parsed(&content)?),
        1 => Frame::Input(content),
        2 => Frame::InputEnded,
        3 => Frame::Signal(parsed(&content)?),
        4 => Frame::InputTaken,
        5 => Frame::Output(content),
        6 => Frame::Errors(content),
        7 => Frame::Ended(parsed(&content)?),
        8 => Frame::Refused(parsed(&content)?),
        kind => {
            return Err(Error::new(ErrorKind::InvalidData, format!("a frame has the unknown kind {kind}")));
        }
    })
}

fn json(value: &impl Serialize) -> Result<Bytes, Error> {
    Ok(serde_json::to_vec(value)?.into())
}

fn parsed<T: DeserializeOwned>(content: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(content).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_codec() {
        let request = Request {
            program: "initdb".to_owned(),
            major: 15,
            arguments: vec!["--x=\u{1}ä".to_owned()],
            environment: BTreeMap::from([("PGHOST".to_owned(), "/s".to_owned())]),
        };
        let all = || {
            [
                Frame::Start(request.clone()),
                Frame::Input(Bytes::from_static(&[0, 255])),
                Frame::InputEnded,
                Frame::Signal(Stop::Quit),
                Frame::InputTaken,
                Frame::Output(Bytes::from(vec![7; MAX_DATA])),
                Frame::Errors(Bytes::new()),
                Frame::Ended(137),
                Frame::Refused(Failure::new(FailureCode::Refused, "no")),
            ]
        };
        let (mut codec, mut buffer) = (FrameCodec::new(), BytesMut::new());
        for frame in all() {
            codec.encode(frame, &mut buffer).expect("encoded");
        }
        for frame in all() {
            assert_eq!(codec.decode(&mut buffer).expect("decoded"), Some(frame));
        }
        assert_eq!(codec.decode(&mut buffer).expect("empty"), None);
    }

    #[test]
    fn oversized_empty_and_unknown_frames_are_refused() {
        for bytes in [&[0xff, 0, 0, 0][..], &[0, 2, 0, 1], &[0, 0, 0, 0], &[0, 0, 0, 1, 99], &[0, 0, 0, 1, 0]]
        {
            let error = FrameCodec::new().decode(&mut BytesMut::from(bytes)).expect_err("invalid");
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
    }
}
