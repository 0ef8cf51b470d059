//! Server-sent events: what changed, to whoever looks at it. Notices are hints; what is sent was read from the CMS.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use model::{Actor, RunId, UserId};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio_stream::wrappers::ReceiverStream;
use tower_sessions::Session;

use crate::auth::Somebody;
use crate::errors::Refusal;
use crate::router::App;
use crate::session::Store;

/// Streams of one account at once.
const MOST: usize = 32;
/// Lines of one event.
const LINES: i64 = 1000;
/// How often it is looked whether the account may still look.
const RECHECK: Duration = Duration::from_secs(30);

/// How many streams each account has.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<UserId, usize>>>);

/// One of them; gone when dropped.
struct Stream(Streams, UserId);

impl Streams {
    fn open(&self, user: UserId) -> Result<Stream, Refusal> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count >= MOST {
            let words = "Too many pages of this account are open. Close some.";
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many", words));
        }
        *count += 1;
        Ok(Stream(self.clone(), user))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
        }
    }
}

type Sender = tokio::sync::mpsc::Sender<Result<Event, Infallible>>;

fn answer(receive: tokio::sync::mpsc::Receiver<Result<Event, Infallible>>) -> impl IntoResponse {
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    (
        [(HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(ReceiverStream::new(receive)).keep_alive(keep_alive),
    )
}

/// What let somebody in: looked at again while the stream is open.
enum Ticket {
    Session(Session),
    Token(String),
}

impl Ticket {
    fn of(headers: &HeaderMap, session: Session) -> Self {
        let bearer =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        bearer.map_or(Self::Session(session), |token| Self::Token(token.trim().to_owned()))
    }

    /// Whether it still lets in: the session was not left, the account not closed, the token not revoked. While the CMS
    /// does not answer, nobody is sent away.
    async fn is_good(&self, app: &App, actor: &Actor) -> bool {
        match self {
            Self::Token(token) => !matches!(
                control::tokens::authenticate(&app.services, token).await,
                Err(control::Error::Unauthenticated)
            ),
            Self::Session(session) => {
                let Some(id) = session.id() else { return false };
                let epoch = match Store(app.services.db().clone()).epoch(&id).await {
                    Ok(Some(epoch)) => epoch,
                    Ok(None) => return false,
                    Err(_) => return true,
                };
                match control::users::by_id(&app.services, actor.user).await {
                    Ok(account) => account.is_some_and(|account| account.auth_epoch == epoch),
                    Err(_) => true,
                }
            }
        }
    }
}

/// `GET /api/events`: `changed` with the id of each run that changed, and with the nil id when all may have.
#[utoipa::path(get, path = "/api/events", tag = "runs", responses((status = 200, description = "Server-sent events: changed", content_type = "text/event-stream"),
    (status = 401, body = crate::errors::ErrorBody), (status = 429, body = crate::errors::ErrorBody)))]
pub(crate) async fn all(
    State(app): State<App>,
    Somebody(actor): Somebody,
    session: Session,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    let stream = app.streams.open(actor.user)?;
    let ticket = Ticket::of(&headers, session);
    let (send, receive) = tokio::sync::mpsc::channel(16);
    let mut changes = app.services.changes();
    tokio::spawn(async move {
        let _stream = stream;
        let mut recheck = tokio::time::interval(RECHECK);
        loop {
            let run = tokio::select! {
                () = app.stop.cancelled() => return,
                () = send.closed() => return,
                _ = recheck.tick() => if ticket.is_good(&app, &actor).await { continue } else { return },
                change = changes.recv() => match change {
                    Ok(run) => run,
                    Err(RecvError::Lagged(_)) => RunId(uuid::Uuid::nil()),
                    Err(RecvError::Closed) => return,
                },
            };
            if send.send(Ok(Event::default().event("changed").data(run.to_string()))).await.is_err() {
                return;
            }
        }
    });
    Ok(answer(receive))
}

/// Where to go on.
#[derive(Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: i64,
    jump: Option<i64>,
}

/// `GET /api/runs/{id}/events`: `run`, `log` and, when the run has ended and all was sent, `end`. With `jump` one that is
/// more lines than that behind hears `skipped`, with the number of the last line that is left out, and goes on there: what
/// shows the newest lines need not read a flood.
#[utoipa::path(get, path = "/api/runs/{id}/events", tag = "runs", params(("id" = uuid::Uuid, Path), ("after" = Option<i64>, Query), ("jump" = Option<i64>, Query), ("Last-Event-ID" = Option<i64>, Header)),
    responses((status = 200, description = "Server-sent events: run, log, end", content_type = "text/event-stream"),
        (status = 401, body = crate::errors::ErrorBody), (status = 404, body = crate::errors::ErrorBody), (status = 429, body = crate::errors::ErrorBody)))]
pub(crate) async fn run(
    State(app): State<App>,
    Somebody(actor): Somebody,
    id: Result<Path<RunId>, axum::extract::rejection::PathRejection>,
    query: Result<Query<After>, axum::extract::rejection::QueryRejection>,
    session: Session,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    let Path(id) = id?;
    let Query(After { after, jump }) = query?;
    control::runs::get(&app.services, id).await?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let stream = app.streams.open(actor.user)?;
    let ticket = Ticket::of(&headers, session);
    let (send, receive) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let _stream = stream;
        let jump = jump.map(|jump| jump.max(1));
        let follow = follow(&app, &send, id, resumed.unwrap_or(after), jump);
        let guard = async {
            loop {
                tokio::time::sleep(RECHECK).await;
                if !ticket.is_good(&app, &actor).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = send.closed() => {}
            () = guard => {}
            () = follow => {}
        }
    });
    Ok(answer(receive))
}

/// Sends what is new at each change, and now and then without one: a notice may get lost.
async fn follow(app: &App, send: &Sender, id: RunId, mut after: i64, jump: Option<i64>) {
    let mut changes = app.services.changes();
    let mut last = String::new();
    loop {
        let Ok(detail) = control::runs::get(&app.services, id).await else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let newest = jump.map(|jump| detail.log_lines - jump);
        if let Some(newest) = newest.filter(|newest| *newest > after) {
            after = newest;
            let skipped = Event::default().event("skipped").id(newest.to_string()).data(newest.to_string());
            if send.send(Ok(skipped)).await.is_err() {
                return;
            }
        }
        // As far as it is known to go: in a flood there is always more.
        while after < detail.log_lines
            && let Ok(lines) = control::runs::log(&app.services, id, after, LINES).await
        {
            let Some(newest) = lines.last().map(|line| line.n) else { break };
            let Ok(event) = Event::default().event("log").id(newest.to_string()).json_data(&lines) else {
                break;
            };
            if send.send(Ok(event)).await.is_err() {
                return;
            }
            after = newest;
        }
        let Ok(text) = serde_json::to_string(&detail) else { return };
        if text != last {
            if send.send(Ok(Event::default().event("run").data(&text))).await.is_err() {
                return;
            }
            last = text;
        }
        if detail.run.state.has_ended() && after >= detail.log_lines {
            // The browser closes; one that does not asks again and is told the same.
            let _ = send.send(Ok(Event::default().event("end").data(detail.run.state.as_str()))).await;
            return;
        }
        wait(&mut changes, id).await;
    }
}

async fn wait(changes: &mut tokio::sync::broadcast::Receiver<RunId>, id: RunId) {
    let change = async {
        loop {
            match changes.recv().await {
                Ok(run) if run == id || run.0.is_nil() => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(3), change).await;
    // Several changes of a moment are one.
    tokio::time::sleep(Duration::from_millis(80)).await;
}
