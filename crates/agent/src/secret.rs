//! Secrets: read from files, wiped when dropped, taken out of whatever is written. It knows no job.

use std::path::Path;

use anyhow::{Context as _, Result};
use image::StoreOptions;
use model::ExitClass;
use model::agent::{SECRET_PASSWORD, SECRET_STORE};
use zeroize::Zeroizing;

use crate::failure::fail;

/// The shortest secret that is searched for: hiding shorter ones would show where they are.
const SHORTEST: usize = 4;
/// What stands where a secret was.
const HIDDEN: &str = "[secret]";

/// A secret value, without `Debug`.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Reads a file whose whole content is the secret; none if it is not there.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read the secret {}", path.display())),
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(Self::new(text))),
                Err(_) => {
                    Err(fail(ExitClass::Configuration, format!("the secret {} is no text", path.display())))
                }
            },
        }
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The secrets of a task.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// Of its connection, or of the instance to be.
    pub(crate) password: Option<Secret>,
    /// How its store is opened.
    pub(crate) store: StoreOptions,
}

impl Secrets {
    /// Reads those that are there.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let store = Secret::read(&dir.join(SECRET_STORE))?;
        let store = store.map(|text| StoreOptions::from_json(text.reveal().as_bytes())).transpose()?;
        Ok(Self { password: Secret::read(&dir.join(SECRET_PASSWORD))?, store: store.unwrap_or_default() })
    }

    /// Takes all of them out of text.
    pub(crate) fn redactor(&self) -> Redactor {
        let store: Vec<Secret> = self.store.secrets().into_iter().map(Secret::new).collect();
        Redactor::new(self.password.iter().chain(&store))
    }
}

/// Takes secrets out of text.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Vec<Zeroizing<String>>);

impl Redactor {
    /// Knows these secrets, also as the programs quote them.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let plain = secret.reveal();
            let escaped = plain.replace('\\', r"\\");
            forms.extend([
                plain.to_owned(),
                plain.trim().to_owned(),
                plain.replace('\'', "''"),
                escaped.replace(':', r"\:"),
                escaped.replace('\'', r"\'"),
                escaped.replace('"', "\\\""),
            ]);
        }
        forms.retain(|form| form.len() >= SHORTEST);
        // The longest first: one may be a part of another.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms.into_iter().map(Zeroizing::new).collect())
    }

    /// The text without secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), HIDDEN) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_it_is_quoted() {
        let secret = Secret::new("can'ary:\\1".to_owned());
        let redactor = Redactor::new([&secret]);
        for form in ["can'ary:\\1", "can''ary:\\1", "can'ary\\:\\\\1", "can\\'ary:\\\\1"] {
            assert_eq!(redactor.clean(&format!("x {form} y")), "x [secret] y", "{form}");
        }
        assert_eq!(redactor.clean("nothing"), "nothing");
    }
}
