//! The header `Idempotency-Key`: a POST request that is repeated with the same key within a day is executed once, and each
//! repetition gets the first answer.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::UserId;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::auth::Caller;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// The name of the header.
pub(crate) const HEADER: &str = "idempotency-key";
/// How long a repetition waits for the answer to the first request, in polls.
const POLLS: u32 = 100;
/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest body of a request and of an answer, in bytes.
const MAX_BODY: usize = 1 << 20;

/// The key of one request, unique for each account and token.
struct Key {
    actor: UserId,
    key: String,
    /// The SHA-256 of the path and the body.
    request: Vec<u8>,
}

/// What an earlier request with the same key left.
enum Claim {
    /// There is none: this request is executed.
    New,
    /// Its answer.
    Answered(Response),
    /// It has another path or body.
    Different,
    /// It has no answer yet.
    InProgress,
}

/// Whether the POST requests of a path accept a key: those of the REST API that start or change something. A session and its sudo
/// mode belong to one response.
pub(crate) fn accepts_key(path: &str) -> bool {
    path.starts_with("/api/") && !path.starts_with("/api/fn/") && path != "/api/sudo"
}

/// Executes a POST request with a key once. Other requests pass.
pub(crate) async fn once(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let applies = request.method() == Method::POST && accepts_key(request.uri().path());
    let key = request.headers().get(HEADER).filter(|_| applies).cloned();
    let actor = request.extensions().get::<Caller>().and_then(|caller| caller.actor.clone());
    let (Some(key), Some(actor)) = (key, actor) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return ErrorResponse::body_too_large().into_response();
    };
    let Some(key) = Key::of(actor.user, &key, &parts, &body) else {
        let message = "An idempotency key has 1 to 200 visible ASCII characters.";
        return ErrorResponse::new(StatusCode::BAD_REQUEST, "invalid", message).into_response();
    };
    let request = Request::from_parts(parts, Body::from(body));
    // A task of its own, because the client of a broken connection repeats the request and needs the answer.
    let db = app.services.db().clone();
    let answered = tokio::spawn(async move { answer(&db, &key, request, next).await }).await;
    let answered = answered.unwrap_or_else(|error| Err(control::Error::Internal(error.into())));
    answered.unwrap_or_else(|error| ErrorResponse::from(error).into_response())
}

async fn answer(db: &PgPool, key: &Key, request: Request, next: Next) -> Result<Response, control::Error> {
    match key.claim_or_wait(db).await? {
        Claim::New => {}
        Claim::Answered(response) => return Ok(response),
        Claim::Different => {
            let message = "Another request was sent with this idempotency key. Use a new key.";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(ErrorResponse::new(status, "idempotency_key_reused", message).into_response());
        }
        Claim::InProgress => {
            let message = "The first request with this idempotency key has no answer yet. If it does not get one, check whether it was executed.";
            return Ok(
                ErrorResponse::new(StatusCode::CONFLICT, "request_in_progress", message).into_response()
            );
        }
    }
    let response = next.run(request).await;
    let status = response.status();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_BODY).await.map_err(|error| control::Error::Internal(error.into()))?;
    key.keep(db, status, &body).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

impl Key {
    fn of(actor: UserId, key: &HeaderValue, parts: &Parts, body: &Bytes) -> Option<Self> {
        let key = key.to_str().ok().filter(|key| (1..=200).contains(&key.len()))?.to_owned();
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let request = Sha256::new().chain_update(path).chain_update([0_u8]).chain_update(body);
        Some(Self { actor, key, request: request.finalize().to_vec() })
    }

    /// Claims the key. If the first request is in progress, waits for its answer.
    async fn claim_or_wait(&self, db: &PgPool) -> sqlx::Result<Claim> {
        for _ in 0..POLLS {
            match self.claim(db).await? {
                Claim::InProgress => tokio::time::sleep(PAUSE).await,
                claim => return Ok(claim),
            }
        }
        Ok(Claim::InProgress)
    }

    async fn claim(&self, db: &PgPool) -> sqlx::Result<Claim> {
        let claimed = sqlx::query!(
            "insert into toygres.idempotency as i (actor, key, request) values ($1, $2, $3)
             on conflict (actor, key) do update set request = excluded.request, status = null, body = null,
                 created_at = clock_timestamp()
                 where i.created_at < clock_timestamp() - interval '1 day'",
            self.actor.0,
            self.key,
            self.request
        );
        if claimed.execute(db).await?.rows_affected() > 0 {
            return Ok(Claim::New);
        }
        let earlier = sqlx::query!(
            "select request, status, body from toygres.idempotency where actor = $1 and key = $2",
            self.actor.0,
            self.key
        );
        // A request that failed in the meantime has removed its row.
        let Some(earlier) = earlier.fetch_optional(db).await? else { return Ok(Claim::InProgress) };
        if earlier.request != self.request {
            return Ok(Claim::Different);
        }
        let status = earlier.status.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
        let (Some(status), Some(body)) = (status, earlier.body) else { return Ok(Claim::InProgress) };
        Ok(Claim::Answered((status, [(header::CONTENT_TYPE, "application/json")], body).into_response()))
    }

    /// Keeps the answer. After an error of the server and a refusal that can end, the request may be repeated.
    async fn keep(&self, db: &PgPool, status: StatusCode, body: &[u8]) -> sqlx::Result<()> {
        if status.is_success() {
            sqlx::query!(
                "update toygres.idempotency set status = $3, body = $4 where actor = $1 and key = $2",
                self.actor.0,
                self.key,
                i32::from(status.as_u16()),
                body
            )
            .execute(db)
            .await?;
        } else {
            sqlx::query!(
                "delete from toygres.idempotency where actor = $1 and key = $2",
                self.actor.0,
                self.key
            )
            .execute(db)
            .await?;
        }
        Ok(())
    }
}

/// Deletes the answers that are older than a day.
pub(crate) async fn delete_old(db: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("delete from toygres.idempotency where created_at < clock_timestamp() - interval '1 day'")
        .execute(db)
        .await
        .map(drop)
}
