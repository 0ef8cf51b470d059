//! Sessions in the CMS: found by the hash of the cookie, saved only while they are there, so that a slow request cannot
//! bring back what was logged out, nor log out whoever got another cookie meanwhile.

use std::collections::HashMap;

use async_trait::async_trait;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};
use uuid::Uuid;

/// The data's key for the account.
pub(crate) const ACCOUNT: &str = "account";
/// The data's key for the account's auth epoch at logging in.
pub(crate) const EPOCH: &str = "epoch";
/// The data's key for the end of sudo mode, in seconds since 1970.
pub(crate) const SUDO_UNTIL: &str = "sudo_until";
/// The data's key for when somebody logged in: a session that gets another id, as at sudo, is no new one.
const SINCE: &str = "since";
/// How long a session lasts, whatever is done in it, in hours; its cookie, too.
pub(crate) const LONGEST_HOURS: i32 = 12;
/// How long it lasts without being used, in minutes.
const IDLE_MINUTES: i32 = 30;

/// What the cookie is called where only https may carry it, and elsewhere.
pub(crate) const COOKIES: (&str, &str) = ("__Host-toygres", "toygres");

/// The sessions of the CMS.
#[derive(Clone, Debug)]
pub(crate) struct Store(pub(crate) PgPool);

impl Store {
    /// The auth epoch of a session that is still there. To look is no use of it.
    pub(crate) async fn epoch(&self, id: &Id) -> sqlx::Result<Option<i64>> {
        sqlx::query_scalar!(
            "select auth_epoch from toygres.session where hash = $1 and expires_at > clock_timestamp()",
            hash(*id)
        )
        .fetch_optional(&self.0)
        .await
    }
}

fn hash(id: Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let account = record.data.get(ACCOUNT).and_then(|value| value.as_str()?.parse::<Uuid>().ok());
        let account = account.ok_or_else(|| backend("a session belongs to an account"))?;
        let epoch = record.data.get(EPOCH).and_then(serde_json::Value::as_i64).unwrap_or(0);
        let since = record.data.get(SINCE).and_then(serde_json::Value::as_f64);
        let data = serde_json::to_value(&record.data).map_err(backend)?;
        sqlx::query!(
            "insert into toygres.session (hash, account, auth_epoch, data, created_at, expires_at)
             select $1, $2, $3, $4, since,
                 least(clock_timestamp() + make_interval(mins => $6), since + make_interval(hours => $7))
             from coalesce(to_timestamp($5), clock_timestamp()) as since",
            hash(record.id),
            account,
            epoch,
            data,
            since,
            IDLE_MINUTES,
            LONGEST_HOURS
        )
        .execute(&self.0)
        .await
        .map(drop)
        .map_err(backend)
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let epoch = record.data.get(EPOCH).and_then(serde_json::Value::as_i64).unwrap_or(0);
        let data = serde_json::to_value(&record.data).map_err(backend)?;
        sqlx::query!(
            "update toygres.session set data = $2, auth_epoch = $3 where hash = $1",
            hash(record.id),
            data,
            epoch
        )
        .execute(&self.0)
        .await
        .map(drop)
        .map_err(backend)
    }

    /// Each use makes a session last longer.
    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let row = sqlx::query!(
            r#"update toygres.session set seen_at = clock_timestamp(),
                   expires_at = least(clock_timestamp() + make_interval(mins => $2), created_at + make_interval(hours => $3))
               where hash = $1 and expires_at > clock_timestamp()
               returning data, extract(epoch from created_at)::float8 as "since!",
                   extract(epoch from expires_at)::bigint as "expires!""#,
            hash(*id),
            IDLE_MINUTES,
            LONGEST_HOURS
        )
        .fetch_optional(&self.0)
        .await
        .map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let mut data: HashMap<String, serde_json::Value> =
            serde_json::from_value(row.data).map_err(backend)?;
        data.insert(SINCE.to_owned(), row.since.into());
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date: OffsetDateTime::from_unix_timestamp(row.expires).map_err(backend)?,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        sqlx::query!("delete from toygres.session where hash = $1", hash(*id))
            .execute(&self.0)
            .await
            .map(drop)
            .map_err(backend)
    }
}

/// Takes the removal of the cookie out of every answer but that of logging out. An answer to what was asked with a session's
/// last id, as while the password was given again, would take the new one with it.
pub(crate) async fn only_logging_out_removes(request: Request, next: Next) -> Response {
    let logs_out = request.uri().path() == "/logout";
    let mut answer = next.run(request).await;
    if !logs_out && answer.headers().contains_key(SET_COOKIE) {
        let cookies: Vec<HeaderValue> = answer.headers().get_all(SET_COOKIE).iter().cloned().collect();
        answer.headers_mut().remove(SET_COOKIE);
        for cookie in cookies.into_iter().filter(|cookie| !is_removal(cookie)) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    answer
}

fn is_removal(cookie: &HeaderValue) -> bool {
    let pair = cookie.to_str().ok().and_then(|cookie| cookie.split(';').next()?.split_once('='));
    pair.is_some_and(|(name, value)| value.is_empty() && (name == COOKIES.0 || name == COOKIES.1))
}
