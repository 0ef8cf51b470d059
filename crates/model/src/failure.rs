//! Failures as values: a code that programs decide on, a subject, and the raw text for people.
//!
//! A [`Failure`] is created once, at the edge that knows the cause: the object store client, the agent, the platform, the
//! workflow engine. From there it is carried unchanged through the job's result, the database, the REST API and the page.
//! Text is classified only where foreign text enters (pg_restore, the kubelet, an object store's response).
//!
//! ```
//! use model::{Failure, FailureCode};
//!
//! let failure = Failure::new(FailureCode::ConnectionRefused, "connection refused").on("db.example.com:5432");
//! assert!(!failure.code.is_permanent());
//! assert_eq!(failure.to_string(), "db.example.com:5432: connection refused");
//! ```

mod explanation;

use serde::{Deserialize, Serialize};

pub use explanation::Explanation;

use crate::text_enum::text_enum;

text_enum! {
    /// What went wrong, as far as a decision or an explanation depends on it.
    ///
    /// The codes are part of the REST API and of the database: a code is never renamed or reused.
    FailureCode {
        // The object store.
        /// The store refused the connection, or the network has no route to it.
        StoreUnreachable = "store_unreachable",
        /// The host name of the store's endpoint does not resolve.
        StoreNameNotResolved = "store_name_not_resolved",
        /// The store's certificate was issued by an authority that the client does not trust.
        StoreCertificateUntrusted = "store_certificate_untrusted",
        /// The store's certificate is for another host name, or has expired.
        StoreCertificateInvalid = "store_certificate_invalid",
        /// The store answered that it is overloaded or failing, or did not answer in time.
        StoreUnavailable = "store_unavailable",
        /// The credentials are valid but do not permit the request.
        StoreAccessDenied = "store_access_denied",
        /// The store does not accept the key, signature or token.
        StoreKeyRejected = "store_key_rejected",
        /// The credentials have expired.
        StoreCredentialsExpired = "store_credentials_expired",
        /// The request carried no credentials.
        StoreCredentialsMissing = "store_credentials_missing",
        /// The storage account does not allow account keys or shared access signatures.
        StoreKeysDisabled = "store_keys_disabled",
        /// A shared access signature does not cover the protocol, address, service or resource type.
        StoreSasTooNarrow = "store_sas_too_narrow",
        /// The keys for reading can delete objects.
        StoreReadingKeysTooWide = "store_reading_keys_too_wide",
        /// The identity provider does not accept the workload's token.
        StoreIdentityRejected = "store_identity_rejected",
        /// The tenant, client or role of the identity does not exist.
        StoreIdentityUnknown = "store_identity_unknown",
        /// The store's firewall or the account's state refuses the request.
        StoreAccountRefused = "store_account_refused",
        /// The container, bucket or directory does not exist, or the directory contains none of its images.
        StoreContainerMissing = "store_container_missing",
        /// The container or bucket exists and cannot be used: being deleted, disabled, or immutable.
        StoreContainerUnusable = "store_container_unusable",
        /// The bucket is in another region or at another endpoint.
        StoreRegionWrong = "store_region_wrong",
        /// The clock of the client differs too much from the store's.
        StoreClockSkewed = "store_clock_skewed",
        /// The store's address or options are invalid.
        StoreSettingsInvalid = "store_settings_invalid",
        /// An answer did not come from the expected provider: a proxy, or another server at the endpoint.
        StoreForeignAnswer = "store_foreign_answer",
        /// The store has no free space, or only its reserve.
        StoreFull = "store_full",
        /// The store is mounted read-only.
        StoreReadOnly = "store_read_only",
        /// The operating system denies access to the store's directory.
        StorePermissionDenied = "store_permission_denied",

        // The image.
        /// An object of the image does not match its checksum, or its content is inconsistent.
        ObjectDamaged = "object_damaged",
        /// The compressed data of one table, or another object, are larger than the store accepts.
        ObjectTooLarge = "object_too_large",
        /// An object of the image does not exist.
        ObjectMissing = "object_missing",
        /// An object that must be created already exists.
        ObjectExists = "object_exists",
        /// Another process writes, or wrote, the same attempt of the image.
        AttemptInUse = "attempt_in_use",
        /// The image has no manifest: the backup never completed, or the image was deleted.
        ManifestMissing = "manifest_missing",
        /// The manifest of the image is not the one that the backup wrote.
        ManifestReplaced = "manifest_replaced",
        /// The image's format version or content is not supported by this version of Toygres.
        ImageUnsupported = "image_unsupported",

        // The connection to a PostgreSQL server.
        /// The host name does not resolve.
        HostNotResolved = "host_not_resolved",
        /// The host has only addresses that Toygres does not connect to.
        AddressNotAllowed = "address_not_allowed",
        /// Nothing listens at the address.
        ConnectionRefused = "connection_refused",
        /// The address does not answer, or has no route.
        ConnectionTimedOut = "connection_timed_out",
        /// The server closed the connection.
        ConnectionLost = "connection_lost",
        /// The operating system denies access to the server's socket.
        SocketDenied = "socket_denied",
        /// The server is starting, stopping or recovering.
        ServerNotReady = "server_not_ready",
        /// What answered is not a PostgreSQL server.
        NotPostgres = "not_postgres",
        /// The server does not support TLS.
        TlsUnsupported = "tls_unsupported",
        /// The server's certificate was issued by an authority that the client does not trust.
        CertificateUntrusted = "certificate_untrusted",
        /// The server's certificate is for another host name, or has expired.
        CertificateInvalid = "certificate_invalid",
        /// The server requires a password and none was given.
        PasswordMissing = "password_missing",
        /// The server rejected the password.
        PasswordRejected = "password_rejected",
        /// No line of pg_hba.conf admits the connection.
        ConnectionNotAdmitted = "connection_not_admitted",
        /// The role does not exist, or is not permitted to log in.
        LoginDenied = "login_denied",
        /// The database does not exist.
        DatabaseMissing = "database_missing",
        /// The server has no free connection.
        TooManyConnections = "too_many_connections",

        // What PostgreSQL and its programs report.
        /// The role lacks a privilege.
        PermissionDenied = "permission_denied",
        /// Row-level security hides rows from the role.
        RowSecurity = "row_security",
        /// A lock was not granted in time.
        LockTimeout = "lock_timeout",
        /// The server's lock table is full (max_locks_per_transaction).
        LockTableFull = "lock_table_full",
        /// A statement was cancelled or exceeded statement_timeout.
        StatementTimeout = "statement_timeout",
        /// A disk of the server is full.
        DiskFull = "disk_full",
        /// The server ran out of memory.
        ServerOutOfMemory = "server_out_of_memory",
        /// Values are invalid for their type or encoding (SQLSTATE class 22).
        DataInvalid = "data_invalid",
        /// Rows violate a constraint (SQLSTATE class 23).
        ConstraintViolated = "constraint_violated",
        /// A statement is invalid or names an object that does not exist (SQLSTATE class 42).
        StatementInvalid = "statement_invalid",
        /// The server does not support the feature.
        FeatureUnsupported = "feature_unsupported",
        /// The server's major version cannot be backed up or restored.
        VersionUnsupported = "version_unsupported",
        /// The PostgreSQL programs are older than the server.
        ProgramsOutdated = "programs_outdated",
        /// The PostgreSQL programs have known vulnerabilities, and fixed ones are required.
        ProgramsVulnerable = "programs_vulnerable",
        /// The programs or container image of a PostgreSQL version are not installed.
        ProgramsMissing = "programs_missing",
        /// An extension is not available on the target.
        ExtensionMissing = "extension_missing",
        /// A shared library cannot be loaded.
        LibraryMissing = "library_missing",
        /// A locale or collation is not available on the target.
        LocaleMissing = "locale_missing",
        /// An image names a tablespace, which the target cannot have.
        TablespaceMissing = "tablespace_missing",
        /// A role of the image cannot be created on the target.
        RoleConflict = "role_conflict",
        /// pg_dump, pg_dumpall or COPY failed for another reason.
        DumpFailed = "dump_failed",
        /// pg_restore, psql or COPY failed for another reason.
        RestoreFailed = "restore_failed",
        /// A server does not start.
        ServerStartFailed = "server_start_failed",
        /// The server was stopped outside of Toygres.
        ServerStopped = "server_stopped",
        /// The server's files or objects do not exist.
        ServerMissing = "server_missing",
        /// A deletion did not complete.
        DeletionIncomplete = "deletion_incomplete",
        /// The restored content differs from the image.
        RestoreDiffers = "restore_differs",
        /// The background worker of the instance's type did not appear.
        WorkerNotSeen = "worker_not_seen",

        // The job and its platform.
        /// A container image cannot be pulled.
        ContainerImagePull = "container_image_pull",
        /// A container cannot be started.
        ContainerNotStarted = "container_not_started",
        /// The agent's program cannot be installed or started in the job.
        AgentNotStarted = "agent_not_started",
        /// The namespace's quota is used up.
        QuotaExceeded = "quota_exceeded",
        /// The namespace's quota requires values that the pod does not set.
        QuotaUnspecified = "quota_unspecified",
        /// A rule of the cluster rejects the object: Pod Security, an admission webhook, validation.
        AdmissionDenied = "admission_denied",
        /// The service account of Toygres lacks a permission in the cluster.
        ClusterForbidden = "cluster_forbidden",
        /// The cluster's API server does not answer.
        ClusterUnreachable = "cluster_unreachable",
        /// The service account of the job does not exist.
        ServiceAccountMissing = "service_account_missing",
        /// A Secret does not exist, or Toygres may not read it.
        SecretUnreadable = "secret_unreadable",
        /// A PersistentVolumeClaim does not exist.
        ClaimMissing = "claim_missing",
        /// A volume is not bound or not provisioned yet.
        VolumePending = "volume_pending",
        /// A volume cannot be attached or mounted.
        VolumeNotAttached = "volume_not_attached",
        /// A volume was deleted.
        VolumeLost = "volume_lost",
        /// A volume is marked for deletion and exists only while the server runs.
        VolumeTerminating = "volume_terminating",
        /// No node can run the pod.
        Unschedulable = "unschedulable",
        /// The container exceeded its memory limit.
        OutOfMemory = "out_of_memory",
        /// The pod was evicted, preempted, or its node was drained.
        Evicted = "evicted",
        /// The node does not answer, or no longer exists.
        NodeLost = "node_lost",
        /// The pod or job was deleted while it worked.
        JobDeleted = "job_deleted",
        /// The job was suspended.
        JobSuspended = "job_suspended",
        /// The job's process was killed by a signal, or disappeared.
        JobKilled = "job_killed",
        /// The job ended without a result.
        JobWithoutResult = "job_without_result",
        /// The job exceeded its time limit.
        JobDeadline = "job_deadline",
        /// The server's container ends again and again after its start.
        CrashLoop = "crash_loop",
        /// An object of that name exists and does not belong to Toygres.
        NotOwned = "not_owned",
        /// A template or a setting of the platform is invalid.
        PlatformSettingsInvalid = "platform_settings_invalid",
        /// The platform cannot do this for the instance: no such volume, size or name.
        PlatformUnsupported = "platform_unsupported",
        /// The platform did not complete an operation; it may succeed later.
        PlatformUnavailable = "platform_unavailable",

        // The workflow engine and the product.
        /// A user cancelled the operation.
        Cancelled = "cancelled",
        /// One call of a step exceeded its time limit.
        StepTimeout = "step_timeout",
        /// A step exceeded its deadline over all attempts.
        StepDeadline = "step_deadline",
        /// Several workers in a row ended while they executed the step.
        WorkersLost = "workers_lost",
        /// The run was taken over by another worker.
        RunTakenOver = "run_taken_over",
        /// The run was started by a newer version with other steps.
        WorkflowUnknown = "workflow_unknown",
        /// The state database does not answer.
        StateDatabaseUnavailable = "state_database_unavailable",
        /// A request was refused: what it needs was deleted, is in use or is in another state.
        Refused = "refused",
        /// The agent's task or environment is invalid.
        TaskInvalid = "task_invalid",
        /// A defect in Toygres.
        Internal = "internal",
        /// A failure that has no code of its own, or one recorded by an older version.
        Other = "other",
    }
}

