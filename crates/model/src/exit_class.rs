//! The exit codes of the agent.

use crate::failure::FailureCode;
use crate::text_enum::text_enum;

text_enum! {
    /// The class of an agent's exit. It decides whether a step is retried.
    ExitClass {
        /// The job succeeded.
        Ok = "ok",
        /// The task or a setting is wrong: another attempt fails, too.
        Configuration = "configuration",
        /// A server or store rejected the credentials.
        Authentication = "authentication",
        /// A server or store cannot be reached.
        Unreachable = "unreachable",
        /// The content read back differs from the content written.
        Verification = "verification",
        /// Another attempt may succeed.
        Transient = "transient",
        /// The job was cancelled.
        Cancelled = "cancelled",
    }
}

impl ExitClass {
    /// The exit code of the process.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Ok => 0,
            Self::Configuration => 10,
            Self::Authentication => 11,
            Self::Unreachable => 12,
            Self::Verification => 13,
            Self::Transient => 20,
            Self::Cancelled => 143,
        }
    }

    /// The class of an exit code. A code that the agent does not use is transient.
    #[must_use]
    pub fn of(code: i32) -> Self {
        Self::ALL.iter().copied().find(|class| class.code() == code).unwrap_or(Self::Transient)
    }
}

impl From<FailureCode> for ExitClass {
    /// The class of a failure.
    fn from(code: FailureCode) -> Self {
        use FailureCode as Code;
        match code {
            Code::Cancelled => Self::Cancelled,
            Code::ObjectDamaged
            | Code::ObjectMissing
            | Code::ManifestMissing
            | Code::ManifestReplaced
            | Code::RestoreDiffers => Self::Verification,
            Code::PasswordMissing
            | Code::PasswordRejected
            | Code::ConnectionNotAdmitted
            | Code::LoginDenied
            | Code::StoreAccessDenied
            | Code::StoreKeyRejected
            | Code::StoreCredentialsExpired
            | Code::StoreCredentialsMissing
            | Code::StoreKeysDisabled
            | Code::StoreSasTooNarrow
            | Code::StoreReadingKeysTooWide
            | Code::StoreIdentityRejected
            | Code::StoreIdentityUnknown
            | Code::StoreAccountRefused
            | Code::StorePermissionDenied => Self::Authentication,
            Code::HostNotResolved
            | Code::ConnectionRefused
            | Code::ConnectionTimedOut
            | Code::ConnectionLost
            | Code::ServerNotReady
            | Code::StoreUnreachable
            | Code::StoreNameNotResolved => Self::Unreachable,
            code if code.is_permanent() => Self::Configuration,
            _ => Self::Transient,
        }
    }
}
