//! What a failure code means for a user: cause, fix, and whether another attempt can succeed. One `match`, so that a code
//! without an entry does not compile.

use super::FailureCode;

/// The explanation of a failure for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Why it happened, in one or two sentences.
    pub cause: &'static str,
    /// What to do, in one or two sentences.
    pub fix: &'static str,
}

/// The fix of a missing or wrong password.
const RECONNECT: &str = "Enter the current password. If the instance is already connected, disconnect it and connect it again. If a Secret holds the password, correct the Secret.";

impl FailureCode {
    /// Whether another attempt would end the same way: data errors and configuration errors. Outages, admission and losses
    /// of connections are transient.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        match self {
            Self::StoreCertificateUntrusted
            | Self::StoreCertificateInvalid
            | Self::StoreAccessDenied
            | Self::StoreKeyRejected
            | Self::StoreCredentialsExpired
            | Self::StoreCredentialsMissing
            | Self::StoreKeysDisabled
            | Self::StoreSasTooNarrow
            | Self::StoreReadingKeysTooWide
            | Self::StoreIdentityRejected
            | Self::StoreIdentityUnknown
            | Self::StoreAccountRefused
            | Self::StoreContainerMissing
            | Self::StoreContainerUnusable
            | Self::StoreRegionWrong
            | Self::StoreClockSkewed
            | Self::StoreSettingsInvalid
            | Self::StoreForeignAnswer
            | Self::StoreFull
            | Self::StoreReadOnly
            | Self::StorePermissionDenied
            | Self::ObjectTooLarge
            | Self::ObjectDamaged
            | Self::ObjectMissing
            | Self::ObjectExists
            | Self::ManifestMissing
            | Self::ManifestReplaced
            | Self::ImageUnsupported
            | Self::AddressNotAllowed
            | Self::SocketDenied
            | Self::NotPostgres
            | Self::TlsUnsupported
            | Self::CertificateUntrusted
            | Self::CertificateInvalid
            | Self::PasswordMissing
            | Self::PasswordRejected
            | Self::ConnectionNotAdmitted
            | Self::LoginDenied
            | Self::DatabaseMissing
            | Self::PermissionDenied
            | Self::RowSecurity
            | Self::LockTableFull
            | Self::DiskFull
            | Self::DataInvalid
            | Self::ConstraintViolated
            | Self::StatementInvalid
            | Self::FeatureUnsupported
            | Self::VersionUnsupported
            | Self::ProgramsOutdated
            | Self::ProgramsVulnerable
            | Self::ProgramsMissing
            | Self::ExtensionMissing
            | Self::LibraryMissing
            | Self::LocaleMissing
            | Self::TablespaceMissing
            | Self::RoleConflict
            | Self::ServerStopped
            | Self::ServerMissing
            | Self::DeletionIncomplete
            | Self::RestoreDiffers
            | Self::ContainerImagePull
            | Self::ContainerNotStarted
            | Self::AgentNotStarted
            | Self::QuotaUnspecified
            | Self::AdmissionDenied
            | Self::ClusterForbidden
            | Self::SecretUnreadable
            | Self::ClaimMissing
            | Self::VolumeLost
            | Self::VolumeTerminating
            | Self::JobDeadline
            | Self::CrashLoop
            | Self::NotOwned
            | Self::PlatformSettingsInvalid
            | Self::PlatformUnsupported
            | Self::Cancelled
            | Self::StepDeadline
            | Self::WorkersLost
            | Self::WorkflowUnknown
            | Self::Refused
            | Self::TaskInvalid => true,
            Self::StoreUnreachable
            | Self::StoreNameNotResolved
            | Self::StoreUnavailable
            | Self::AttemptInUse
            | Self::HostNotResolved
            | Self::ConnectionRefused
            | Self::ConnectionTimedOut
            | Self::ConnectionLost
            | Self::ServerNotReady
            | Self::TooManyConnections
            | Self::LockTimeout
            | Self::StatementTimeout
            | Self::ServerOutOfMemory
            | Self::DumpFailed
            | Self::RestoreFailed
            | Self::ServerStartFailed
            | Self::WorkerNotSeen
            | Self::QuotaExceeded
            | Self::ClusterUnreachable
            | Self::ServiceAccountMissing
            | Self::VolumePending
            | Self::VolumeNotAttached
            | Self::Unschedulable
            | Self::OutOfMemory
            | Self::Evicted
            | Self::NodeLost
            | Self::JobDeleted
            | Self::JobSuspended
            | Self::JobKilled
            | Self::JobWithoutResult
            | Self::PlatformUnavailable
            | Self::StepTimeout
            | Self::RunTakenOver
            | Self::StateDatabaseUnavailable
            | Self::Internal
            | Self::Other => false,
        }
    }

    /// Whether the explanation says more than the raw text: not for a cancellation and for failures without a code of their own.
    #[must_use]
    pub fn has_known_cause(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Other)
    }

    /// The cause and the fix.
    #[must_use]
    pub fn explanation(self) -> Explanation {
        let (cause, fix) = match self {
            Self::Cancelled => ("A user cancelled the run.", "Start it again if it is still needed."),
            Self::Other => {
                ("The cause is not known.", "Read the error message and the log of the step, then retry.")
            }
            Self::StoreUnreachable => (
                "The object store refused the connection, or the network has no route to it.",
                "Check the store's address and the network between the job and the store. Test the store in the settings, then retry.",
            ),
            Self::StoreNameNotResolved => (
                "The host name of the object store does not resolve.",
                "Check the spelling of the endpoint and the DNS of the host or cluster where jobs run, then retry.",
            ),
            Self::StoreCertificateUntrusted => (
                "The object store's certificate was issued by an authority that is not trusted where the job runs.",
                "Add the authority's certificate to the trusted root certificates of the server and of the job's container image, then retry.",
            ),
            Self::StoreCertificateInvalid => (
                "The object store's certificate is for another host name, or is not valid at this time.",
                "Use the host name that the certificate contains, or renew the certificate.",
            ),
            Self::StoreUnavailable => (
                "The object store is overloaded or not responding.",
                "Check the status page of the store, then retry.",
            ),
            Self::StoreAccessDenied => (
                "The credentials do not permit this operation in the blob container or bucket.",
                "Azure: assign the role Storage Blob Data Contributor on the blob container (a new role takes up to ten minutes to apply). S3: allow GetObject, PutObject, DeleteObject and AbortMultipartUpload on the objects and ListBucket on the bucket.",
            ),
            Self::StoreKeyRejected => (
                "The object store does not accept the access key, signature or token.",
                "Enter the key again. Check that it belongs to this account and region, and that the clock of this machine is correct.",
            ),
            Self::StoreCredentialsExpired => (
                "The credentials of the object store have expired.",
                "Enter new credentials, or use a workload identity, which renews them automatically.",
            ),
            Self::StoreCredentialsMissing => (
                "The request to the object store carried no credentials.",
                "Choose an authentication method for the store in the settings. For an identity, check that the environment of the server and of jobs names a token file, and that the file exists.",
            ),
            Self::StoreKeysDisabled => (
                "The storage account does not allow account keys or shared access signatures.",
                "Use workload identity for this store, or allow storage account key access on the account.",
            ),
            Self::StoreSasTooNarrow => (
                "The shared access signature does not cover this request.",
                "Create a shared access signature for the blob service that allows the resource types container and object, the protocol of the endpoint, and the IP address of this network.",
            ),
            Self::StoreReadingKeysTooWide => (
                "The keys for reading can delete objects of the store.",
                "Enter keys that can read and list the objects of the store and create objects below its prefix logs, and nothing else. docs/OPERATIONS.md (Identity) has a policy for S3.",
            ),
            Self::StoreIdentityRejected => (
                "The identity provider does not accept the service account's token.",
                "Azure: add a federated credential with this issuer and subject to the managed identity (a new one takes a few minutes to apply). AWS: correct the issuer, subject and audience in the role's trust policy.",
            ),
            Self::StoreIdentityUnknown => (
                "The tenant, client or role of the identity does not exist.",
                "Correct the client ID and the tenant ID, or the role's ARN, in the settings of the store.",
            ),
            Self::StoreAccountRefused => (
                "The firewall of the storage account rejects the request, or the account is disabled.",
                "Allow this network under Networking of the storage account, check the account's state, and assign the role Storage Blob Data Contributor.",
            ),
            Self::StoreContainerMissing => (
                "The blob container, the bucket or the directory of the store does not exist, or the directory contains none of its images.",
                "If the directory is on a volume, mount the volume. Otherwise create the container, bucket or directory, or correct the address or the region of the store in the settings.",
            ),
            Self::StoreContainerUnusable => (
                "The blob container or bucket cannot be written: it is being deleted, disabled, or protected by a policy.",
                "Check its state and its immutability policy, or use another blob container or bucket.",
            ),
            Self::StoreRegionWrong => (
                "The bucket is in another region or at another endpoint.",
                "Correct the region or the endpoint of the store in the settings.",
            ),
            Self::StoreClockSkewed => (
                "The clock of this machine or node differs too much from the clock of the object store.",
                "Set the clock of this machine or node, for example with NTP, then retry.",
            ),
            Self::StoreSettingsInvalid => (
                "The address or an option of the object store is invalid.",
                "Correct the store in the settings.",
            ),
            Self::StoreForeignAnswer => (
                "The answer did not come from the expected object store. A proxy or another server responds at this address.",
                "Check the endpoint, and the proxy settings of the host or cluster where jobs run.",
            ),
            Self::StoreFull => (
                "The object store has no free space, or only what is reserved for the state database and instances.",
                "Delete images that are no longer needed, enlarge the store, or choose another one, then retry.",
            ),
            Self::StoreReadOnly => (
                "The object store is mounted read-only.",
                "Mount it for writing, or choose another store, then retry.",
            ),
            Self::StorePermissionDenied => (
                "The operating system denies access to the store's directory.",
                "Give the account that runs the jobs permission to read and write the directory, then retry.",
            ),
            Self::ObjectDamaged => (
                "An object of the image does not match what was written.",
                "Use another image. Check the store, and verify the other images in it.",
            ),
            Self::ObjectTooLarge => (
                "The compressed data of one table are larger than the store accepts for one object.",
                "Back up to a store without this limit, such as a directory, or divide the table into partitions.",
            ),
            Self::ObjectMissing => (
                "An object of the image does not exist in the store.",
                "Use another image. Check who deleted objects from the store, and verify the other images in it.",
            ),
            Self::ObjectExists => (
                "An object with this name already exists in the store.",
                "Check whether another installation of Toygres writes to the same prefix, then retry.",
            ),
            Self::AttemptInUse => (
                "Another process works on the same image or data directory: the platform started a job twice, or an earlier attempt has not ended.",
                "Nothing to do: the step is retried. If all attempts fail in this way, check whether another installation of Toygres uses the same store or volume.",
            ),
            Self::ManifestMissing => (
                "The image has no manifest. The backup did not complete, or the image was deleted.",
                "Use another image.",
            ),
            Self::ManifestReplaced => (
                "The manifest in the store is not the one that the backup wrote.",
                "Use another image. Check who writes to the store, and verify the other images in it.",
            ),
            Self::ImageUnsupported => (
                "The image contains something that this version of Toygres does not support.",
                "Upgrade Toygres to the version that wrote the image, or use another image.",
            ),
            Self::HostNotResolved => (
                "The host name does not resolve.",
                "Check the spelling and the DNS. The name of a new load balancer takes one to two minutes to appear.",
            ),
            Self::AddressNotAllowed => (
                "Toygres does not connect to this address: it is a loopback, link-local, multicast, reserved or metadata address, a Unix socket, or an address of Toygres or of its machine.",
                "Enter an address at which other machines reach the server. To allow the network of the address, add it to TOYGRES_ALLOWED_NETWORKS, such as 127.0.0.0/8,::1/128 for servers on the machine of Toygres, and restart Toygres.",
            ),
            Self::ConnectionRefused => (
                "No server listens at the address.",
                "Check that PostgreSQL is running and that host and port are correct, then retry.",
            ),
            Self::ConnectionTimedOut => (
                "The server is not responding. A firewall or network policy may block the connection, or the address is wrong.",
                "Check host and port, and which networks may connect to the server, then retry.",
            ),
            Self::ConnectionLost => (
                "The server closed the connection.",
                "Check the server's log for a restart, a crash or an administrator's command, then retry.",
            ),
            Self::SocketDenied => (
                "The operating system denies access to the server's socket.",
                "Run Toygres as an account that may open the socket, or connect by host name and port.",
            ),
            Self::ServerNotReady => (
                "The server is starting, stopping or recovering.",
                "Wait until the server accepts connections, then retry.",
            ),
            Self::NotPostgres => (
                "The server at this address does not speak the PostgreSQL protocol.",
                "Check host and port. A proxy or another service listens there.",
            ),
            Self::TlsUnsupported => (
                "The server does not support TLS.",
                "Enable TLS on the server, or choose the TLS mode prefer or disable.",
            ),
            Self::CertificateUntrusted => (
                "The server's certificate was issued by an authority that is not trusted where the job runs.",
                "Add the authority's certificate to the trusted root certificates there, or choose the TLS mode require, which does not check the certificate.",
            ),
            Self::CertificateInvalid => (
                "The server's certificate is for another host name, or is not valid at this time.",
                "Use the host name that the certificate contains, renew the certificate, or choose the TLS mode require, which does not check it.",
            ),
            Self::PasswordMissing => ("The server requires a password and none is stored.", RECONNECT),
            Self::PasswordRejected => ("The server rejected the password.", RECONNECT),
            Self::ConnectionNotAdmitted => (
                "The server's pg_hba.conf has no entry that allows this connection.",
                "Add an entry for this address, user and database to pg_hba.conf, reload the server, and check the TLS mode.",
            ),
            Self::LoginDenied => (
                "The role does not exist on the server, or is not permitted to log in.",
                "Enter the name of a role that has the attribute LOGIN.",
            ),
            Self::DatabaseMissing => {
                ("The database does not exist on the server.", "Enter the name of an existing database.")
            }
            Self::TooManyConnections => (
                "The server has no free connections.",
                "Close connections that are not needed, or increase max_connections, then retry.",
            ),
            Self::PermissionDenied => (
                "The role lacks a privilege that the operation needs.",
                "Back up and restore as a superuser.",
            ),
            Self::RowSecurity => (
                "Row-level security hides rows from the role.",
                "Back up as a superuser, or as a role with BYPASSRLS.",
            ),
            Self::LockTimeout => (
                "Another session holds a lock that prevents reading a table (ALTER TABLE, TRUNCATE, VACUUM FULL, LOCK).",
                "Find the session in pg_stat_activity and pg_locks. Wait for it or end it, then retry.",
            ),
            Self::LockTableFull => (
                "The server's lock table is full. The databases have more tables than one transaction may lock.",
                "Increase max_locks_per_transaction on the server and restart it, then retry.",
            ),
            Self::StatementTimeout => (
                "A statement was cancelled or exceeded a time limit.",
                "Check statement_timeout and who cancelled the statement, then retry.",
            ),
            Self::DiskFull => (
                "A disk or volume has no free space.",
                "Delete data or enlarge the volume. For a restore, choose a larger volume. Then retry.",
            ),
            Self::ServerOutOfMemory => (
                "The server ran out of memory.",
                "Check the memory of the server and its settings work_mem and maintenance_work_mem, then retry.",
            ),
            Self::DataInvalid => (
                "Values are not valid for their type or encoding.",
                "Correct the values in the source database, then back up again.",
            ),
            Self::ConstraintViolated => (
                "Rows violate a constraint.",
                "Correct the rows or the constraint in the source database, then back up again.",
            ),
            Self::StatementInvalid => (
                "PostgreSQL rejected a statement: it refers to an object that does not exist, or its definition is not valid on this server.",
                "Correct the definition in the source database, then back up again. Compare the versions of both servers.",
            ),
            Self::FeatureUnsupported => (
                "The server does not support a feature that the operation needs.",
                "Compare the versions and build options of both servers.",
            ),
            Self::VersionUnsupported => (
                "This PostgreSQL version is not supported for the operation.",
                "Use an instance with a supported version.",
            ),
            Self::ProgramsOutdated => (
                "The PostgreSQL client programs (pg_dump, pg_restore) of the job are older than the server.",
                "Install the programs of the server's major version, or configure a container image that has them, then retry.",
            ),
            Self::ProgramsVulnerable => (
                "The PostgreSQL programs of the job have known vulnerabilities, and TOYGRES_REQUIRE_FIXED_CLIENTS is set.",
                "Upgrade the programs to the newest minor version, or configure a container image that has it, then retry.",
            ),
            Self::ProgramsMissing => (
                "The PostgreSQL version that the operation needs is not available.",
                "Install this version, or configure a container image that has it, then retry.",
            ),
            Self::ExtensionMissing => (
                "An extension of the source is not available on the target.",
                "Install the package of the extension, or use a container image that has it, then retry.",
            ),
            Self::LibraryMissing => (
                "A shared library that the server loads is not installed.",
                "Install the library, or use a container image that has it, then retry.",
            ),
            Self::LocaleMissing => (
                "A locale or collation of the source is not available on the target.",
                "Install the locale, or use a container image that has it, then retry.",
            ),
            Self::TablespaceMissing => (
                "An older image names a tablespace, which the target does not have.",
                "Back up again: a new image is restored into the default tablespace.",
            ),
            Self::RoleConflict => (
                "A role of the image cannot be created on the target.",
                "Rename the role in the source database, then back up again.",
            ),
            Self::DumpFailed => {
                ("Reading the source failed.", "Read the error message and the log of the step, then retry.")
            }
            Self::RestoreFailed => {
                ("Writing the target failed.", "Read the error message and the log of the step, then retry.")
            }
            Self::ServerStartFailed => (
                "A PostgreSQL server did not start.",
                "Read the server's last log lines in the log of the step, then retry.",
            ),
            Self::ServerStopped => (
                "The server was stopped outside of Toygres: its process ended, or its StatefulSet was scaled to 0.",
                "Start the instance.",
            ),
            Self::ServerMissing => (
                "The data directory or the Kubernetes objects of the server do not exist.",
                "Restore an image into a new instance, then delete this one.",
            ),
            Self::DeletionIncomplete => {
                ("The deletion did not complete.", "Delete the instance or image again.")
            }
            Self::RestoreDiffers => (
                "The restored content differs from the image. The instance was not started.",
                "Compare the receipt with the source. Restore another image, or report the difference with the receipt.",
            ),
            Self::WorkerNotSeen => (
                "The server runs, but the background worker of the instance's type did not start.",
                "Check that shared_preload_libraries names the library, that the container image has it, and that pg_hba.conf trusts 127.0.0.1/32 and ::1/128.",
            ),
            Self::ContainerImagePull => (
                "A container image cannot be pulled: the name is wrong, the registry denies access, or the registry is unreachable.",
                "Correct the name of the container image in the configuration, or add a pull secret for its registry, then retry.",
            ),
            Self::ContainerNotStarted => (
                "A container cannot be started.",
                "Read the reason below, and correct the template or the container image, then retry.",
            ),
            Self::AgentNotStarted => (
                "The container that installs the agent failed, so the job did not start.",
                "Check that the Toygres container image in the configuration has the version of this server and the architecture of the node, then retry.",
            ),
            Self::QuotaExceeded => (
                "The namespace's quota does not allow another pod or volume of this size.",
                "Delete what is not needed, or increase the quota (kubectl describe resourcequota).",
            ),
            Self::QuotaUnspecified => (
                "The namespace's quota requires resource values that the pod does not set.",
                "Add the values to every container of the template, or create a LimitRange with defaults in the namespace, then retry.",
            ),
            Self::AdmissionDenied => (
                "A rule of the cluster rejects the object: Pod Security, an admission webhook or validation.",
                "Compare the template with the named rule. The default templates pass Pod Security restricted.",
            ),
            Self::ClusterForbidden => (
                "The service account of Toygres lacks a permission in the cluster.",
                "Apply the RBAC manifests of this version (deploy/), then retry.",
            ),
            Self::ClusterUnreachable => (
                "The Kubernetes API server is not responding.",
                "Check the API server and the network to it, then retry.",
            ),
            Self::ServiceAccountMissing => (
                "The service account of the job does not exist.",
                "Create it (deploy/base/job-account.yaml), or configure another one. The job starts when the account exists.",
            ),
            Self::SecretUnreadable => (
                "A Secret does not exist, or Toygres may not read it.",
                "Check that the Secret exists in a namespace that Toygres reads, and that it has the label toygres.io/readable=true.",
            ),
            Self::ClaimMissing => (
                "A PersistentVolumeClaim does not exist.",
                "Create the claim in the namespace where jobs run, or correct its name in the store's address.",
            ),
            Self::VolumePending => (
                "The volume is not bound. No storage class provisions it, or provisioning failed.",
                "Check the claim (kubectl describe pvc) and its storage class (kubectl get storageclass).",
            ),
            Self::VolumeNotAttached => (
                "The volume cannot be attached to the node. Often another node still holds it.",
                "Wait a few minutes: the volume is released when the old pod is deleted. If a node failed, delete the pod that ran on it.",
            ),
            Self::VolumeLost => (
                "The volume of the instance was deleted, and its data with it.",
                "Restore an image into a new instance, then delete this one.",
            ),
            Self::VolumeTerminating => (
                "The claim of the instance's volume was deleted. The volume exists only as long as the server runs.",
                "Back up the instance now, restore the image into a new instance, then delete this one.",
            ),
            Self::Unschedulable => (
                "No node has enough resources for the pod, or no node satisfies its constraints.",
                "Add a node, free memory or CPU, or reduce the requests in the template. The pod is then scheduled automatically.",
            ),
            Self::OutOfMemory => (
                "The container exceeded its memory limit and was killed.",
                "Increase the memory limit in the template of the job or server, then retry.",
            ),
            Self::Evicted => (
                "The pod was removed from its node: the node was short of resources, was drained, or made room for a pod of higher priority.",
                "Check the conditions of the node (kubectl describe node), then retry.",
            ),
            Self::NodeLost => (
                "The node is not responding, or no longer exists.",
                "Check the nodes (kubectl get nodes), delete a node that does not recover, then retry.",
            ),
            Self::JobDeleted => (
                "The pod or job was deleted while it ran.",
                "Find out who deleted it (audit log of the cluster, clean-up of old jobs), then retry.",
            ),
            Self::JobSuspended => (
                "The job is suspended.",
                "Resume it (kubectl patch job NAME -p '{\"spec\":{\"suspend\":false}}'), or check the queue that suspended it.",
            ),
            Self::JobKilled => (
                "The job's process was killed, or the machine restarted.",
                "Check the system log, then retry. Signal 9 often means that the system ran out of memory.",
            ),
            Self::JobWithoutResult => {
                ("The job ended without a result.", "Read the last lines of the step's log, then retry.")
            }
            Self::JobDeadline => (
                "The job took longer than the step allows.",
                "Check in the log where the time was spent: a slow store, a lock in the source database, a node without CPU.",
            ),
            Self::CrashLoop => (
                "The server's container restarts repeatedly (CrashLoopBackOff).",
                "Read its last log lines (kubectl logs --previous). A frequent cause is a preloaded library that the container image does not have.",
            ),
            Self::NotOwned => (
                "An object of this name exists and does not belong to Toygres.",
                "Rename or delete that object, or choose another name.",
            ),
            Self::PlatformSettingsInvalid => (
                "A setting or a template of the platform is invalid.",
                "Correct the named setting, then restart Toygres.",
            ),
            Self::PlatformUnsupported => (
                "The platform does not support this operation for the instance.",
                "Change the named value, then retry.",
            ),
            Self::PlatformUnavailable => (
                "The platform did not complete the operation.",
                "Retry. If it fails again, read the raw message and check the platform.",
            ),
            Self::StepTimeout => (
                "One call of the step exceeded its time limit.",
                "Check whether the component that the step calls is responding, then retry.",
            ),
            Self::StepDeadline => (
                "The step exceeded its total time limit for all attempts.",
                "Read in the log what the step waited for, resolve it, then start the operation again.",
            ),
            Self::WorkersLost => (
                "Several workers in a row ended while they executed this step.",
                "Read the log of the worker processes for a crash or lack of memory, then start the operation again.",
            ),
            Self::RunTakenOver => (
                "Another worker took over the run.",
                "No action is needed. The other worker continues the run.",
            ),
            Self::WorkflowUnknown => (
                "The run was started by another version of Toygres, and this version has other steps.",
                "Run the version of Toygres that started it, or roll back the step manually and select Mark run as resolved.",
            ),
            Self::StateDatabaseUnavailable => (
                "The state database is unavailable.",
                "Check the PostgreSQL server of DATABASE_URL. Runs continue automatically when it responds.",
            ),
            Self::Refused => (
                "The operation is not possible in the current state.",
                "Read the reason, remove it, then retry.",
            ),
            Self::TaskInvalid => (
                "The agent's task or environment is invalid.",
                "Check that the agent and the server have the same version.",
            ),
            Self::Internal => (
                "Toygres failed because of a defect.",
                "Retry. If it fails again, report it with the support reference of the run.",
            ),
        };
        Explanation { cause, fix }
    }
}
