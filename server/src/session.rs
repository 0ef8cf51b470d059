//! Sessions in the state database: rows of `toygres.session`, found by the hash of the cookie's value.
//!
//! # Decision: tower-sessions without its layer
//! The session itself is [`tower_sessions::Session`] over a [`SessionStore`] of our own. Its `SessionManagerLayer` is not
//! used, because it writes the cookie of every response: it removes the cookie whenever the session is empty, so that a
//! slow response to a request with the previous id would remove the cookie of the session that replaced it, and it removes
//! it without `Secure`, which browsers ignore for a name that begins with `__Host-`. Instead, [`open`] reads the cookie, and
//! only the handlers that change the session (login, logout, sudo, password) write it, with [`save`] or
//! [`removal_cookie`]. A session row of our own behind a trait of our own would repeat what `Session` does (lazy loading,
//! cycling the id), and would save no code.
//!
//! A row is saved only while it exists, so that a slow request cannot restore a session after logout.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use cookie::time::{Duration as CookieDuration, OffsetDateTime};
use cookie::{Cookie, SameSite};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tower_sessions::Session;
use tower_sessions::session::{self, Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};
use uuid::Uuid;

use crate::state::AppState;

/// The key of the account's id in the session's data.
pub(crate) const ACCOUNT: &str = "account";
/// The key of the account's auth epoch at login.
pub(crate) const EPOCH: &str = "epoch";
/// The key of the end of sudo mode, in seconds since 1970.
pub(crate) const SUDO_UNTIL: &str = "sudo_until";
/// The key of the time at which the session was loaded, in seconds since 1970, by the clock of the state database: those of
/// several servers may differ.
pub(crate) const NOW: &str = "now";
/// The key of the time of login, which a new id does not change.
const SINCE: &str = "since";
/// How long a session and its cookie last at most, in hours.
const MAX_HOURS: i32 = 12;
/// How long an unused session lasts, in minutes.
const IDLE_MINUTES: i32 = 30;

/// Makes the session of the request's cookie available as an extension. It is loaded at its first use.
pub(crate) async fn open(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let session = of_request(&app, request.headers());
    request.extensions_mut().insert(session);
    next.run(request).await
}

/// The session of a request's cookie.
pub(crate) fn of_request(app: &AppState, headers: &HeaderMap) -> Session {
    let store = Arc::new(Store(app.services.db().clone()));
    Session::new(session_id(headers, app.https), store, None)
}

/// The name of the session cookie. Browsers accept the prefix with HTTPS only.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-toygres" } else { "toygres" }
}

fn session_id(headers: &HeaderMap, https: bool) -> Option<Id> {
    let headers = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = headers.flat_map(Cookie::split_parse).filter_map(std::result::Result::ok);
    cookies.find(|cookie| cookie.name() == cookie_name(https))?.value().parse().ok()
}

/// Saves a session and returns the value of the `Set-Cookie` header with its id.
pub(crate) async fn save(session: &Session, https: bool) -> std::result::Result<String, session::Error> {
    session.save().await?;
    let id = session.id().ok_or_else(|| backend("the session was not saved"))?;
    Ok(build_cookie(id.to_string(), CookieDuration::hours(MAX_HOURS.into()), https))
}

/// Gives a session a new id. Returns false if the session has ended, for example by a logout in another request: then
/// nothing may be saved under a new id.
pub(crate) async fn renew(session: &Session, db: &PgPool) -> std::result::Result<bool, session::Error> {
    let Some(id) = session.id() else { return Ok(false) };
    let ended = sqlx::query!("delete from toygres.session where hash = $1", hash(id)).execute(db).await;
    if ended.map_err(backend)?.rows_affected() == 0 {
        return Ok(false);
    }
    session.cycle_id().await?;
    Ok(true)
}

/// The error of a request whose session cannot be read or written: sessions are rows of the state database.
pub(crate) fn unavailable(error: &session::Error) -> control::Error {
    tracing::warn!(%error, "cannot read or write a session");
    control::Error::Unavailable("The state database is unavailable. Try again in a moment.".to_owned())
}

/// The value of the `Set-Cookie` header that removes the cookie.
pub(crate) fn removal_cookie(https: bool) -> String {
    build_cookie(String::new(), CookieDuration::ZERO, https)
}

fn build_cookie(value: String, max_age: CookieDuration, https: bool) -> String {
    // With Lax, a link from another site opens a page of the session; `auth::same_origin` guards every change.
    Cookie::build((cookie_name(https), value))
        .path("/")
        .max_age(max_age)
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Lax)
        .build()
        .to_string()
}

/// Deletes expired sessions.
pub(crate) async fn delete_expired(db: &PgPool) -> sqlx::Result<()> {
    let expired = sqlx::query!("delete from toygres.session where expires_at < clock_timestamp()");
    expired.execute(db).await.map(drop)
}

/// The session rows.
#[derive(Clone, Debug)]
pub(crate) struct Store(pub(crate) PgPool);

impl Store {
    /// The auth epoch of a valid session. It does not extend the session.
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
        let account = account.ok_or_else(|| backend("the session has no account"))?;
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
            MAX_HOURS
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

    /// Loads a valid session and extends it.
    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let row = sqlx::query!(
            r#"update toygres.session set seen_at = clock_timestamp(),
                   expires_at = least(clock_timestamp() + make_interval(mins => $2), created_at + make_interval(hours => $3))
               where hash = $1 and expires_at > clock_timestamp()
               returning data, extract(epoch from created_at)::float8 as "since!",
                   extract(epoch from clock_timestamp())::bigint as "now!",
                   extract(epoch from expires_at)::bigint as "expires!""#,
            hash(*id),
            IDLE_MINUTES,
            MAX_HOURS
        )
        .fetch_optional(&self.0)
        .await
        .map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let mut data: HashMap<String, serde_json::Value> =
            serde_json::from_value(row.data).map_err(backend)?;
        data.insert(SINCE.to_owned(), row.since.into());
        data.insert(NOW.to_owned(), row.now.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_is_locked_to_this_host_with_https() {
        let removal = removal_cookie(true);
        assert!(removal.starts_with("__Host-toygres=;"), "{removal}");
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=0"] {
            assert!(removal.split("; ").any(|part| part == attribute), "{attribute} is missing: {removal}");
        }
        assert!(!removal_cookie(false).contains("Secure"));
    }

    #[test]
    fn session_id_is_read_from_its_own_cookie_only() {
        let id = Id::default();
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, format!("scheme=dark; toygres={id}").parse().expect("header"));
        assert_eq!(session_id(&headers, false), Some(id));
        assert_eq!(session_id(&headers, true), None);
    }
}