/// What went wrong.
///
/// It serializes as `{code, message, subject, detail}`; `message` is [`Failure::message`] and is ignored when read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// What kind of failure it is. Decisions depend on this alone. A code of a newer version reads as `other`.
    #[serde(deserialize_with = "code_or_other")]
    pub code: FailureCode,
    /// What it is about: a host, an object key, a pod, a table. An empty text counts as none.
    #[serde(default, deserialize_with = "subject_or_none")]
    pub subject: Option<String>,
    /// The raw text of the component that reported it, secrets removed. Never matched by a program.
    #[serde(default)]
    pub detail: String,
}

impl Failure {
    /// Creates a failure without a subject.
    #[must_use]
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, subject: None, detail: detail.into() }
    }

    /// Sets what the failure is about; nothing if `subject` is empty.
    #[must_use]
    pub fn on(self, subject: impl Into<String>) -> Self {
        Self { subject: not_empty(Some(subject.into())), ..self }
    }

    /// Restores a failure from the columns of a database row; an unknown or missing code reads as [`FailureCode::Other`].
    #[must_use]
    pub fn from_columns(code: Option<&str>, subject: Option<String>, detail: String) -> Self {
        let code = code.and_then(|code| code.parse().ok()).unwrap_or(FailureCode::Other);
        Self { code, subject: not_empty(subject), detail }
    }

    /// The subject, if it is not empty.
    fn shown_subject(&self) -> Option<&str> {
        self.subject.as_deref().filter(|subject| !subject.is_empty())
    }

    /// What happened, for a list: the subject and the cause, without the raw text. The raw text if the cause is not known.
    #[must_use]
    pub fn message(&self) -> String {
        if !self.code.has_known_cause() {
            return self.to_string();
        }
        let cause = self.code.explanation().cause;
        self.shown_subject().map_or_else(|| cause.to_owned(), |subject| format!("{subject}: {cause}"))
    }
}

