//! Real messages of providers and of the HTTP client, and the code of each.

use std::io;

use model::{ExitClass, FailureCode as Code};
use object_store::Error as ClientError;
use object_store::client::{HttpError, HttpErrorKind};
use rustls::CertificateError;

use super::*;

fn azure() -> Backend {
    Backend::Remote(Remote {
        container: "container images of the storage account acme".to_owned(),
        host: "acme.blob.core.windows.net".to_owned(),
        token_host: "login.microsoftonline.com".to_owned(),
        token_file: None,
    })
}

fn s3() -> Backend {
    Backend::Remote(Remote {
        container: "bucket images".to_owned(),
        host: "s3.eu-central-1.amazonaws.com".to_owned(),
        token_host: "sts.eu-central-1.amazonaws.com".to_owned(),
        token_file: Some("/var/run/secrets/token".to_owned()),
    })
}

fn classify(backend: &Backend, text: &str) -> model::Failure {
    let error = ClientError::Generic { store: "test", source: text.to_owned().into() };
    backend.classify("images/a/1/x", &error).failure()
}

/// An error of the HTTP client, with the causes that reqwest and hyper give it.
fn http_error(kind: HttpErrorKind, cause: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    // tokio-rustls and hyper-rustls each wrap the error in one of the operating system.
    let cause = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, cause));
    ClientError::Generic { store: "S3", source: Box::new(HttpError::new(kind, cause)) }
}

fn azure_response(status: &str, code: &str, rest: &str) -> String {
    format!(
        "Error performing PUT https://acme.blob.core.windows.net/images/images/a/1/x in 11ms - Server returned non-2xx status code: {status}: \u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>{rest}</Error>"
    )
}

#[test]
fn codes_of_azure_storage_become_codes_of_failures() {
    for (status, code, expected) in [
        ("403 Forbidden", "AuthorizationPermissionMismatch", Code::StoreAccessDenied),
        ("403 Forbidden", "AuthorizationFailure", Code::StoreAccountRefused),
        ("403 Forbidden", "KeyBasedAuthenticationNotPermitted", Code::StoreKeysDisabled),
        ("403 Forbidden", "AuthorizationSourceIPMismatch", Code::StoreSasTooNarrow),
        ("404 Not Found", "ContainerNotFound", Code::StoreContainerMissing),
        ("409 Conflict", "ContainerBeingDeleted", Code::StoreContainerUnusable),
        ("409 Conflict", "BlobImmutableDueToPolicy", Code::StoreContainerUnusable),
        ("401 Unauthorized", "NoAuthenticationInformation", Code::StoreCredentialsMissing),
        ("503 Service Unavailable", "ServerBusy", Code::StoreUnavailable),
        ("403 Forbidden", "SomethingNew", Code::StoreAccessDenied),
        ("400 Bad Request", "InvalidHeaderValue", Code::StoreSettingsInvalid),
    ] {
        let failure = classify(&azure(), &azure_response(status, code, "<Message>No.</Message>"));
        assert_eq!(failure.code, expected, "{code}");
        assert_eq!(failure.subject.as_deref(), Some("container images of the storage account acme"));
        assert_eq!(failure.detail, format!("PUT images/a/1/x: {} {code}: No", &status[..3]));
    }
}

#[test]
fn failed_authentication_has_the_code_of_its_cause() {
    let message = "<Message>Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.\nRequestId:1\nTime:2026-01-27T10:00:00Z</Message>";
    for (detail, expected) in [
        (
            "Signature not valid in the specified time frame: Start [Tue, 20 Jan 2026 00:00:00 GMT] - Expiry [Mon, 26 Jan 2026 00:00:00 GMT] - Current [Tue, 27 Jan 2026 10:00:00 GMT]",
            Code::StoreCredentialsExpired,
        ),
        ("Lifetime validation failed. The token is expired.", Code::StoreCredentialsExpired),
        ("Request date header too old: 'Tue, 27 Jan 2026 09:00:00 GMT'", Code::StoreClockSkewed),
        (
            "The MAC signature found in the HTTP request 'x' is not the same as any computed signature.",
            Code::StoreKeyRejected,
        ),
    ] {
        let rest = format!("{message}<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>");
        let failure = classify(&azure(), &azure_response("403 Forbidden", "AuthenticationFailed", &rest));
        assert_eq!(failure.code, expected, "{}", failure.detail);
        assert!(failure.detail.contains(detail.trim_end_matches('.')), "{}", failure.detail);
    }
}

