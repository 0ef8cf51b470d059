//! Health checks of instances: whether each responds, and at intervals its size and content. It repairs nothing.

use std::time::Duration;

use futures::StreamExt;
use model::agent::Outcome;
use model::{Failure, FailureCode, Health, Instance, InstanceStatus, Origin};
use platform::ServerState;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::instances::{self, access};
use crate::services::Services;

/// How often the platform is asked for the state of its servers.
const CHECK: Duration = Duration::from_secs(10);
/// How many instances are checked at the same time.
const MAX_CONCURRENT: usize = 8;
/// How long one check may take: longer than a probe.
const LIMIT: Duration = Duration::from_secs(90);
/// How often a server is connected to, in rounds.
const PROBE_EVERY: u64 = 18;

/// What a round does with an instance.
#[derive(Clone, Copy)]
enum Kind {
    /// Asks the platform for its state.
    Observation,
    /// Connects to it in a job, which takes seconds.
    Probe,
}

/// Checks instances until `stop` is cancelled; one worker of a platform at a time. Observations do not wait for probes.
pub(crate) async fn run(services: Services, worker: String, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = rounds(&services, &worker, Kind::Observation) => {}
        () = rounds(&services, &worker, Kind::Probe) => {}
    }
    if let Err(error) = workflow::limited(hand_over(&services, &worker)).await {
        tracing::warn!(%error, "the health checks are continued when their lease expires");
    }
}

/// Ends the duty, so that another worker has it at once.
async fn hand_over(services: &Services, worker: &str) -> sqlx::Result<()> {
    let name = duty(services);
    let ended = sqlx::query!("delete from toygres.duty where name = $1 and worker = $2", name, worker);
    ended.execute(services.db()).await.map(drop)
}

/// Ends the duty of a worker that is known to have ended.
pub(crate) async fn take_over(services: &Services, db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from toygres.duty where name = $1", duty(services)).execute(db).await.map(drop)
}

fn duty(services: &Services) -> String {
    format!("health/{}", services.platform_id())
}

async fn rounds(services: &Services, worker: &str, kind: Kind) {
    let mut round = 0;
    loop {
        if on_duty(services, worker).await {
            tokio::select! {
                () = check_all(services, kind, round) => {}
                () = off_duty(services, worker) => {}
            }
            round += 1;
        }
        tokio::time::sleep(CHECK).await;
    }
}

/// Renews the duty during a round until another worker has it, or the state database does not respond.
async fn off_duty(services: &Services, worker: &str) {
    loop {
        tokio::time::sleep(CHECK).await;
        if !on_duty(services, worker).await {
            return;
        }
    }
}

/// Takes or renews the health-check duty of this platform.
async fn on_duty(services: &Services, worker: &str) -> bool {
    let taken = sqlx::query_scalar!(
        "insert into toygres.duty as d (name, worker, lease_until) values ($1, $2, clock_timestamp() + interval '30 seconds')
         on conflict (name) do update set worker = $2, lease_until = excluded.lease_until
             where d.worker = $2 or d.lease_until < clock_timestamp() returning worker",
        duty(services),
        worker
    );
    matches!(workflow::limited(taken.fetch_optional(services.db())).await, Ok(Some(_)))
}

/// Checks all running instances of this platform, several at a time. One that cannot be checked does not keep the others
/// from being checked.
async fn check_all(services: &Services, kind: Kind, round: u64) {
    let all = match workflow::limited(instances::list(services)).await {
        Ok(all) => all.into_iter(),
        Err(error) => return tracing::warn!(%error, "health checks failed; trying again"),
    };
    let running = all.filter(|instance| {
        let is_due = match kind {
            Kind::Observation => true,
            Kind::Probe => round.is_multiple_of(PROBE_EVERY) || instance.size_bytes.is_none(),
        };
        is_due && instance.platform == services.platform_id() && instance.status == InstanceStatus::Running
    });
    let checks = futures::stream::iter(running).for_each_concurrent(MAX_CONCURRENT, |instance| async move {
        match tokio::time::timeout(LIMIT, check(services, &instance, kind)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, instance = %instance.name, "a health check failed; trying again");
            }
            Err(_) => tracing::warn!(instance = %instance.name, "a health check took too long; trying again"),
        }
    });
    checks.await;
}

