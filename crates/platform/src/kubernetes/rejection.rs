//! Why the API server rejects an object, by its message. Controllers repeat the message in their events.

use model::FailureCode;

/// Phrases of the messages; the first that occurs decides.
// foreign text: Kubernetes API server and its admission plugins
const PHRASES: [(&str, FailureCode); 9] = [
    ("exceeded quota: ", FailureCode::QuotaExceeded),
    ("failed quota: ", FailureCode::QuotaUnspecified),
    ("error looking up service account ", FailureCode::ServiceAccountMissing),
    ("\" cannot ", FailureCode::ClusterForbidden),
    ("failed calling webhook ", FailureCode::PlatformUnavailable),
    ("violates PodSecurity ", FailureCode::AdmissionDenied),
    (" denied the request", FailureCode::AdmissionDenied),
    (" is forbidden: ", FailureCode::AdmissionDenied),
    (" is invalid: ", FailureCode::AdmissionDenied),
];

/// The code of a message; none if it does not report a rejection.
pub(super) fn code(message: &str) -> Option<FailureCode> {
    PHRASES.iter().find(|(phrase, _)| message.contains(phrase)).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_classified() {
        let known = [
            (
                "pods \"t-1-x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5",
                FailureCode::QuotaExceeded,
            ),
            (
                "pods \"t-1-x\" is forbidden: failed quota: q: must specify limits.memory for: agent",
                FailureCode::QuotaUnspecified,
            ),
            (
                "pods \"t-1-\" is forbidden: error looking up service account n/s: serviceaccount \"s\" not found",
                FailureCode::ServiceAccountMissing,
            ),
            (
                "jobs.batch is forbidden: User \"system:serviceaccount:toygres:toygres\" cannot create resource \"jobs\" in API group \"batch\" in the namespace \"managed\"",
                FailureCode::ClusterForbidden,
            ),
            (
                "Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: Post \"https://w\": context deadline exceeded",
                FailureCode::PlatformUnavailable,
            ),
            (
                "pods \"t-1-x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (container \"backup\" must not set securityContext.privileged=true)",
                FailureCode::AdmissionDenied,
            ),
            ("admission webhook \"w.example.com\" denied the request: no", FailureCode::AdmissionDenied),
            (
                "Job.batch \"t-1\" is invalid: spec.template.spec.containers[0].image: Required value",
                FailureCode::AdmissionDenied,
            ),
            (
                "pods \"t-1-x\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi",
                FailureCode::AdmissionDenied,
            ),
        ];
        for (message, expected) in known {
            assert_eq!(code(message), Some(expected), "{message}");
            assert_eq!(code(&format!("Error creating: {message}")), Some(expected), "{message}");
        }
        assert_eq!(code("Error creating: etcdserver: request timed out"), None);
    }
}
