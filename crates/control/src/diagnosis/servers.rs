//! What PostgreSQL, its programs and the way to it say.

use super::Known;

pub(super) const KNOWN: [Known; 21] = [
    Known {
        words: &["lock timeout", "in access share mode", "holds a lock on a table"],
        cause: "Another session holds a lock under which a table cannot be read: ALTER TABLE, TRUNCATE, VACUUM FULL, LOCK.",
        fix: "Find it in pg_stat_activity and pg_locks; wait for it, or end it, then try again.",
    },
    Known {
        words: &["password authentication failed", "28p01"],
        cause: "The server refused the password that Toygres has for it.",
        fix: "Forget the instance and add it again with its present password; one that is in a Secret is corrected there.",
    },
    Known {
        words: &["no pg_hba.conf entry"],
        cause: "The server's pg_hba.conf does not let the connection in.",
        fix: "Add a line for the address that is named to its pg_hba.conf and reload it.",
    },
    Known {
        words: &["no background worker of"],
        cause: "The server runs, but the worker that this type of instance is about did not come.",
        fix: "See that shared_preload_libraries names the library and the image has it, and that pg_hba.conf has trust lines for 127.0.0.1/32 and ::1/128: the worker connects over loopback without a password.",
    },
    Known {
        words: &[
            "unknownissuer",
            "unknown ca",
            "unknown issuer",
            "self-signed certificate",
            "self signed certificate",
            "certificate verify failed",
        ],
        cause: "The certificate was issued by an authority that is not known here.",
        fix: "Have the authority's certificate trusted where the job runs, or choose require instead of verify-full for an instance inside a network that you trust.",
    },
    Known {
        words: &[
            "notvalidforname",
            "not valid for name",
            "certificate is not valid for",
            "hostname mismatch",
        ],
        cause: "The certificate is for another host name.",
        fix: "Use the name that the certificate has, or have one made for this name.",
    },
    Known {
        words: &["could not resolve", "does not resolve", "name resolution", "failed to lookup address"],
        cause: "The host's name is not known to DNS (yet).",
        fix: "A new load balancer's name takes a minute or two. Check the name and whether DNS works, then try again.",
    },
    Known {
        words: &["connection refused"],
        cause: "Nothing listens at the address.",
        fix: "Start the server, or correct its host and port, then try again.",
    },
    Known {
        words: &["timed out", "no route to host", "network is unreachable"],
        cause: "The address does not answer: a firewall or network policy is between, or nothing is there.",
        fix: "Check host and port, and what may connect from where jobs run, then try again.",
    },
    Known {
        words: &["no space left", "disk full", "53100"],
        cause: "A disk or volume has no room left.",
        fix: "Make room or make it larger; when restoring, choose a larger volume. Then try again.",
    },
    Known {
        words: &["too many connections", "remaining connection slots", "53300"],
        cause: "The server has no connection left to give.",
        fix: "Raise max_connections or end connections that nobody needs, then try again.",
    },
    Known {
        words: &["server version mismatch", "aborting because of server version"],
        cause: "The PostgreSQL programs of the job are older than the server.",
        fix: "Have Toygres know PostgreSQL of the server's version: install it, or add its image, then try again.",
    },
    Known {
        words: &[
            "is not installed",
            "is not here for postgresql",
            "install postgresql",
            "no image of postgresql",
        ],
        cause: "A PostgreSQL version or an extension that this needs is not here.",
        fix: "Install it or add an image that has it, as the error names, then try again.",
    },
    Known {
        words: &["could not access file", "could not load library"],
        cause: "A library that the server is to load is not there.",
        fix: "Install it, or use an image that has it, then try again.",
    },
    Known {
        words: &["extension"],
        cause: "An extension that the source has is not where it is restored to.",
        fix: "Install the package of the extension that the error names, or use an image that has it, then try again.",
    },
    Known {
        words: &["row-level security"],
        cause: "The user may not see all rows of a table.",
        fix: "Back up as a superuser, or as a role that has bypassrls.",
    },
    Known {
        words: &["permission denied"],
        cause: "The user may not read all that is to be copied.",
        fix: "Back up as a superuser.",
    },
    Known {
        words: &["the secret "],
        cause: "The password is in a Secret of the cluster that cannot be read as it is.",
        fix: "See that the Secret is there, is in a namespace that Toygres may read from, and carries the label toygres.io/readable=true.",
    },
    Known {
        words: &["crashloopbackoff", "postgresql does not start", "postgresql starts again"],
        cause: "The server's container starts and ends again and again.",
        fix: "Read its last words (kubectl logs --previous): often a library that is preloaded and not in the image.",
    },
    Known {
        words: &["vanished"],
        cause: "The job's process was killed, or the machine was started anew.",
        fix: "Look for what killed it (memory, an operator, a reboot), then try again.",
    },
    Known {
        words: &["killed by signal"],
        cause: "The job's process was killed.",
        fix: "Signal 9 is often the system running out of memory. Look into its log, then try again.",
    },
];

#[cfg(test)]
mod tests {
    use super::super::is_told;

    #[test]
    fn sentences_of_servers_are_told() {
        for (error, cause, fix) in [
            (
                "Cannot connect to db.example.com:5432: password authentication failed for user \"postgres\".",
                "refused the password",
                "present password",
            ),
            (
                "no pg_hba.conf entry for host \"10.1.2.3\", user \"postgres\", database \"postgres\", no encryption",
                "pg_hba.conf",
                "Add a line",
            ),
            (
                "PostgreSQL answers, but no background worker of pg_durable was seen; there are: logical replication launcher.",
                "did not come",
                "shared_preload_libraries",
            ),
            ("invalid peer certificate: UnknownIssuer", "authority", "verify-full"),
            (
                "invalid peer certificate: certificate not valid for name \"db.example.com\"",
                "another host name",
                "name",
            ),
            (
                "orders.toygres-managed.svc does not resolve; is it spelt right? A new load balancer's name takes a minute or two to appear in the DNS",
                "DNS",
                "load balancer",
            ),
            (
                "dns error: failed to lookup address information: Temporary failure in name resolution",
                "DNS",
                "load balancer",
            ),
            ("connection refused (os error 111)", "Nothing listens", "host and port"),
            (
                "could not extend file \"base/5/16384\": No space left on device",
                "no room left",
                "larger volume",
            ),
            (
                "pg_dump: error: aborting because of server version mismatch",
                "older than the server",
                "add its image",
            ),
            (
                "PostgreSQL 17 is not installed on this machine. Install it: apt-get install postgresql-17",
                "not here",
                "Install it",
            ),
            ("extension \"postgis\" is not available", "extension", "image that has it"),
            ("FATAL: could not access file \"pg_durable\": No such file or directory", "library", "image"),
            ("query would be affected by row-level security policy for table \"t\"", "all rows", "bypassrls"),
            (
                "The Secret shop/orders may not be read: it lacks the label toygres.io/readable=true.",
                "in a Secret",
                "label",
            ),
            (
                "PostgreSQL does not start: it ended with exit code 1: FATAL: could not access file \"pg_durable\": No such file or directory",
                "library",
                "image",
            ),
            (
                "PostgreSQL does not start: it ended with exit code 2: it said nothing. See kubectl logs --previous.",
                "starts and ends",
                "--previous",
            ),
            ("The job's process was killed by signal 9.", "killed", "memory"),
        ] {
            is_told(error, cause, fix);
        }
    }
}
