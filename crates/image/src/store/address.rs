//! Parses the addresses of stores (`file://`, `pvc://`, `az://`, `s3://`) and the keys of objects. It opens nothing.

use std::path::PathBuf;

use object_store::path::Path;

use crate::error::{Error, Result};

/// The directory in which each claim is mounted under its name, unless `TOYGRES_STORES` names another one.
const CLAIMS: &str = "/stores";

/// The parsed address of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A directory.
    Directory(PathBuf),
    /// A directory on the volume of a PersistentVolumeClaim; `mount` is where the volume is mounted.
    Claim { claim: String, mount: PathBuf, directory: PathBuf },
    /// A container of Azure Blob Storage.
    Azure { account: String, container: String, prefix: String },
    /// A bucket of S3 or of a compatible store.
    S3 { bucket: String, prefix: String },
}

impl Address {
    /// Parses a store's address.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return invalid(
                url,
                "the address has no scheme; file:///, pvc://, az:// and s3:// are supported",
            );
        };
        match scheme {
            "file" => match decode(rest).filter(|path| path.is_absolute()) {
                Some(path) => Ok(Self::Directory(path)),
                None => invalid(
                    url,
                    "the path is not absolute; the form is file:///DIRECTORY, with three slashes",
                ),
            },
            "pvc" => {
                let base = std::env::var_os("TOYGRES_STORES").unwrap_or_else(|| CLAIMS.into());
                claim(url, rest, base.into())
            }
            "az" => azure(url, rest),
            "s3" => s3(url, rest),
            _ => invalid(url, "the scheme is unknown; file:///, pvc://, az:// and s3:// are supported"),
        }
    }
}

fn invalid<T>(subject: &str, detail: &str) -> Result<T> {
    Err(Error::settings(subject, detail))
}

fn claim(url: &str, rest: &str, base: PathBuf) -> Result<Address> {
    let (claim, prefix) = split(rest);
    if !is_name(claim, 253, b"-.") {
        return invalid(url, "the name of the claim is invalid; the form is pvc://CLAIM/PREFIX");
    }
    let mount = base.join(claim);
    let directory = mount.join(checked(url, prefix)?);
    Ok(Address::Claim { claim: claim.to_owned(), mount, directory })
}

fn azure(url: &str, rest: &str) -> Result<Address> {
    let (account, rest) = split(rest);
    let (container, prefix) = split(rest);
    if account.len() < 3 || !is_name(account, 24, b"") || container.len() < 3 || !is_name(container, 63, b"-")
    {
        return invalid(
            url,
            "the name of the account or container is invalid; the form is az://ACCOUNT/CONTAINER/PREFIX, in lowercase",
        );
    }
    let prefix = checked(url, prefix)?;
    Ok(Address::Azure { account: account.to_owned(), container: container.to_owned(), prefix })
}

fn s3(url: &str, rest: &str) -> Result<Address> {
    let (bucket, prefix) = split(rest);
    if bucket.len() < 3 || !is_name(bucket, 63, b"-.") {
        return invalid(url, "the name of the bucket is invalid; the form is s3://BUCKET/PREFIX");
    }
    Ok(Address::S3 { bucket: bucket.to_owned(), prefix: checked(url, prefix)? })
}

/// The parts before and after the first slash, without a slash at the end.
fn split(rest: &str) -> (&str, &str) {
    let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
    (first, rest.trim_end_matches('/'))
}

/// Whether a name has at most `longest` lowercase letters, digits and `punctuation`, and no punctuation at its ends.
fn is_name(name: &str, longest: usize, punctuation: &[u8]) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || punctuation.contains(&b);
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    name.len() <= longest
        && name.bytes().all(allowed)
        && edge(name.as_bytes().first())
        && edge(name.as_bytes().last())
}

/// Checks a prefix: empty, or a valid key.
fn checked(url: &str, prefix: &str) -> Result<String> {
    if prefix.is_empty() || path(prefix).is_ok() {
        return Ok(prefix.to_owned());
    }
    invalid(url, "the prefix is invalid; it may contain letters, digits, - _ . and single slashes")
}

/// Checks a key. Keys that the client would escape, or that would leave the store's directory, are invalid.
pub(crate) fn path(key: &str) -> Result<Path> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    if key.len() > 512 || !key.split('/').all(part) {
        return invalid(key, "the key is invalid; it may contain letters, digits, - _ . and single slashes");
    }
    Ok(Path::from(key))
}

/// Decodes the %XX of a file URL's path.
fn decode(rest: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;

    let mut bytes = Vec::with_capacity(rest.len());
    let mut left = rest.bytes();
    while let Some(byte) = left.next() {
        if byte == b'%' {
            let digits = [left.next()?, left.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    (!bytes.contains(&0)).then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let azure = |prefix: &str| Address::Azure {
            account: "acme1".to_owned(),
            container: "pg-images".to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(Address::parse("az://acme1/pg-images").expect("one"), azure(""));
        assert_eq!(Address::parse("az://acme1/pg-images/a/b/").expect("one"), azure("a/b"));
        let s3 = Address::S3 { bucket: "my.bucket".to_owned(), prefix: "x".to_owned() };
        assert_eq!(Address::parse("s3://my.bucket/x").expect("one"), s3);
        assert_eq!(
            claim("", "images/eu", "/stores".into()).expect("one"),
            Address::Claim {
                claim: "images".to_owned(),
                mount: "/stores/images".into(),
                directory: "/stores/images/eu".into()
            }
        );
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for url in [
            "/var/images",
            "file://var/images",
            "ftp://x",
            "file:///%zz",
            "az://account",
            "az://Account/container",
            "az://user:key@account/container",
            "az://account/container/../x",
            "az://account/container?sv=1&sig=x",
            "s3://b",
            "s3://bucket/a//b",
            "pvc:///x",
            "pvc://../x",
            "pvc://claim/../x",
        ] {
            let failure = Address::parse(url).expect_err(url).failure();
            assert_eq!(failure.code, model::FailureCode::StoreSettingsInvalid, "{url}");
            assert_eq!(failure.subject.as_deref(), Some(url));
        }
    }

    #[test]
    fn unsafe_keys_are_rejected() {
        for key in ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a#1", "a b", "a\n", "ä"] {
            assert!(path(key).is_err(), "{key:?}");
        }
        assert_eq!(path("images/0-1/1/rows-0-1.zst").expect("a key").as_ref(), "images/0-1/1/rows-0-1.zst");
    }
}
