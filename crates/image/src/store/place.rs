//! Where a store is, as its errors name it: sorts what a provider answers into what a person can do about it.

use std::path::PathBuf;

use object_store::client::{HttpError, HttpErrorKind};

use super::answer::Answer;
use super::known::{self, Known};
use crate::error::Error;

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory.
    Directory(PathBuf),
    /// A container of Azure Blob Storage; the file that says who we are, where one does.
    Azure { account: String, container: String, token_file: Option<String> },
    /// A bucket of S3 or of what speaks like it.
    S3 { bucket: String, token_file: Option<String> },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "the directory {}", path.display()),
            Self::Azure { account, container, .. } => {
                write!(f, "the container {container} of the storage account {account}")
            }
            Self::S3 { bucket, .. } => write!(f, "the bucket {bucket}"),
        }
    }
}

impl Place {
    /// Whether it is a directory.
    pub(crate) fn directory(&self) -> Option<&PathBuf> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Azure { .. } | Self::S3 { .. } => None,
        }
    }

    /// Sorts what the library says about `key`: by the provider's own code where there is one, by the HTTP status or the
    /// way the connection failed where there is none.
    pub(crate) fn error(&self, key: &str, error: object_store::Error) -> Error {
        if self.directory().is_some() {
            return Error::of(key, error);
        }
        let answer = Answer::of(&error);
        if let Some(code) = &answer.code
            && let Some(known) = known::find(code)
        {
            return self.known(known, code, &answer);
        }
        if Answer::chain(&error).contains("//169.254.169.254/") {
            // The library's last resort: it asked the machine, which has no identity either.
            return Error::Denied(format!(
                "nothing here says who we are to {self}: neither the store nor the environment has a key or an identity, and this machine has none either"
            ));
        }
        match (&error, answer.status) {
            (object_store::Error::NotFound { .. }, _) if !answer.is_foreign() => {
                Error::Missing(key.to_owned())
            }
            (object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }, _) => {
                Error::Exists(key.to_owned())
            }
            (_, Some(401 | 403)) => {
                let code = answer.code.as_deref().unwrap_or("no more than that");
                Error::Denied(format!(
                    "{self} may not be used for {key}: the answer was {} and {code}",
                    answer.status.unwrap_or_default()
                ))
            }
            (_, Some(status @ (400..=407 | 409..=428 | 430..=499))) => Error::Settings(format!(
                "{self} does not take the request for {key}: {status} {}",
                answer.code.as_deref().unwrap_or(&answer.words)
            )),
            (_, Some(status)) => Error::Transient {
                key: key.to_owned(),
                cause: format!("{self} answered {status} {}", answer.code.as_deref().unwrap_or_default())
                    .trim_end()
                    .to_owned(),
            },
            (_, None) => self.unanswered(key, &error, &answer.words),
        }
    }

    fn known(&self, known: &Known, code: &str, answer: &Answer) -> Error {
        let mut words = format!("{code}: {}", known.words.replace("{place}", &self.to_string()));
        if known.of_token {
            words.push_str(&self.token());
        }
        // The provider's own sentence, where it says more than its code.
        if known.quote && !answer.words.is_empty() {
            words.push_str(&format!(" ({})", answer.words));
        }
        match known.class {
            model::ExitClass::Authentication => Error::Denied(words),
            _ => Error::Settings(words),
        }
    }

    /// What the token says of itself that tells the provider who we are.
    fn token(&self) -> String {
        let (Self::Azure { token_file, .. } | Self::S3 { token_file, .. }) = self else {
            return String::new();
        };
        match token_file.as_deref().and_then(known::claims) {
            Some((issuer, subject, audience)) => {
                format!(
                    ". The token here has the issuer {issuer}, the subject {subject} and the audience {audience}"
                )
            }
            None => String::new(),
        }
    }

    /// Nobody answered: which part of the way failed.
    fn unanswered(&self, key: &str, error: &object_store::Error, words: &str) -> Error {
        let all = Answer::chain(error);
        let has = |part: &str| all.contains(part);
        let whom = if has("performing token request") || has("POST REDACTED") {
            "the endpoint that tokens are exchanged at".to_owned()
        } else {
            self.to_string()
        };
        if has("invalid peer certificate") {
            return Error::Settings(format!(
                "{whom} shows a certificate that nobody here vouches for ({words}): if it is your own authority's, give the store that authority's certificate as root certificate; if not, correct the endpoint"
            ));
        }
        if has("dns error") || has("failed to lookup address") {
            return Error::Unreachable(format!(
                "the host of {whom} does not resolve: correct its name or the endpoint, or look at this machine's DNS"
            ));
        }
        if has("redirect without LOCATION") {
            return Error::Settings(format!(
                "PermanentRedirect: {self} is in another region: correct the region"
            ));
        }
        if has("Connection refused") {
            return Error::Unreachable(format!(
                "nothing listens where {whom} should be (connection refused): correct the endpoint, or start it"
            ));
        }
        if has("FederatedTokenFile") || has("token file") {
            return Error::Settings(format!(
                "the token that says who we are to {self} cannot be read: look at AZURE_FEDERATED_TOKEN_FILE or AWS_WEB_IDENTITY_TOKEN_FILE"
            ));
        }
        match kind_of(error) {
            Some(HttpErrorKind::Connect | HttpErrorKind::Timeout) => {
                Error::Unreachable(format!("{whom} cannot be reached for {key}: {words}"))
            }
            _ => Error::Transient { key: key.to_owned(), cause: words.to_owned() },
        }
    }
}

/// How the connection failed, as the library sorts it.
fn kind_of(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
