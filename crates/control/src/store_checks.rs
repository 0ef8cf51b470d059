//! Periodic comparison of the stores with the state database: objects that no row needs, images whose objects are missing or
//! altered, and the scheduled verification of images. Each store is checked by one worker at a time.

mod images;
pub(crate) mod scope;
mod unused;
mod verification;

use std::time::Duration;

use model::{Failure, FailureCode, StoreId};
use tokio_util::sync::CancellationToken;

use self::scope::Scope;
use crate::duty;
use crate::error::{Error, Result};
use crate::services::Services;

/// How often it is determined which checks are due.
const INTERVAL: Duration = Duration::from_secs(300);
/// How long one check of one store may take, and how long its duty is leased.
const LIMIT: Duration = Duration::from_secs(3600);
/// The interval between two lists of a store.
const LIST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Checks the stores until `stop` is cancelled.
pub(crate) async fn run(services: Services, worker: String, stop: CancellationToken) {
    let checking = async {
        loop {
            if let Err(error) = check_due(&services, &worker).await {
                tracing::warn!(%error, "stores cannot be checked; trying again");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = checking => {}
    }
}

/// Checks a store now: compares its objects with the rows, checks the images that are due, and starts a verification if one is
/// due.
///
/// # Errors
/// The store or the state database is unavailable. Then no image is changed.
pub async fn check_store(services: &Services, store: StoreId) -> Result<()> {
    let scope = scope::of(services, store).await?;
    list(services, &scope).await?;
    images::check_due(services, &scope).await?;
    verification::start_due(services, &scope).await
}

/// Whether this platform has available images in the store at `url`.
///
/// # Errors
/// The state database is unavailable.
pub async fn has_images(services: &Services, url: &str) -> Result<bool> {
    let store = sqlx::query_scalar!("select id from toygres.store where url = $1", url);
    let Some(store) = store.fetch_optional(services.db()).await? else { return Ok(false) };
    Ok(!scope::of(services, StoreId(store)).await?.prefixes(services).await?.is_empty())
}

/// Does the checks that are due. A store that fails does not keep the others from being checked.
async fn check_due(services: &Services, worker: &str) -> Result<()> {
    for scope in scope::all(services).await? {
        let checks = async {
            let (listing, checking) = (scope.duty("store-list"), scope.duty("store-images"));
            if duty::claim(services.db(), &listing, worker, LIMIT).await? {
                list(services, &scope).await?;
                duty::end(services.db(), &listing, worker, LIST_INTERVAL).await?;
            }
            if duty::claim(services.db(), &checking, worker, LIMIT).await? {
                let checked = images::check_due(services, &scope).await;
                // A store that is unavailable is tried again at the next interval, like one without an error.
                duty::end(services.db(), &checking, worker, INTERVAL / 2).await?;
                checked?;
            }
            verification::start_due(services, &scope).await
        };
        match tokio::time::timeout(LIMIT, checks).await {
            Ok(Ok(())) => {}
            Ok(Err(Error::Unavailable(reason))) => return Err(Error::Unavailable(reason)),
            Ok(Err(error)) => {
                tracing::warn!(%error, store = %scope.store, "a store cannot be checked; trying again");
            }
            Err(_) => {
                tracing::warn!(store = %scope.store, "the check of a store took too long; trying again");
            }
        }
    }
    Ok(())
}

/// Compares the objects of a store with the rows, and records the result of the check.
async fn list(services: &Services, scope: &Scope) -> Result<()> {
    let listed = unused::compare(services, scope).await;
    match &listed {
        // Another platform of this state database can have the directory.
        Err(error) if scope.pool.is_some() && error.code() == FailureCode::StoreContainerMissing.as_str() => {
            return Ok(());
        }
        Ok(()) => record(services, scope.store, None).await?,
        Err(Error::Unavailable(_)) => {}
        Err(error) => record(services, scope.store, Some(&error.failure())).await?,
    }
    listed
}

async fn record(services: &Services, store: StoreId, failure: Option<&Failure>) -> Result<()> {
    sqlx::query!(
        "update toygres.store set checked_at = clock_timestamp(), check_error = $2, check_error_code = $3,
             check_error_subject = $4 where id = $1",
        store.0,
        failure.map(|failure| failure.detail.as_str()),
        failure.map(|failure| failure.code.as_str()),
        failure.and_then(|failure| failure.subject.as_deref())
    )
    .execute(services.db())
    .await?;
    Ok(())
}
