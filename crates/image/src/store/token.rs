//! The claims of a workload's token that an identity provider compares. Nothing else of a token is ever shown.

use data_encoding::BASE64URL_NOPAD;

/// Issuer, subject and audience of the token in a file, as text; none if the file is no JSON web token.
pub(crate) fn claims(file: &str) -> Option<String> {
    let token = std::fs::read_to_string(file).ok()?;
    let payload = BASE64URL_NOPAD.decode(token.trim().split('.').nth(1)?.as_bytes()).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let audience = claims["aud"].as_str().or_else(|| claims["aud"][0].as_str())?;
    let (issuer, subject) = (claims["iss"].as_str()?, claims["sub"].as_str()?);
    Some(format!("token: issuer {issuer}, subject {subject}, audience {audience}"))
}
