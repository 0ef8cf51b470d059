//! A connection that accepts no request for a password in clear text or as an MD5 hash. The scratch server executes what an image
//! contains, so that the other side may be a program of the image; SCRAM tells it nothing that a verifier does not tell.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The kind of a message about the authentication.
const AUTHENTICATION: u8 = b'R';
/// The codes of these messages: the client is admitted; the steps of SASL.
const ADMITTED: u32 = 0;
const SASL: [u32; 3] = [10, 11, 12];

/// A stream from a server, checked until the client is admitted.
pub(super) struct ScramOnly<S> {
    stream: S,
    messages: Messages,
}

impl<S> ScramOnly<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, messages: Messages::default() }
    }
}

/// Where in the server's messages the stream is.
#[derive(Default)]
struct Messages {
    /// The start of a message: its kind, its length, and the code of a message about the authentication.
    start: Vec<u8>,
    /// The rest of the message, in bytes.
    rest: usize,
    admitted: bool,
}

impl Messages {
    /// Checks the next bytes.
    ///
    /// # Errors
    /// The server requests another authentication than SASL.
    fn check(&mut self, bytes: &[u8]) -> Result<()> {
        for byte in bytes {
            if self.admitted {
                return Ok(());
            }
            if self.rest > 0 {
                self.rest -= 1;
                continue;
            }
            self.start.push(*byte);
            self.check_start()?;
        }
        Ok(())
    }

    fn check_start(&mut self) -> Result<()> {
        let number = |at: usize| Some(u32::from_be_bytes(*self.start.get(at..)?.first_chunk()?));
        let (Some(length), is_authentication) = (number(1), self.start[0] == AUTHENTICATION) else {
            return Ok(());
        };
        if is_authentication {
            match number(5) {
                None => return Ok(()),
                Some(ADMITTED) => self.admitted = true,
                Some(code) if SASL.contains(&code) => {}
                Some(code) => {
                    let detail =
                        format!("the server requests the authentication method {code} instead of SASL");
                    return Err(Error::new(ErrorKind::InvalidData, detail));
                }
            }
        }
        // The length includes itself and, here, the code.
        let read = if is_authentication { 8 } else { 4 };
        self.rest = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(read);
        self.start.clear();
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ScramOnly<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.messages.check(&buffer.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ScramOnly<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_postgres::{Config, NoTls};

    use super::*;

    /// A message about the authentication with this code and content.
    fn authentication(code: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 8).expect("short");
        [&[AUTHENTICATION][..], &length.to_be_bytes(), &code.to_be_bytes(), content].concat()
    }

    #[tokio::test]
    async fn password_is_not_sent_to_a_server_that_requests_it() {
        let salt = [1; 4];
        let notice = b"N\0\0\0\x06ab".to_vec();
        for (code, content) in [(3, &[][..]), (5, &salt)] {
            let (client, mut server) = tokio::io::duplex(1024);
            let request = [notice.clone(), authentication(code, content)].concat();
            let asking = tokio::spawn(async move {
                let mut startup = [0; 512];
                assert!(server.read(&mut startup).await.expect("a startup message") > 0);
                // One byte at a time: a request is recognised across reads.
                for byte in request {
                    // The client hangs up as soon as it recognises the request.
                    let _ = server.write_all(&[byte]).await;
                    tokio::task::yield_now().await;
                }
                let mut sent = Vec::new();
                server.read_to_end(&mut sent).await.expect("the client hangs up");
                sent
            });
            let mut config = Config::new();
            config.user("u").password("canary-77");
            let refused = config.connect_raw(ScramOnly::new(client), NoTls).await;
            assert!(refused.is_err());
            drop(refused);
            assert_eq!(asking.await.expect("no panic"), b"", "method {code}");
        }
    }

    #[test]
    fn steps_of_scram_and_what_follows_are_accepted() {
        let mut messages = Messages::default();
        for code in SASL {
            messages.check(&authentication(code, b"RRRRRRRRRRRR")).expect("SASL");
        }
        messages.check(&authentication(ADMITTED, b"")).expect("admitted");
        messages.check(&authentication(3, b"")).expect("not checked any more");
    }
}
