//! The output of azcopy, and the classification of the errors in it.
//!
//! Foreign text: azcopy, which quotes Azure and Go.

use model::FailureCode;
use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;

use crate::error::Error;
use crate::store::error_codes;

/// The maximum output that is kept, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// Reads the output to its end and returns the last part of it, which has the errors.
pub(super) async fn read_last(output: Option<ChildStdout>) -> String {
    let mut text = Vec::new();
    if let Some(mut output) = output {
        while (&mut output).take(4096).read_to_end(&mut text).await.is_ok_and(|n| n > 0) {
            text.drain(..text.len().saturating_sub(MAX_OUTPUT));
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Classifies the errors in the output of an azcopy that failed. `url` is where it uploads to.
pub(super) fn classify(url: &str, output: &str, status: &str) -> Error {
    let messages = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors: Vec<String> = messages
        .filter(|message| {
            message["MessageType"] == "Error"
                || message["MessageContent"]
                    .as_str()
                    .is_some_and(|text| text.contains("\"JobStatus\":\"Failed\""))
        })
        .filter_map(|message| message["MessageContent"].as_str().map(str::to_owned))
        .collect();
    let text = errors.join(" ");
    let first_line = text.lines().next().unwrap_or_default();
    Error::new(code_of(&text), url, format!("azcopy ended with {status}: {first_line}"))
}

fn code_of(text: &str) -> FailureCode {
    const NETWORK: [(&str, FailureCode); 4] = [
        ("no such host", FailureCode::StoreNameNotResolved),
        ("certificate signed by unknown authority", FailureCode::StoreCertificateUntrusted),
        ("x509: certificate", FailureCode::StoreCertificateInvalid),
        ("connection refused", FailureCode::StoreUnreachable),
    ];
    let network = || NETWORK.iter().find(|(part, _)| text.contains(part)).map(|(_, code)| *code);
    error_codes::find_in(text).or_else(network).unwrap_or(FailureCode::StoreUnavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of_message(content: &str) -> FailureCode {
        let line = serde_json::json!({"MessageType": "Error", "MessageContent": content}).to_string();
        let error = classify("https://acme.blob.core.windows.net/images", &line, "exit status: 1");
        assert!(error.to_string().contains(content), "{error}");
        error.code()
    }

    #[test]
    fn errors_that_azcopy_reports_have_codes() {
        for (content, code) in [
            (
                "failed to perform copy command due to error: cannot start job due to error: cannot transfer individual files/folders to the root of a service. RESPONSE 403: 403 This request is not authorized to perform this operation using this permission. ERROR CODE: AuthorizationPermissionMismatch",
                FailureCode::StoreAccessDenied,
            ),
            (
                "Failed to perform Auto-login: WorkloadIdentityCredential authentication failed. \"error_description\": \"AADSTS700213: No matching federated identity record found for presented assertion subject 'x'.\"",
                FailureCode::StoreIdentityRejected,
            ),
            (
                "Put \"https://nowhere.invalid/images/x\": dial tcp: lookup nowhere.invalid on 10.96.0.10:53: no such host",
                FailureCode::StoreNameNotResolved,
            ),
            (
                "Put \"https://10.0.0.1/images/x\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
                FailureCode::StoreCertificateUntrusted,
            ),
            (
                "Put \"https://10.0.0.1/images/x\": tls: failed to verify certificate: x509: certificate is valid for 127.0.0.1, not 10.0.0.1",
                FailureCode::StoreCertificateInvalid,
            ),
            (
                "Put \"https://10.0.0.1/images/x\": dial tcp 10.0.0.1:443: connect: connection refused",
                FailureCode::StoreUnreachable,
            ),
            ("context deadline exceeded", FailureCode::StoreUnavailable),
        ] {
            assert_eq!(code_of_message(content), code, "{content}");
        }
    }
}