#[test]
fn codes_of_entra_become_codes_of_failures() {
    for (sentence, expected) in [
        (
            "AADSTS700213: No matching federated identity record found for presented assertion subject 'x'.",
            Code::StoreIdentityRejected,
        ),
        (
            "AADSTS700211: No matching federated identity record found for presented assertion issuer 'https://issuer.test'.",
            Code::StoreIdentityRejected,
        ),
        ("AADSTS700024: Client assertion is not within its valid time range.", Code::StoreCredentialsExpired),
        (
            "AADSTS700016: Application with identifier 'x' was not found in the directory 'Acme'.",
            Code::StoreIdentityUnknown,
        ),
        ("AADSTS90002: Tenant 'x' not found.", Code::StoreIdentityUnknown),
        ("AADSTS7000215: Invalid client secret provided.", Code::StoreIdentityRejected),
    ] {
        let text = format!(
            r#"Error performing token request: Error performing POST https://login.microsoftonline.com/t/oauth2/v2.0/token in 90ms - Server returned non-2xx status code: 401 Unauthorized: {{"error":"invalid_client","error_description":"{sentence} Trace ID: 1\r\nCorrelation ID: 2"}}"#
        );
        let failure = classify(&azure(), &text);
        assert_eq!(failure.code, expected, "{sentence}");
        assert_eq!(ExitClass::from(failure.code), ExitClass::Authentication);
    }
}

fn s3_response(status: &str, code: &str) -> String {
    format!(
        "Error performing PUT https://s3.eu-central-1.amazonaws.com/images/images/a/1/x in 20ms - Server returned non-2xx status code: {status}: <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>No.</Message><RequestId>1</RequestId></Error>"
    )
}

#[test]
fn codes_of_s3_become_codes_of_failures() {
    for (status, code, expected) in [
        ("403 Forbidden", "AccessDenied", Code::StoreAccessDenied),
        ("403 Forbidden", "SignatureDoesNotMatch", Code::StoreKeyRejected),
        ("403 Forbidden", "InvalidAccessKeyId", Code::StoreKeyRejected),
        ("400 Bad Request", "ExpiredToken", Code::StoreCredentialsExpired),
        ("403 Forbidden", "RequestTimeTooSkewed", Code::StoreClockSkewed),
        ("404 Not Found", "NoSuchBucket", Code::StoreContainerMissing),
        ("400 Bad Request", "AuthorizationHeaderMalformed", Code::StoreRegionWrong),
        ("301 Moved Permanently", "PermanentRedirect", Code::StoreRegionWrong),
        ("503 Service Unavailable", "SlowDown", Code::StoreUnavailable),
        ("429 Too Many Requests", "TooManyRequests", Code::StoreUnavailable),
        ("507 Insufficient Storage", "XMinioStorageFull", Code::StoreFull),
    ] {
        let failure = classify(&s3(), &s3_response(status, code));
        assert_eq!(failure.code, expected, "{code}");
        assert_eq!(failure.subject.as_deref(), Some("bucket images"));
    }
    let redirect = "Error performing PUT https://s3.amazonaws.com/images/x in 20ms - Received redirect without LOCATION, this normally indicates an incorrectly configured region";
    assert_eq!(classify(&s3(), redirect).code, Code::StoreRegionWrong);
}

#[test]
fn role_that_may_not_be_assumed_is_a_rejected_identity() {
    let response = |status: &str, code: &str| {
        format!(
            "Error performing POST REDACTED in 40ms - Server returned non-2xx status code: {status}: <ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"
        )
    };
    for (status, code, expected) in [
        ("403 Forbidden", "AccessDenied", Code::StoreIdentityRejected),
        ("400 Bad Request", "InvalidIdentityToken", Code::StoreIdentityRejected),
        ("400 Bad Request", "ExpiredTokenException", Code::StoreCredentialsExpired),
        ("400 Bad Request", "ValidationError", Code::StoreIdentityUnknown),
    ] {
        assert_eq!(classify(&s3(), &response(status, code)).code, expected, "{code}");
    }
}

#[test]
fn token_claims_are_part_of_the_detail_of_a_rejected_identity() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    let body = data_encoding::BASE64URL_NOPAD.encode(
        br#"{"iss":"https://issuer.test","sub":"system:serviceaccount:a:b","aud":["sts.amazonaws.com"]}"#,
    );
    std::fs::write(&file, format!("head.{body}.canary")).expect("written");
    let Backend::Remote(remote) = s3() else { unreachable!("remote") };
    let backend = Backend::Remote(Remote { token_file: Some(file.display().to_string()), ..remote });
    let text = "Error performing POST REDACTED in 40ms - Server returned non-2xx status code: 400 Bad Request: <Error><Code>InvalidIdentityToken</Code><Message>No.</Message></Error>";
    let failure = classify(&backend, text);
    for fact in ["https://issuer.test", "system:serviceaccount:a:b", "sts.amazonaws.com"] {
        assert!(failure.detail.contains(fact), "{fact}: {}", failure.detail);
    }
    assert!(!failure.detail.contains("canary"), "{}", failure.detail);
}