/// The subject and the raw text, in one line.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shown_subject() {
            Some(subject) if !self.detail.contains(subject) => {
                write!(f, "{subject}: {}", self.detail)
            }
            _ => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for Failure {}

/// The JSON form of a failure.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Failure))]
struct FailureJson<'a> {
    /// What kind of failure it is; programs decide on this alone.
    code: FailureCode,
    /// What happened, as one sentence.
    message: String,
    /// What it is about: a host, an object key, a pod, a table.
    subject: Option<&'a str>,
    /// The raw text of the component that reported it.
    detail: &'a str,
}

impl Serialize for Failure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FailureJson {
            code: self.code,
            message: self.message(),
            subject: self.shown_subject(),
            detail: &self.detail,
        }
        .serialize(serializer)
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::openapi::{RefOr, Schema};
    use utoipa::{PartialSchema, ToSchema};

    use super::{Failure, FailureJson};

    impl PartialSchema for Failure {
        fn schema() -> RefOr<Schema> {
            FailureJson::schema()
        }
    }

    impl ToSchema for Failure {
        fn name() -> std::borrow::Cow<'static, str> {
            FailureJson::name()
        }

        fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            FailureJson::schemas(schemas);
        }
    }
}

fn not_empty(subject: Option<String>) -> Option<String> {
    subject.filter(|subject| !subject.is_empty())
}

