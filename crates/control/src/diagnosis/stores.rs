//! What object stores and the identities for them say.

use super::Known;

pub(super) const KNOWN: [Known; 14] = [
    Known {
        words: &["aadsts70021", "aadsts700213", "no matching federated identity"],
        cause: "Microsoft Entra does not know this service account: no federated credential of the identity has its issuer and subject.",
        fix: "Give the managed identity a federated credential with the cluster's OIDC issuer as issuer and system:serviceaccount:NAMESPACE:NAME of the job's service account as subject; a new one takes some minutes to count.",
    },
    Known {
        words: &["aadsts"],
        cause: "Microsoft Entra refused to give out a token for the store.",
        fix: "Look the code up (login.microsoftonline.com/error) and compare client id, tenant id and federated credential with the identity.",
    },
    Known {
        words: &["authorizationpermissionmismatch"],
        cause: "The identity may not read or write this container.",
        fix: "Give it the role Storage Blob Data Contributor on the container (Contributor is not enough); that takes up to ten minutes to count.",
    },
    Known {
        words: &["authorizationfailure", "publicaccessnotpermitted"],
        cause: "The storage account's firewall refuses where this comes from, or the identity has no role there at all.",
        fix: "Let the cluster's network in under Networking of the storage account, and give the identity Storage Blob Data Contributor.",
    },
    Known {
        words: &["keybasedauthenticationnotpermitted"],
        cause: "The storage account takes no account keys.",
        fix: "Use workload identity for this store, or allow key access on the account.",
    },
    Known {
        words: &["accessdenied", "access denied", "signaturedoesnotmatch", "invalidaccesskeyid"],
        cause: "The store does not accept these keys, or they may not do this.",
        fix: "Compare the keys with the store's, and allow GetObject, PutObject, DeleteObject and ListBucket on the prefix.",
    },
    Known {
        words: &["containernotfound", "nosuchbucket"],
        cause: "The container or bucket of the store is not there.",
        fix: "Make it, or correct the store's address in the settings.",
    },
    Known {
        words: &[
            "503 service unavailable",
            "serverbusy",
            "slowdown",
            "answers 503",
            "http 503",
            "status 503",
        ],
        cause: "The store is overloaded or down; Toygres tried again for a while and then gave up.",
        fix: "Look at the store's own status page, then try again.",
    },
    Known {
        words: &["the store is full", "quota of the store"],
        cause: "Where images are kept there is no room left.",
        fix: "Delete images that nobody needs, or choose a store with more room, then try again.",
    },
    Known {
        words: &["the store is read-only"],
        cause: "The place where images are kept cannot be written.",
        fix: "Mount it for writing, or choose another store, then try again.",
    },
    Known {
        words: &["the store refuses"],
        cause: "Whoever the job runs as may not read or write where images are kept.",
        fix: "Give that user or identity access to it, or choose another store, then try again.",
    },
    Known {
        words: &["is damaged"],
        cause: "The store does not hold what was written.",
        fix: "Use another image. Look at the store, and verify the other images in it.",
    },
    Known {
        words: &["manifest.json is missing"],
        cause: "The image was never finished, or was deleted.",
        fix: "Use another image.",
    },
    Known {
        words: &["the store did not answer"],
        cause: "The store could not be reached.",
        fix: "Test the store in the settings; look at its address, DNS and the network between, then try again.",
    },
];

#[cfg(test)]
mod tests {
    use super::super::is_told;

    #[test]
    fn sentences_of_stores_are_told() {
        for (error, cause, fix) in [
            (
                "The store refuses access to images/1: 403 Forbidden, AuthorizationPermissionMismatch: This request is not authorized to perform this operation using this permission.",
                "may not read or write",
                "Storage Blob Data Contributor",
            ),
            (
                "AADSTS70021: No matching federated identity record found for presented assertion. Assertion Issuer: 'https://oidc.example.com/'. Assertion Subject: 'system:serviceaccount:toygres-managed:toygres-job'.",
                "federated credential",
                "subject",
            ),
            (
                "AADSTS700016: Application with identifier '1' was not found in the directory",
                "refused to give out a token",
                "client id",
            ),
            ("Server returned non-2xx status code: 403: AuthorizationFailure", "firewall", "Networking"),
            ("403 Forbidden: <Code>AccessDenied</Code>", "keys", "PutObject"),
            (
                "The store did not answer for images/1/rows-1-1.zst: Error after 10 retries, Server Error: 503 Service Unavailable: ServerBusy",
                "overloaded",
                "status page",
            ),
            ("404: NoSuchBucket", "not there", "address"),
            ("The store is full: no space left while writing images/1.", "no room left", "Delete images"),
            (
                "images/1/rows-1-1.zst is damaged: its SHA-256 differs. Restore another image; this one must not be used",
                "does not hold",
                "another image",
            ),
            (
                "The store did not answer for manifest.json: connection reset",
                "could not be reached",
                "Test the store",
            ),
        ] {
            is_told(error, cause, fix);
        }
    }
}