#[test]
fn missing_credentials_are_recognized() {
    for text in [
        "Error performing token request: Error performing GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2019-08-01 in 5s, after 9 retries, max_retries: 1000, retry_timeout: 5s  - HTTP error: error sending request",
        "Error performing PUT http://169.254.169.254/latest/api/token in 5s, after 9 retries, max_retries: 1000, retry_timeout: 5s  - HTTP error: error sending request",
        "Error reading federated token file ",
        "Failed to read token file '/var/run/secrets/token': No such file or directory (os error 2)",
    ] {
        let failure = classify(&s3(), text);
        assert_eq!(failure.code, Code::StoreCredentialsMissing, "{text}");
        assert_eq!(failure.subject.as_deref(), Some("bucket images"));
    }
}

#[test]
fn untrusted_certificate_is_not_taken_for_an_invalid_one() {
    for (certificate, expected) in [
        (CertificateError::UnknownIssuer, Code::StoreCertificateUntrusted),
        (CertificateError::BadSignature, Code::StoreCertificateUntrusted),
        (CertificateError::NotValidForName, Code::StoreCertificateInvalid),
        (CertificateError::Expired, Code::StoreCertificateInvalid),
        (CertificateError::NotValidYet, Code::StoreCertificateInvalid),
    ] {
        let error = http_error(HttpErrorKind::Connect, rustls::Error::InvalidCertificate(certificate));
        let failure = s3().classify("images/a/1/x", &error).failure();
        assert_eq!(failure.code, expected, "{}", failure.detail);
        assert_eq!(failure.subject.as_deref(), Some("s3.eu-central-1.amazonaws.com"));
        assert!(failure.code.is_permanent());
    }
}

#[test]
fn failed_connections_have_codes() {
    for (kind, expected) in [
        (io::ErrorKind::ConnectionRefused, Code::StoreUnreachable),
        (io::ErrorKind::NetworkUnreachable, Code::StoreUnreachable),
        (io::ErrorKind::HostUnreachable, Code::StoreUnreachable),
    ] {
        let error = http_error(HttpErrorKind::Connect, io::Error::from(kind));
        assert_eq!(s3().classify("x", &error).code(), expected, "{kind}");
    }
    // foreign text: hyper-util
    let dns = "dns error\nfailed to lookup address information: Name or service not known";
    let error = http_error(HttpErrorKind::Connect, io::Error::other(dns));
    assert_eq!(s3().classify("x", &error).code(), Code::StoreNameNotResolved);
    let error = http_error(HttpErrorKind::Connect, io::Error::other("tunnel failed"));
    assert_eq!(s3().classify("x", &error).code(), Code::StoreUnreachable);
    for kind in [HttpErrorKind::Timeout, HttpErrorKind::Interrupted, HttpErrorKind::Request] {
        let error = http_error(kind, io::Error::other("operation timed out"));
        assert_eq!(s3().classify("x", &error).code(), Code::StoreUnavailable, "{kind:?}");
    }
}

#[test]
fn answers_of_other_servers_are_foreign() {
    for text in [
        "Server returned non-2xx status code: 404 Not Found: <html><title>404 Not Found</title></html>",
        "Server returned non-2xx status code: 403 Forbidden: <html><title>Access blocked</title></html>",
        "Server returned non-2xx status code: 407 Proxy Authentication Required: ",
        "Got invalid list response: unexpected end of stream",
        "HTTP error: error sending request\nclient error (SendRequest)\ninvalid HTTP version parsed",
    ] {
        assert_eq!(classify(&s3(), text).code, Code::StoreForeignAnswer, "{text}");
    }
    let busy =
        "Server returned non-2xx status code: 502 Bad Gateway: <html><title>502 Bad Gateway</title></html>";
    assert_eq!(classify(&s3(), busy).code, Code::StoreUnavailable);
}

#[test]
fn object_that_does_not_exist_is_missing_unless_another_server_says_so() {
    let not_found = |body: &str| ClientError::NotFound {
        path: "images/a/1/x".to_owned(),
        source: format!("Server returned non-2xx status code: 404 Not Found: {body}").into(),
    };
    let key = "images/a/1/x";
    for body in ["", "<Error><Code>NoSuchKey</Code><Message>No.</Message></Error>"] {
        let failure = s3().classify(key, &not_found(body)).failure();
        assert_eq!((failure.code, failure.subject.as_deref()), (Code::ObjectMissing, Some(key)), "{body}");
    }
    assert_eq!(s3().classify(key, &not_found("<html/>")).code(), Code::StoreForeignAnswer);
}
