//! The failure codes of PostgreSQL's SQLSTATEs.

use model::FailureCode;
use tokio_postgres::error::DbError;

/// The code of an error that the server reported; none if its SQLSTATE tells no more than that the operation failed.
pub(crate) fn code_of(error: &DbError) -> Option<FailureCode> {
    classify(error.code().code(), error.routine(), error.hint())
}

/// `routine` is the function in PostgreSQL's source that reported the error. It tells errors apart that share a SQLSTATE.
fn classify(state: &str, routine: Option<&str>, hint: Option<&str>) -> Option<FailureCode> {
    let code = match (state, routine) {
        ("28000", Some("InitializeSessionUserId")) => FailureCode::LoginDenied,
        ("42501", Some("check_enable_rls")) => FailureCode::RowSecurity,
        ("0A000", Some("parse_extension_control_file")) => FailureCode::ExtensionMissing,
        // foreign text: PostgreSQL. The name of the setting is not translated.
        ("53200", _) if hint.is_some_and(|hint| hint.contains("max_locks_per_transaction")) => {
            FailureCode::LockTableFull
        }
        ("28P01", _) => FailureCode::PasswordRejected,
        ("3D000" | "57P04", _) => FailureCode::DatabaseMissing,
        ("42501", _) => FailureCode::PermissionDenied,
        ("55P03", _) => FailureCode::LockTimeout,
        ("57014", _) => FailureCode::StatementTimeout,
        ("57P03", _) => FailureCode::ServerNotReady,
        ("57P01" | "57P02" | "57P05" | "25P03", _) => FailureCode::ConnectionLost,
        ("53100", _) => FailureCode::DiskFull,
        ("53200", _) => FailureCode::ServerOutOfMemory,
        ("53300", _) => FailureCode::TooManyConnections,
        ("58P01", _) => FailureCode::LibraryMissing,
        ("3F000", _) => FailureCode::StatementInvalid,
        _ => match state.get(..2)? {
            "08" => FailureCode::ConnectionLost,
            "0A" => FailureCode::FeatureUnsupported,
            "22" => FailureCode::DataInvalid,
            "23" => FailureCode::ConstraintViolated,
            "28" => FailureCode::ConnectionNotAdmitted,
            "42" => FailureCode::StatementInvalid,
            _ => return None,
        },
    };
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_errors_are_permanent_and_outages_are_not() {
        for (state, code) in [
            ("22P02", FailureCode::DataInvalid),
            ("23505", FailureCode::ConstraintViolated),
            ("42P01", FailureCode::StatementInvalid),
            ("28000", FailureCode::ConnectionNotAdmitted),
            ("3D000", FailureCode::DatabaseMissing),
        ] {
            assert_eq!(classify(state, None, None), Some(code), "{state}");
            assert!(code.is_permanent(), "{state}");
        }
        for (state, code) in [
            ("57P03", FailureCode::ServerNotReady),
            ("53300", FailureCode::TooManyConnections),
            ("08006", FailureCode::ConnectionLost),
            ("55P03", FailureCode::LockTimeout),
        ] {
            assert_eq!(classify(state, None, None), Some(code), "{state}");
            assert!(!code.is_permanent(), "{state}");
        }
        assert_eq!(classify("XX000", None, None), None);
    }

    #[test]
    fn errors_that_share_a_sqlstate_have_different_codes() {
        let hint = Some("You might need to increase max_locks_per_transaction.");
        for (state, routine, hint, code) in [
            ("53200", Some("LockAcquireExtended"), hint, FailureCode::LockTableFull),
            ("53200", Some("AllocSetAlloc"), None, FailureCode::ServerOutOfMemory),
            ("42501", Some("check_enable_rls"), None, FailureCode::RowSecurity),
            ("42501", Some("aclcheck_error"), None, FailureCode::PermissionDenied),
            ("28000", Some("ClientAuthentication"), None, FailureCode::ConnectionNotAdmitted),
            ("28000", Some("InitializeSessionUserId"), None, FailureCode::LoginDenied),
            ("0A000", Some("parse_extension_control_file"), None, FailureCode::ExtensionMissing),
            ("0A000", None, None, FailureCode::FeatureUnsupported),
        ] {
            assert_eq!(classify(state, routine, hint), Some(code), "{state} {routine:?}");
        }
    }
}