fn subject_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer).map(not_empty)
}

fn code_or_other<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<FailureCode, D::Error> {
    let code = String::deserialize(deserializer)?;
    Ok(code.parse().unwrap_or(FailureCode::Other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_code_reads_as_other() {
        let failure: Failure =
            serde_json::from_str(r#"{"code":"from_the_future","detail":"x"}"#).expect("JSON");
        assert_eq!(failure, Failure::new(FailureCode::Other, "x"));
        assert_eq!(Failure::from_columns(None, None, "x".to_owned()), failure);
    }

    #[test]
    fn failure_survives_json() {
        let failure =
            Failure::new(FailureCode::ExtensionMissing, "extension \"vector\" is not available").on("vector");
        let json = serde_json::to_value(&failure).expect("JSON");
        assert_eq!(json["code"], "extension_missing");
        assert!(json["message"].is_string());
        assert_eq!(serde_json::from_value::<Failure>(json).expect("failure"), failure);
    }

    #[test]
    fn empty_subject_is_no_subject() {
        let new = || Failure::new(FailureCode::DataInvalid, "x");
        assert_eq!(new().on("").subject, None);
        assert_eq!(new().on("a").on("").subject, None);
        let json = r#"{"code":"data_invalid","subject":"","detail":"x"}"#;
        assert_eq!(serde_json::from_str::<Failure>(json).expect("JSON"), new());
        assert_eq!(Failure::from_columns(Some("data_invalid"), Some(String::new()), "x".to_owned()), new());
        let literal = Failure { subject: Some(String::new()), ..new() };
        assert_eq!(literal.message(), new().message());
        assert_eq!(literal.to_string(), "x");
        assert_eq!(serde_json::to_value(&literal).expect("JSON")["subject"], serde_json::Value::Null);
    }

    #[test]
    fn data_and_configuration_errors_are_permanent_and_outages_are_not() {
        for code in [FailureCode::DataInvalid, FailureCode::ConstraintViolated, FailureCode::StatementInvalid]
        {
            assert!(code.is_permanent(), "{code}");
        }
        for code in
            [FailureCode::StoreUnavailable, FailureCode::ConnectionRefused, FailureCode::QuotaExceeded]
        {
            assert!(!code.is_permanent(), "{code}");
        }
    }
}
