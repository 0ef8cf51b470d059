//! Codes that providers answer with, and what a person can do about each. It asks nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::ExitClass;

/// A code and what it means.
pub(crate) struct Known {
    code: &'static str,
    pub(crate) class: ExitClass,
    /// The cause and the fix; `{place}` stands for the container or bucket.
    pub(crate) words: &'static str,
    /// Whether the token's issuer and subject are what one needs to see.
    pub(crate) of_token: bool,
    /// Whether the provider's sentence says more.
    pub(crate) quote: bool,
}

/// What is known of a code.
pub(crate) fn find(code: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.code == code)
}

/// The known code that stands in a text, the longest if several begin alike.
pub(crate) fn in_text(text: &str) -> Option<&'static str> {
    KNOWN.iter().map(|known| known.code).filter(|code| text.contains(code)).max_by_key(|code| code.len())
}

const fn denied(code: &'static str, words: &'static str) -> Known {
    Known { code, class: ExitClass::Authentication, words, of_token: false, quote: false }
}

const fn wrong(code: &'static str, words: &'static str) -> Known {
    Known { class: ExitClass::Configuration, ..denied(code, words) }
}

const fn identity(code: &'static str, words: &'static str) -> Known {
    Known { of_token: true, ..denied(code, words) }
}

const fn quoted(known: Known) -> Known {
    Known { quote: true, ..known }
}

const KNOWN: &[Known] = &[
    // Azure Blob Storage.
    denied(
        "AuthorizationPermissionMismatch",
        "the identity may not do this in {place}: give it the role Storage Blob Data Contributor on this container (Contributor alone is not enough; a new role takes up to ten minutes to count), or, with a SAS, the permissions to read, write, list and delete",
    ),
    denied(
        "AuthorizationFailure",
        "{place} does not let us in: either its firewall does not admit this network (allow it, or use a private endpoint), or the identity has no role there (Storage Blob Data Contributor), or the key is not this account's",
    ),
    denied(
        "KeyBasedAuthenticationNotPermitted",
        "{place} takes no account keys and no SAS: open the store by workload identity, or allow storage account key access on the account",
    ),
    quoted(denied(
        "AuthenticationFailed",
        "{place} does not accept the signature or token: the account key or SAS is wrong or has expired, or this machine's clock is more than 15 minutes off",
    )),
    denied(
        "InvalidAuthenticationInfo",
        "{place} does not understand who we say we are: give the account key, SAS or identity again",
    ),
    denied(
        "NoAuthenticationInformation",
        "{place} was asked without key or identity: say how the store is opened",
    ),
    denied(
        "AuthorizationProtocolMismatch",
        "the SAS is for https only, or for another protocol than the endpoint's",
    ),
    denied(
        "AuthorizationSourceIPMismatch",
        "the SAS does not let this machine's address in: make one for it",
    ),
    denied("AuthorizationServiceMismatch", "the SAS is not for blobs: make one for the blob service"),
    denied(
        "AuthorizationResourceTypeMismatch",
        "the SAS is not for containers and objects: make one for both",
    ),
    denied(
        "InsufficientAccountPermissions",
        "the account may not do this in {place}: look at its state in the portal",
    ),
    denied("AccountIsDisabled", "the storage account is disabled: look at its state in the portal"),
    wrong("ContainerNotFound", "{place} does not exist: make it, or correct the address"),
    wrong("ContainerBeingDeleted", "{place} is being deleted: choose another"),
    wrong("ContainerDisabled", "{place} is disabled: look at it in the portal"),
    wrong(
        "BlobImmutableDueToPolicy",
        "{place} has an immutability policy that this goes against: change the policy, or use another container",
    ),
    // Microsoft Entra.
    identity(
        "AADSTS70021",
        "the identity has no federated credential that fits this token: add one with this issuer and subject and the audience api://AzureADTokenExchange (a new one takes some minutes to count)",
    ),
    identity(
        "AADSTS700213",
        "the identity has no federated credential with this token's subject: add one, or correct its subject (a new one takes some minutes to count)",
    ),
    identity(
        "AADSTS700211",
        "the identity has no federated credential with this token's issuer: correct its issuer to the cluster's",
    ),
    identity(
        "AADSTS700212",
        "the identity has no federated credential with this token's audience: it must be api://AzureADTokenExchange",
    ),
    identity(
        "AADSTS700024",
        "the token has expired or is not valid yet: look at the clocks of this machine and the cluster",
    ),
    identity(
        "AADSTS50027",
        "Microsoft Entra cannot read the token: look at the issuer's keys (its .well-known/openid-configuration)",
    ),
    wrong(
        "AADSTS700016",
        "there is no such application or managed identity in the tenant: correct the client id or the tenant id",
    ),
    wrong("AADSTS90002", "there is no such tenant: correct the tenant id"),
    wrong("AADSTS900023", "the tenant id is none: correct it"),
    // S3.
    denied(
        "AccessDenied",
        "the key or role may not do this in {place}: allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its objects and s3:ListBucket on the bucket; for a role, look at who may assume it",
    ),
    denied(
        "SignatureDoesNotMatch",
        "the secret access key is not that of the access key id: give both again; some servers also say so for a wrong region",
    ),
    denied("InvalidAccessKeyId", "there is no such access key: give another, or correct the endpoint"),
    denied(
        "ExpiredToken",
        "the credentials have expired: give new ones, or use a web identity, which renews them",
    ),
    denied(
        "InvalidToken",
        "the session token is not valid: give access key, secret key and session token again",
    ),
    denied("RequestTimeTooSkewed", "this machine's clock is more than 15 minutes off: set it"),
    denied("AllAccessDisabled", "{place} is disabled: choose another"),
    identity(
        "InvalidIdentityToken",
        "the role's trust policy or the identity provider does not fit this token: correct its issuer and audience",
    ),
    identity(
        "ExpiredTokenException",
        "the token has expired: look at the clocks of this machine and the cluster",
    ),
    identity("IDPRejectedClaim", "the identity provider refuses this token: correct the role's trust policy"),
    wrong("NoSuchBucket", "{place} does not exist: make it, or correct the address or the region"),
    wrong("InvalidBucketName", "that is no name of a bucket: correct the address"),
    quoted(wrong("AuthorizationHeaderMalformed", "{place} is in another region: correct the region")),
    quoted(wrong("PermanentRedirect", "{place} is at another endpoint: correct the region or the endpoint")),
    wrong("InvalidRegionName", "there is no such region: correct it"),
];

/// Issuer, subject and audience of the token in a file. Nothing else of it is ever shown.
pub(crate) fn claims(file: &str) -> Option<(String, String, String)> {
    let token = std::fs::read_to_string(file).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let audience = text(&claims["aud"]).or_else(|| text(&claims["aud"][0]))?;
    Some((text(&claims["iss"])?, text(&claims["sub"])?, audience))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_is_known_once_and_says_what_to_do() {
        let codes: BTreeSet<&str> = KNOWN.iter().map(|known| known.code).collect();
        assert_eq!(codes.len(), KNOWN.len());
        assert!(find("AADSTS700213").is_some_and(|known| known.of_token));
        assert!(find("BlobNotFound").is_none(), "that is no refusal");
    }
}
