//! Calls to the API server: their time limit, and the failures that their errors mean.

use std::time::Duration;

use kube::core::Status;
use model::{Failure, FailureCode};

use super::rejection;
use crate::{Error, Result};

/// The time limit of one call. Callers retry, for longer.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Awaits the answer to a call about `subject`. The answer may be an error, for the caller to inspect.
///
/// # Errors
/// [`FailureCode::ClusterUnreachable`] if there is no answer in time.
pub(super) async fn answer<T>(
    subject: &str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<kube::Result<T>> {
    tokio::time::timeout(CALL_LIMIT, call).await.map_err(|_| {
        let detail = format!("the API server did not answer within {} s", CALL_LIMIT.as_secs());
        Failure::new(FailureCode::ClusterUnreachable, detail).on(subject).into()
    })
}

/// Awaits the answer to a call about `subject`.
pub(super) async fn ask<T>(subject: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    answer(subject, call).await?.map_err(|error| failed(subject, error))
}

/// The failure of a call about `subject`.
pub(super) fn failed(subject: &str, error: kube::Error) -> Error {
    let code = code(&error);
    let detail = match error {
        kube::Error::Api(status) if status.message.is_empty() => status.to_string(),
        kube::Error::Api(status) => status.message,
        error => format!("{:#}", anyhow::Error::new(error)),
    };
    Failure::new(code, detail).on(subject).into()
}

/// Whether the object does not exist, or another one has its name: a change or deletion of the original is not needed.
pub(super) fn is_missing_or_replaced(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

fn code(error: &kube::Error) -> FailureCode {
    match error {
        kube::Error::Api(status) => code_of_status(status),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
            FailureCode::ClusterUnreachable
        }
        _ => FailureCode::PlatformUnavailable,
    }
}

fn code_of_status(status: &Status) -> FailureCode {
    match status.code {
        400 | 403 | 422 => rejection::code(&status.message).unwrap_or(FailureCode::AdmissionDenied),
        429 | 503 | 504 => FailureCode::ClusterUnreachable,
        _ => FailureCode::PlatformUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u16, reason: &str, message: &str) -> Failure {
        let status = Status::failure(message, reason).with_code(code);
        failed("Pods", kube::Error::Api(status.boxed())).into()
    }

    #[test]
    fn status_codes_and_messages_decide() {
        let quota = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1";
        let rbac = "pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\" in API group \"\" in the namespace \"c\"";
        let invalid = "StatefulSet.apps \"x\" is invalid: spec: Forbidden: updates to statefulset spec";
        for (code, reason, message, expected) in [
            (403, "Forbidden", quota, FailureCode::QuotaExceeded),
            (403, "Forbidden", rbac, FailureCode::ClusterForbidden),
            (422, "Invalid", invalid, FailureCode::AdmissionDenied),
            (400, "BadRequest", "the object is malformed", FailureCode::AdmissionDenied),
            (401, "Unauthorized", "Unauthorized", FailureCode::PlatformUnavailable),
            (409, "Conflict", "the object has been modified", FailureCode::PlatformUnavailable),
            (429, "TooManyRequests", "too many requests", FailureCode::ClusterUnreachable),
            (503, "ServiceUnavailable", "apiserver not ready", FailureCode::ClusterUnreachable),
        ] {
            assert_eq!(failure(code, reason, message), Failure::new(expected, message).on("Pods"));
        }
        assert_eq!(failure(500, "InternalError", "").detail, ": InternalError", "never empty");
    }

    #[tokio::test]
    async fn broken_connection_is_an_unreachable_cluster() {
        let broken = async { Err::<(), _>(kube::Error::Service("connection refused".into())) };
        let error = ask("Pods", broken).await.expect_err("an error");
        assert_eq!(error.code(), FailureCode::ClusterUnreachable);
    }
}
