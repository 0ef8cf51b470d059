//! Why a connection to a PostgreSQL server failed: by the server's SQLSTATE, or by the type of the error of TLS or of the network.

use std::error::Error;
use std::io::{self, ErrorKind};

use model::{Failure, FailureCode};
use rustls::CertificateError;

use crate::sqlstate;

/// The failure of an attempt to connect. Its detail is foreign text.
pub(crate) fn failure(error: &tokio_postgres::Error, is_socket: bool) -> Failure {
    if let Some(refusal) = error.as_db_error() {
        let code = sqlstate::code_of(refusal).unwrap_or(FailureCode::Other);
        return Failure::new(code, refusal.message());
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return Failure::new(code_of_tls(error), error.to_string());
    }
    if let Some(error) = find::<io::Error>(error) {
        return network_failure(error, is_socket);
    }
    let detail = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    // foreign text: tokio-postgres, which has no types for these.
    let code = match (error.to_string().as_str(), detail.as_str()) {
        (_, "password missing") => FailureCode::PasswordMissing,
        (_, "server does not support TLS") => FailureCode::TlsUnsupported,
        ("authentication error", _) => FailureCode::ConnectionNotAdmitted,
        _ if error.is_closed() => FailureCode::ConnectionLost,
        _ => FailureCode::NotPostgres,
    };
    Failure::new(code, detail)
}

/// The first cause of a type.
fn find<T: Error + 'static>(error: &tokio_postgres::Error) -> Option<&T> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The error that an I/O error wraps is not its source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|error| error.downcast_ref()) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn code_of_tls(error: &rustls::Error) -> FailureCode {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => FailureCode::CertificateInvalid,
        rustls::Error::InvalidCertificate(_) => FailureCode::CertificateUntrusted,
        rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_) => FailureCode::TlsUnsupported,
        _ => FailureCode::NotPostgres,
    }
}

fn network_failure(error: &io::Error, is_socket: bool) -> Failure {
    let code = match error.kind() {
        ErrorKind::ConnectionRefused => FailureCode::ConnectionRefused,
        // A path that is too long for a socket is invalid input.
        ErrorKind::NotFound | ErrorKind::InvalidInput if is_socket => FailureCode::ConnectionRefused,
        ErrorKind::PermissionDenied if is_socket => FailureCode::SocketDenied,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::UnexpectedEof
        | ErrorKind::BrokenPipe => FailureCode::ConnectionLost,
        // The operating system does not report these: the answer cannot be parsed.
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other => FailureCode::NotPostgres,
        // Firewalls answer with a missing route or a missing permission.
        _ => FailureCode::ConnectionTimedOut,
    };
    // Errors of the operating system have a number in their text, which tells nothing more.
    let is_plain = error.raw_os_error().is_some() && code != FailureCode::ConnectionTimedOut;
    Failure::new(code, if is_plain { error.kind().to_string() } else { error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_and_invalid_certificates_have_different_codes() {
        for (error, code) in [
            (CertificateError::UnknownIssuer, FailureCode::CertificateUntrusted),
            (CertificateError::BadSignature, FailureCode::CertificateUntrusted),
            (CertificateError::NotValidForName, FailureCode::CertificateInvalid),
            (CertificateError::Expired, FailureCode::CertificateInvalid),
            (CertificateError::NotValidYet, FailureCode::CertificateInvalid),
        ] {
            assert_eq!(code_of_tls(&error.into()), code);
        }
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion);
        assert_eq!(code_of_tls(&alert), FailureCode::TlsUnsupported);
    }

    #[test]
    fn network_errors_have_codes() {
        for (kind, is_socket, code) in [
            (ErrorKind::ConnectionRefused, false, FailureCode::ConnectionRefused),
            (ErrorKind::NotFound, true, FailureCode::ConnectionRefused),
            (ErrorKind::PermissionDenied, true, FailureCode::SocketDenied),
            (ErrorKind::PermissionDenied, false, FailureCode::ConnectionTimedOut),
            (ErrorKind::TimedOut, false, FailureCode::ConnectionTimedOut),
            (ErrorKind::HostUnreachable, false, FailureCode::ConnectionTimedOut),
            (ErrorKind::ConnectionReset, false, FailureCode::ConnectionLost),
            (ErrorKind::InvalidInput, false, FailureCode::NotPostgres),
        ] {
            assert_eq!(network_failure(&io::Error::from(kind), is_socket).code, code, "{kind}");
        }
    }
}
