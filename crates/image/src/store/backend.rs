//! The service behind a store, and the classification of its errors.
//!
//! Foreign text: object_store, hyper, and the responses of providers.

use std::io::ErrorKind;
use std::path::PathBuf;

use model::FailureCode;
use object_store::client::{HttpError, HttpErrorKind};

use super::error_response::{self, ErrorResponse};
use super::{causes, directory, error_codes, token};
use crate::error::Error;

/// The service behind a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// A directory.
    Directory(PathBuf),
    /// Azure Blob Storage or S3.
    Remote(Remote),
}

/// A container of Azure Blob Storage or a bucket of S3: what errors say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The container or bucket, such as `bucket images`.
    pub(crate) container: String,
    /// Host and port of the service.
    pub(crate) host: String,
    /// Host and port of the service that exchanges a workload's token.
    pub(crate) token_host: String,
    /// The file with the workload's token, if the store is opened by identity.
    pub(crate) token_file: Option<String>,
}

impl Backend {
    /// The directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&PathBuf> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Remote(_) => None,
        }
    }

    /// Classifies an error of the client about `key`.
    pub(crate) fn classify(&self, key: &str, error: &object_store::Error) -> Error {
        match self {
            Self::Directory(_) => directory::classify(key, error),
            Self::Remote(remote) => remote.classify(key, error),
        }
    }
}

impl Remote {
    /// Classifies an error of the client about `key`.
    pub(crate) fn classify(&self, key: &str, error: &object_store::Error) -> Error {
        if let Some(classified) = causes::of(error).find_map(|cause| cause.downcast_ref::<Error>()) {
            return classified.clone();
        }
        let response = ErrorResponse::of(error);
        let code = code_of_response(error, &response).unwrap_or_else(|| code_of_connection(error));
        let subject = match code {
            FailureCode::ObjectMissing | FailureCode::ObjectExists => key,
            FailureCode::StoreCredentialsMissing => &self.container,
            _ if response.is_answer() => &self.container,
            _ if response.is_token_request => &self.token_host,
            _ => &self.host,
        };
        Error::new(code, subject, self.detail(key, code, &response))
    }

    /// The request, the response, and the facts about the token if it was refused.
    fn detail(&self, key: &str, code: FailureCode, response: &ErrorResponse) -> String {
        let request = match &response.method {
            Some(method) if response.is_answer() && !response.is_token_request => format!("{method} {key}: "),
            _ => String::new(),
        };
        let token_file = self.token_file.as_deref();
        let token = match code {
            FailureCode::StoreCredentialsMissing => token_file.map(|file| format!("token file: {file}")),
            _ if response.is_token_request => token_file.and_then(token::claims),
            _ => None,
        };
        let token = token.map(|token| format!(" ({token})")).unwrap_or_default();
        format!("{request}{response}{token}")
    }
}

/// The code of an error response: by the provider's own code, else by the HTTP status. None without a response.
fn code_of_response(error: &object_store::Error, response: &ErrorResponse) -> Option<FailureCode> {
    if let Some(code) = response.code.as_deref().and_then(error_codes::find) {
        return Some(refine(code, response));
    }
    // Without any credentials object_store asks the machine's metadata service for an identity.
    if error_response::chain(error).contains("//169.254.169.254/") {
        return Some(FailureCode::StoreCredentialsMissing);
    }
    match error {
        object_store::Error::NotFound { .. } if !response.is_foreign => Some(FailureCode::ObjectMissing),
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            Some(FailureCode::ObjectExists)
        }
        _ => response.status.map(|status| code_of_status(status, response)),
    }
}

/// A more specific code, for errors that a provider reports by one code.
fn refine(code: FailureCode, response: &ErrorResponse) -> FailureCode {
    let says = |text: &str| response.message.contains(text);
    match code {
        FailureCode::StoreKeyRejected if says("Signature not valid in the specified time frame") => {
            FailureCode::StoreCredentialsExpired
        }
        FailureCode::StoreKeyRejected if says("The token is expired") => FailureCode::StoreCredentialsExpired,
        FailureCode::StoreKeyRejected if says("Request date header too old") => FailureCode::StoreClockSkewed,
        FailureCode::StoreAccessDenied if response.is_token_request => FailureCode::StoreIdentityRejected,
        other => other,
    }
}

fn code_of_status(status: u16, response: &ErrorResponse) -> FailureCode {
    match status {
        408 | 409 | 429 => FailureCode::StoreUnavailable,
        507 => FailureCode::StoreFull,
        500.. => FailureCode::StoreUnavailable,
        407 => FailureCode::StoreForeignAnswer,
        300.. if response.is_foreign => FailureCode::StoreForeignAnswer,
        400 | 401 | 403 if response.is_token_request => FailureCode::StoreIdentityRejected,
        401 => FailureCode::StoreKeyRejected,
        403 => FailureCode::StoreAccessDenied,
        400.. => FailureCode::StoreSettingsInvalid,
        300.. => FailureCode::StoreRegionWrong,
        _ => FailureCode::StoreUnavailable,
    }
}

/// The code of a request without a usable response: where the connection failed.
fn code_of_connection(error: &object_store::Error) -> FailureCode {
    let text = error_response::chain(error);
    let says = |part: &str| text.contains(part);
    if let Some(code) = causes::of(error).find_map(code_of_cause) {
        code
    } else if says("dns error") {
        FailureCode::StoreNameNotResolved
    } else if says("redirect without LOCATION") {
        FailureCode::StoreRegionWrong
    } else if says("Error reading federated token file") || says("Failed to read token file") {
        FailureCode::StoreCredentialsMissing
    } else if says("Got invalid ") || says("invalid HTTP version") {
        FailureCode::StoreForeignAnswer
    } else if causes::of(error).any(is_connect) {
        FailureCode::StoreUnreachable
    } else {
        FailureCode::StoreUnavailable
    }
}

/// The code of an error of TLS or of the operating system.
fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<FailureCode> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return code_of_tls(error);
    }
    match cause.downcast_ref::<std::io::Error>()?.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Some(FailureCode::StoreUnreachable)
        }
        _ => None,
    }
}

fn code_of_tls(error: &rustls::Error) -> Option<FailureCode> {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName
            | Certificate::NotValidForNameContext { .. }
            | Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => Some(FailureCode::StoreCertificateInvalid),
        rustls::Error::InvalidCertificate(_) => Some(FailureCode::StoreCertificateUntrusted),
        // The server does not speak TLS.
        rustls::Error::InvalidMessage(_) => Some(FailureCode::StoreForeignAnswer),
        _ => None,
    }
}

fn is_connect(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
        || cause.downcast_ref::<HttpError>().is_some_and(|error| error.kind() == HttpErrorKind::Connect)
}

#[cfg(test)]
mod tests;
