//! The error codes of Azure Blob Storage, Microsoft Entra, S3 and AWS STS, and the [`FailureCode`] of each.

use model::FailureCode;

/// The failure that a provider's error code means. None if the code is unknown; then the HTTP status decides.
pub(crate) fn find(code: &str) -> Option<FailureCode> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, failure)| *failure)
}

/// The known error code in a text; the longest one if several begin alike.
pub(crate) fn find_in(text: &str) -> Option<FailureCode> {
    let found = CODES.iter().filter(|(code, _)| text.contains(code));
    found.max_by_key(|(code, _)| code.len()).map(|(_, failure)| *failure)
}

const CODES: &[(&str, FailureCode)] = &[
    // Azure Blob Storage.
    ("AuthorizationPermissionMismatch", FailureCode::StoreAccessDenied),
    ("AuthorizationFailure", FailureCode::StoreAccountRefused),
    ("InsufficientAccountPermissions", FailureCode::StoreAccountRefused),
    ("AccountIsDisabled", FailureCode::StoreAccountRefused),
    ("KeyBasedAuthenticationNotPermitted", FailureCode::StoreKeysDisabled),
    ("AuthenticationFailed", FailureCode::StoreKeyRejected),
    ("InvalidAuthenticationInfo", FailureCode::StoreKeyRejected),
    ("NoAuthenticationInformation", FailureCode::StoreCredentialsMissing),
    ("AuthorizationProtocolMismatch", FailureCode::StoreSasTooNarrow),
    ("AuthorizationSourceIPMismatch", FailureCode::StoreSasTooNarrow),
    ("AuthorizationServiceMismatch", FailureCode::StoreSasTooNarrow),
    ("AuthorizationResourceTypeMismatch", FailureCode::StoreSasTooNarrow),
    ("ContainerNotFound", FailureCode::StoreContainerMissing),
    ("ContainerBeingDeleted", FailureCode::StoreContainerUnusable),
    ("ContainerDisabled", FailureCode::StoreContainerUnusable),
    ("BlobImmutableDueToPolicy", FailureCode::StoreContainerUnusable),
    ("ServerBusy", FailureCode::StoreUnavailable),
    ("OperationTimedOut", FailureCode::StoreUnavailable),
    // Microsoft Entra: no federated credential for this token, subject, issuer or audience; malformed token.
    ("AADSTS70021", FailureCode::StoreIdentityRejected),
    ("AADSTS700213", FailureCode::StoreIdentityRejected),
    ("AADSTS700211", FailureCode::StoreIdentityRejected),
    ("AADSTS700212", FailureCode::StoreIdentityRejected),
    ("AADSTS50027", FailureCode::StoreIdentityRejected),
    // The token is not valid at this time.
    ("AADSTS700024", FailureCode::StoreCredentialsExpired),
    // No such client; no such tenant; not a tenant id.
    ("AADSTS700016", FailureCode::StoreIdentityUnknown),
    ("AADSTS90002", FailureCode::StoreIdentityUnknown),
    ("AADSTS900023", FailureCode::StoreIdentityUnknown),
    // S3.
    ("AccessDenied", FailureCode::StoreAccessDenied),
    ("SignatureDoesNotMatch", FailureCode::StoreKeyRejected),
    ("InvalidAccessKeyId", FailureCode::StoreKeyRejected),
    ("InvalidToken", FailureCode::StoreKeyRejected),
    ("ExpiredToken", FailureCode::StoreCredentialsExpired),
    ("RequestTimeTooSkewed", FailureCode::StoreClockSkewed),
    ("AllAccessDisabled", FailureCode::StoreContainerUnusable),
    ("NoSuchBucket", FailureCode::StoreContainerMissing),
    ("InvalidBucketName", FailureCode::StoreSettingsInvalid),
    ("AuthorizationHeaderMalformed", FailureCode::StoreRegionWrong),
    ("PermanentRedirect", FailureCode::StoreRegionWrong),
    ("InvalidRegionName", FailureCode::StoreSettingsInvalid),
    ("InternalError", FailureCode::StoreUnavailable),
    ("RequestTimeout", FailureCode::StoreUnavailable),
    ("ServiceUnavailable", FailureCode::StoreUnavailable),
    ("SlowDown", FailureCode::StoreUnavailable),
    // Stores that are compatible with S3: Ceph, MinIO.
    ("QuotaExceeded", FailureCode::StoreFull),
    ("XMinioStorageFull", FailureCode::StoreFull),
    // AWS STS.
    ("InvalidIdentityToken", FailureCode::StoreIdentityRejected),
    ("IDPRejectedClaim", FailureCode::StoreIdentityRejected),
    ("ExpiredTokenException", FailureCode::StoreCredentialsExpired),
    ("ValidationError", FailureCode::StoreIdentityUnknown),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_is_listed_once() {
        let codes: BTreeSet<&str> = CODES.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn missing_object_is_no_failure_of_the_store() {
        assert_eq!(find("BlobNotFound"), None);
        assert_eq!(find("NoSuchKey"), None);
    }

    #[test]
    fn longest_code_in_a_text_wins() {
        let text = "AADSTS700213: No matching federated identity record found";
        assert_eq!(find_in(text), Some(FailureCode::StoreIdentityRejected));
        assert_eq!(find_in("x ExpiredTokenException x"), Some(FailureCode::StoreCredentialsExpired));
        assert_eq!(find_in("x"), None);
    }
}
