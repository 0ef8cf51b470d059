//! Looks after instances: whether each answers, and now and then how large it is and what is in it. It repairs nothing.

use std::time::Duration;

use model::agent::{Connection, Outcome};
use model::{Instance, InstanceStatus, Origin};
use platform::{Secret, ServerState};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::secret_refs::SecretRef;
use crate::secrets::Kind;
use crate::services::Services;

/// How often the platform is asked about its servers.
const LOOK: Duration = Duration::from_secs(10);
/// How often a server is connected to, in looks.
const PROBE_EVERY: u64 = 18;

/// What is said of a server that somebody else turned off, or took away.
const STOPPED: &str =
    "The server was stopped from outside: its process was ended, or its StatefulSet scaled to 0.";
const GONE: &str = "The server is gone: its files, or the objects that it is made of.";

/// Looks until `stop` ends; one worker of a platform at a time.
pub(crate) async fn run(services: Services, worker: String, stop: CancellationToken) {
    let mut round = 0;
    loop {
        if on_duty(&services, &worker).await {
            if let Err(error) = look(&services, round).await {
                tracing::warn!(%error, "instances could not be looked after; trying again");
            }
            round += 1;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Takes or keeps the duty for this platform.
async fn on_duty(services: &Services, worker: &str) -> bool {
    let taken = sqlx::query_scalar!(
        "insert into toygres.duty as d (name, worker, lease_until) values ($1, $2, clock_timestamp() + interval '45 seconds')
         on conflict (name) do update set worker = $2, lease_until = excluded.lease_until
             where d.worker = $2 or d.lease_until < clock_timestamp() returning worker",
        format!("health/{}", services.platform_id()),
        worker
    );
    matches!(taken.fetch_optional(services.db()).await, Ok(Some(_)))
}

async fn look(services: &Services, round: u64) -> crate::Result<()> {
    for instance in crate::instances::list(services).await? {
        if instance.platform != services.platform_id() || instance.status != InstanceStatus::Running {
            continue;
        }
        let probe = round.is_multiple_of(PROBE_EVERY) || instance.size_bytes.is_none();
        let state = match instance.origin {
            Origin::Managed => services.platform().observe_server(instance.id).await?,
            Origin::External => ServerState::Running,
        };
        match state {
            ServerState::Running if probe => probe_one(services, &instance, None).await?,
            ServerState::Running if instance.origin == Origin::Managed => {
                seen(services, &instance, "ok", None).await?;
            }
            ServerState::Running => {}
            ServerState::Endangered(words) if probe => probe_one(services, &instance, Some(&words)).await?,
            ServerState::Endangered(words) => seen(services, &instance, "ok", Some(&words)).await?,
            ServerState::Starting(words) | ServerState::Waiting(words) | ServerState::Failed(words) => {
                seen(services, &instance, "down", Some(&words)).await?;
            }
            ServerState::Stopped => {
                seen(services, &instance, "down", Some(STOPPED)).await?;
            }
            ServerState::Absent => {
                seen(services, &instance, "down", Some(GONE)).await?;
            }
        }
    }
    sqlx::query!("select toygres.keep_logs(90)").fetch_one(services.db()).await?;
    Ok(())
}

async fn seen(
    services: &Services,
    instance: &Instance,
    health: &str,
    detail: Option<&str>,
) -> crate::Result<()> {
    sqlx::query!(
        "update toygres.instance set health = $2, health_detail = $3, health_at = clock_timestamp()
         where id = $1 and status = 'running'",
        instance.id.0,
        health,
        detail
    )
    .execute(services.db())
    .await?;
    Ok(())
}

/// Connects to a server; `danger` is what its data are in.
async fn probe_one(services: &Services, instance: &Instance, danger: Option<&str>) -> crate::Result<()> {
    let password = match password(services, instance).await {
        Ok(password) => password,
        Err(Error::Unavailable(words)) => return seen(services, instance, "unknown", Some(&words)).await,
        Err(error @ (Error::Invalid { .. } | Error::Conflict(_) | Error::NotFound(_))) => {
            return seen(services, instance, "unknown", Some(&error.to_string())).await;
        }
        Err(error) => return Err(error),
    };
    match crate::jobs::probe(services, connection(instance), password).await {
        Ok(Outcome::Probe { version, major, bytes, databases, workers, .. }) => {
            sqlx::query!(
                "update toygres.instance set health = 'ok', health_detail = $7, health_at = clock_timestamp(), version = $2,
                     major = $3, size_bytes = $4, databases = $5, workers = $6 where id = $1 and status = 'running'",
                instance.id.0,
                version,
                major,
                bytes,
                &databases,
                &workers,
                danger
            )
            .execute(services.db())
            .await?;
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(Error::Conflict(words)) => seen(services, instance, "down", Some(&words)).await,
        Err(error) => Err(error),
    }
}

/// How to reach an instance.
pub(crate) fn connection(instance: &Instance) -> Connection {
    Connection {
        host: instance.host.clone().unwrap_or_default(),
        port: instance.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(5432),
        username: instance.username.clone(),
        database: instance.database.clone(),
        tls: instance.tls,
    }
}

/// The password of an instance, which every instance that is used has: kept here, or read where it is kept.
///
/// # Errors
/// There is none, or the Secret that holds it cannot be read.
pub(crate) async fn password(services: &Services, instance: &Instance) -> crate::Result<Secret> {
    if let Some(reference) = &instance.secret_ref {
        return reference.parse::<SecretRef>()?.read(&**services.platform()).await;
    }
    let password = services.keys().read(services.db(), Kind::InstancePassword, instance.id.0).await?;
    password.ok_or_else(|| Error::NotFound(format!("No password is kept for {}.", instance.name)))
}
