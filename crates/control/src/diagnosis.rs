//! Known failures: what their words mean, and what to do. It reads errors and changes nothing.

use model::run::Diagnosis;

/// Words of an error, a cause, a fix.
const KNOWN: [(&str, &str, &str); 19] = [
    (
        "password authentication failed",
        "The source refused the password that Toygres keeps for it.",
        "Forget the instance and add it again with its present password, then try again.",
    ),
    (
        "no pg_hba.conf entry",
        "The source's pg_hba.conf does not let this machine in.",
        "Add a line for this machine's address to the source's pg_hba.conf and reload it.",
    ),
    (
        "could not resolve",
        "The host's name is not known to DNS (yet).",
        "A new load balancer's name takes a minute or two. Check the name, then try again.",
    ),
    (
        "does not resolve",
        "The host's name is not known to DNS (yet).",
        "A new load balancer's name takes a minute or two. Check the name, then try again.",
    ),
    (
        "connection refused",
        "Nothing listens at the server's address.",
        "Start the server, or correct its host and port, then try again.",
    ),
    (
        "the store is full",
        "The disk that images are kept on has no room left.",
        "Delete images that nobody needs, or choose a store with more room, then try again.",
    ),
    ("no space left", "A disk has no room left.", "Make room on the disk, then try again."),
    (
        "the store is read-only",
        "The place where images are kept cannot be written.",
        "Mount it for writing, or choose another store, then try again.",
    ),
    (
        "the store refuses",
        "The user that jobs run as may not read or write where images are kept.",
        "Give that user access to the directory, or choose another store, then try again.",
    ),
    (
        "authorizationpermissionmismatch",
        "The identity may not write this container.",
        "Give it the role Storage Blob Data Contributor on the container; that takes up to ten minutes to count.",
    ),
    (
        "is damaged",
        "The store does not hold what was written.",
        "Use another image. Look at the store's disk, and verify the other images in it.",
    ),
    ("manifest.json is missing", "The image was never finished, or was deleted.", "Use another image."),
    (
        "server version mismatch",
        "The programs on this machine are older than the server.",
        "Install PostgreSQL of the server's version on this machine, then try again.",
    ),
    (
        "is not installed",
        "A PostgreSQL version or an extension that this needs is not on this machine.",
        "Install what the error names, then try again.",
    ),
    (
        "install postgresql",
        "This machine lacks PostgreSQL programs of the version that this needs.",
        "Install what the error names, then try again.",
    ),
    (
        "extension",
        "An extension that the source has is not on this machine.",
        "Install the package of the extension that the error names, then try again.",
    ),
    (
        "row-level security",
        "The user may not see all rows of a table.",
        "Back up as a superuser, or as a role that has bypassrls.",
    ),
    (
        "vanished",
        "The job's process was killed, or the machine was started anew.",
        "Look for what killed it (memory, an operator, a reboot), then try again.",
    ),
    (
        "killed by signal",
        "The job's process was killed.",
        "Signal 9 is often the system running out of memory. Look into its log, then try again.",
    ),
];

/// What is known about an error of a run of this workflow.
pub(crate) fn of(workflow: &str, error: &str) -> Option<Diagnosis> {
    let error = error.to_lowercase();
    let (_, cause, fix) = KNOWN.iter().find(|(words, ..)| error.contains(words))?;
    let meaning = match workflow {
        "create-image" => "No image was made; the source was only read, and older images are as they were.",
        "restore-image" => {
            "No instance was made, and nothing of the attempt is left. The image is as it was."
        }
        "create-instance" => "No instance was made, and nothing of the attempt is left.",
        "verify-image" => "The image must not be relied on until a verification succeeds.",
        _ => "What was done was undone.",
    };
    Some(Diagnosis { cause: (*cause).to_owned(), fix: (*fix).to_owned(), meaning: meaning.to_owned() })
}
