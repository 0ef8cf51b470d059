//! Server-sent events about changed runs. Notifications only trigger a read: what is sent was read from the state database.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use model::{Actor, RunId};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tower_sessions::Session;
use utoipa::IntoParams;

use crate::auth::{CurrentUser, bearer_token};
use crate::errors::{ErrorBody, ErrorResponse};
use crate::rest::{Path, Query, QueryErrors};
use crate::session::Store;
use crate::state::AppState;
use crate::streams::StreamPermit;

/// The most log lines in one event. A line has up to 8 KiB, and each stream holds some events that the client has not read.
const MAX_LINES: i64 = 250;
/// The most events that a stream holds.
const MAX_EVENTS: usize = 2;
/// Interval of the check that the caller is still logged in.
const RECHECK: Duration = Duration::from_secs(30);
/// The longest pause between two reads of a run: a notification can be lost.
const POLL: Duration = Duration::from_secs(3);
/// Changes within this time are sent as one.
const DEBOUNCE: Duration = Duration::from_millis(80);

type Sender = mpsc::Sender<Result<Event, Infallible>>;

fn stream_response(events: mpsc::Receiver<Result<Event, Infallible>>) -> impl IntoResponse {
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    (
        [(HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(ReceiverStream::new(events)).keep_alive(keep_alive),
    )
}

fn open_stream(app: &AppState, actor: &Actor) -> Result<StreamPermit, ErrorResponse> {
    app.streams.open(actor.user).ok_or_else(|| {
        let message = "Too many pages of this account are open. Close some of them.";
        ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message)
    })
}

/// The credential that a stream was opened with. It is checked while the stream is open.
enum Credential {
    Session(Session),
    Token(String),
}

impl Credential {
    fn of(headers: &HeaderMap, session: Session) -> Self {
        bearer_token(headers).map_or(Self::Session(session), |token| Self::Token(token.to_owned()))
    }

    /// Whether the session, the account and the token still exist. True while the state database is unavailable.
    async fn is_valid(&self, app: &AppState, actor: &Actor) -> bool {
        match self {
            Self::Token(token) => !matches!(
                control::tokens::authenticate(&app.services, token).await,
                Err(control::Error::Unauthenticated(_))
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

/// Where to start.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The position in the changes at which the client read what it shows. The stream starts with a change if it is another
    /// one now.
    seen: Option<String>,
}

/// Follow all runs
///
/// Sends `changed` with the id of each run that changed, and with the nil UUID if any run may have changed.
#[utoipa::path(get, path = "/api/events", tag = "runs", params(EventsQuery),
    responses((status = 200, description = "Server-sent events: changed", content_type = "text/event-stream"), QueryErrors,
        (status = 429, body = ErrorBody, description = "Too many streams of the account")))]
pub(crate) async fn all(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Query(EventsQuery { seen }): Query<EventsQuery>,
    session: Session,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ErrorResponse> {
    let permit = open_stream(&app, &actor)?;
    let credential = Credential::of(&headers, session);
    let (send, receive) = mpsc::channel(MAX_EVENTS);
    let mut changes = app.services.changes();
    // Compared after the subscription, so that no change is between them.
    if seen.is_some_and(|seen| seen != app.services.change_position()) {
        let _ = send.try_send(Ok(changed(RunId(uuid::Uuid::nil()))));
    }
    tokio::spawn(async move {
        let _permit = permit;
        let mut recheck = tokio::time::interval(RECHECK);
        loop {
            let run = tokio::select! {
                () = app.stop.cancelled() => return,
                () = send.closed() => return,
                _ = recheck.tick() => if credential.is_valid(&app, &actor).await { continue } else { return },
                change = changes.recv() => match change {
                    Ok(run) => run,
                    Err(RecvError::Lagged(_)) => RunId(uuid::Uuid::nil()),
                    Err(RecvError::Closed) => return,
                },
            };
            if send.send(Ok(changed(run))).await.is_err() {
                return;
            }
        }
    });
    Ok(stream_response(receive))
}

fn changed(run: RunId) -> Event {
    Event::default().event("changed").data(run.to_string())
}

/// Where to start.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunEventsQuery {
    /// The number of the last log line that is not sent. The header Last-Event-ID overrides it.
    #[serde(default)]
    after: i64,
    /// The most lines to send of the existing log. Older ones are skipped, with an event `skipped`.
    jump: Option<i64>,
}

/// Follow a run
///
/// Sends `log` with new lines, `run` with the run when it changed and, when the run has ended and everything was sent,
/// `end`. A stream that is more than `jump` lines behind sends `skipped` with the number of the last line that it leaves
/// out.
#[utoipa::path(get, path = "/api/runs/{id}/events", tag = "runs",
    params(("id" = uuid::Uuid, Path), RunEventsQuery, ("Last-Event-ID" = Option<i64>, Header)),
    responses((status = 200, description = "Server-sent events: run, log, skipped, end", content_type = "text/event-stream"),
        QueryErrors, (status = 429, body = ErrorBody, description = "Too many streams of the account")))]
pub(crate) async fn run(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(id): Path<RunId>,
    Query(RunEventsQuery { after, jump }): Query<RunEventsQuery>,
    session: Session,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ErrorResponse> {
    control::runs::get(&app.services, id).await?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let permit = open_stream(&app, &actor)?;
    let credential = Credential::of(&headers, session);
    let (send, receive) = mpsc::channel(MAX_EVENTS);
    tokio::spawn(async move {
        let _permit = permit;
        let jump = jump.map(|jump| jump.max(1));
        let follow = follow(&app, &send, id, resumed.unwrap_or(after), jump);
        let credential_invalid = async {
            loop {
                tokio::time::sleep(RECHECK).await;
                if !credential.is_valid(&app, &actor).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = send.closed() => {}
            () = credential_invalid => {}
            () = follow => {}
        }
    });
    Ok(stream_response(receive))
}

/// Sends what is new after each change, and every few seconds.
async fn follow(app: &AppState, send: &Sender, id: RunId, mut after: i64, jump: Option<i64>) {
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
        // Up to the number of lines at the start of this round: a job can write faster than this loop reads.
        while after < detail.log_lines
            && let Ok(lines) = control::runs::log(&app.services, id, after, MAX_LINES).await
        {
            // The number of lines is stored together with them: those that are missing were deleted after the retention.
            let Some(newest) = lines.last().map(|line| line.n) else {
                after = detail.log_lines;
                break;
            };
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
            // The browser closes the stream. A client that reconnects gets the same event.
            let _ = send.send(Ok(Event::default().event("end").data(detail.run.state.as_str()))).await;
            return;
        }
        wait_for_change(&mut changes, id).await;
    }
}

async fn wait_for_change(changes: &mut Receiver<RunId>, id: RunId) {
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
    let _ = tokio::time::timeout(POLL, change).await;
    tokio::time::sleep(DEBOUNCE).await;
}