async fn check(services: &Services, instance: &Instance, kind: Kind) -> crate::Result<()> {
    let probe = matches!(kind, Kind::Probe);
    let state = match instance.origin {
        Origin::Managed => match services.platform().observe_server(instance.id).await {
            Ok(state) => state,
            Err(error) => return record_unknown(services, instance, error.into()).await,
        },
        Origin::External => ServerState::Running,
    };
    let down = async |failure: Failure| record(services, instance, Health::Down, Some(&failure)).await;
    match state {
        ServerState::Running if probe => probe_instance(services, instance, None).await,
        ServerState::Running if instance.origin == Origin::Managed => {
            record(services, instance, Health::Ok, None).await
        }
        ServerState::Running => Ok(()),
        ServerState::Endangered(danger) if probe => probe_instance(services, instance, Some(&danger)).await,
        ServerState::Endangered(danger) => record(services, instance, Health::Ok, Some(&danger)).await,
        ServerState::Starting(progress) => down(Failure::new(FailureCode::ServerNotReady, progress)).await,
        // It ran: its process ended outside of Toygres, as by a signal.
        ServerState::Failed(failure) if failure.code == FailureCode::ServerStartFailed => {
            down(Failure { code: FailureCode::ServerStopped, ..failure }).await
        }
        ServerState::Waiting(failure) | ServerState::Failed(failure) => down(failure).await,
        ServerState::Stopped => down(Failure::new(FailureCode::ServerStopped, "the server is stopped")).await,
        ServerState::Absent => {
            down(Failure::new(FailureCode::ServerMissing, "the server does not exist")).await
        }
    }
}

/// Records that an instance cannot be checked, unless the platform or the state database is unavailable, which says nothing
/// about the instance.
async fn record_unknown(services: &Services, instance: &Instance, error: Error) -> crate::Result<()> {
    match &error {
        Error::Unavailable(_) => Err(error),
        Error::Failed(failure) if is_about_the_platform(failure.code) => Err(error),
        _ => record(services, instance, Health::Unknown, Some(&error.failure())).await,
    }
}

async fn record(
    services: &Services,
    instance: &Instance,
    health: Health,
    failure: Option<&Failure>,
) -> crate::Result<()> {
    sqlx::query!(
        "update toygres.instance set health = $2, health_detail = $3, health_code = $4, health_subject = $5,
             health_at = clock_timestamp()
         where id = $1 and status = 'running'",
        instance.id.0,
        health.as_str(),
        failure.map(|failure| failure.detail.as_str()),
        failure.map(|failure| failure.code.as_str()),
        failure.and_then(|failure| failure.subject.as_deref())
    )
    .execute(services.db())
    .await?;
    Ok(())
}

/// Connects to a server and records its facts; `danger` is what threatens its data.
async fn probe_instance(
    services: &Services,
    instance: &Instance,
    danger: Option<&Failure>,
) -> crate::Result<()> {
    let password = match access::password(services, instance).await {
        Ok(password) => password,
        Err(error) => return record_unknown(services, instance, error).await,
    };
    match crate::jobs::probe(services, access::connection(instance), instance.origin, password).await {
        Ok(Outcome::Probe { version, major, bytes, databases, workers, .. }) => {
            sqlx::query!(
                "update toygres.instance set health = 'ok', health_detail = $7, health_code = $8, health_subject = $9,
                     health_at = clock_timestamp(), version = $2, major = $3, size_bytes = $4, databases = $5, workers = $6
                 where id = $1 and status = 'running'",
                instance.id.0,
                version,
                major,
                bytes,
                &databases,
                &workers,
                danger.map(|danger| danger.detail.as_str()),
                danger.map(|danger| danger.code.as_str()),
                danger.and_then(|danger| danger.subject.as_deref())
            )
            .execute(services.db())
            .await?;
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(Error::Failed(failure)) if is_about_the_platform(failure.code) => Err(failure.into()),
        Err(Error::Failed(failure)) => {
            let health = if is_about_the_server(failure.code) { Health::Down } else { Health::Unknown };
            record(services, instance, health, Some(&failure)).await
        }
        Err(error) => Err(error),
    }
}

/// Whether a probe failed before it could try to connect, for a reason that says nothing about the instance.
fn is_about_the_platform(code: FailureCode) -> bool {
    matches!(code, FailureCode::ClusterUnreachable | FailureCode::PlatformUnavailable)
}

/// Whether a probe's failure means that clients cannot use the server. Any other failure is the probe's own.
fn is_about_the_server(code: FailureCode) -> bool {
    use FailureCode as Code;
    matches!(
        code,
        Code::HostNotResolved
            | Code::ConnectionRefused
            | Code::ConnectionTimedOut
            | Code::ConnectionLost
            | Code::SocketDenied
            | Code::ServerNotReady
            | Code::NotPostgres
            | Code::TlsUnsupported
            | Code::CertificateUntrusted
            | Code::CertificateInvalid
            | Code::PasswordMissing
            | Code::PasswordRejected
            | Code::ConnectionNotAdmitted
            | Code::DatabaseMissing
            | Code::TooManyConnections
            | Code::PermissionDenied
            | Code::StatementTimeout
            | Code::DiskFull
            | Code::ServerOutOfMemory
    )
}
