//! Addresses of stores: what `file://`, `pvc://`, `az://` and `s3://` name. It opens nothing.

use std::path::PathBuf;

use object_store::path::Path;

use crate::error::{Error, Result};

/// Where claims are mounted, a directory each, unless `TOYGRES_STORES` names another place.
const CLAIMS: &str = "/stores";

/// A store that an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A directory.
    Directory(PathBuf),
    /// A directory on a claim of Kubernetes, which is mounted below the place of all claims.
    Claim { claim: String, mount: PathBuf, directory: PathBuf },
    /// A container of an account of Azure Blob Storage.
    Azure { account: String, container: String, prefix: String },
    /// A bucket.
    S3 { bucket: String, prefix: String },
}

impl Address {
    /// Reads a store's address.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return refused(format!("{url:?} is not a store's URL: write file:///a/directory"));
        };
        match scheme {
            "file" => match decode(rest).filter(|path| path.is_absolute()) {
                Some(path) => Ok(Self::Directory(path)),
                None => refused(format!(
                    "{url:?} names no absolute path: write file:///a/directory, with three slashes"
                )),
            },
            "pvc" => {
                let base = std::env::var_os("TOYGRES_STORES").unwrap_or_else(|| CLAIMS.into());
                claim(url, rest, base.into())
            }
            "az" => azure(url, rest),
            "s3" => s3(url, rest),
            _ => refused(format!(
                "{scheme}:// is no kind of store that Toygres knows: use file:///, pvc://, az:// or s3://"
            )),
        }
    }
}

fn refused<T>(words: String) -> Result<T> {
    Err(Error::Unsupported(words))
}

fn claim(url: &str, rest: &str, base: PathBuf) -> Result<Address> {
    let (claim, prefix) = cut(rest);
    if !is_name(claim, 253, b"-.") {
        return refused(format!("{url:?} names no claim: write pvc://CLAIM/PREFIX"));
    }
    let mount = base.join(claim);
    let directory = mount.join(checked(url, prefix)?);
    Ok(Address::Claim { claim: claim.to_owned(), mount, directory })
}

fn azure(url: &str, rest: &str) -> Result<Address> {
    let (account, rest) = cut(rest);
    let (container, prefix) = cut(rest);
    if account.len() < 3 || !is_name(account, 24, b"") || container.len() < 3 || !is_name(container, 63, b"-")
    {
        return refused(format!(
            "{url:?} names no container: write az://ACCOUNT/CONTAINER/PREFIX, the names in small letters as Azure has them"
        ));
    }
    let prefix = checked(url, prefix)?;
    Ok(Address::Azure { account: account.to_owned(), container: container.to_owned(), prefix })
}

fn s3(url: &str, rest: &str) -> Result<Address> {
    let (bucket, prefix) = cut(rest);
    if bucket.len() < 3 || !is_name(bucket, 63, b"-.") {
        return refused(format!("{url:?} names no bucket: write s3://BUCKET/PREFIX"));
    }
    Ok(Address::S3 { bucket: bucket.to_owned(), prefix: checked(url, prefix)? })
}

/// What stands before the first slash and what after it.
fn cut(rest: &str) -> (&str, &str) {
    let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
    (first, rest.trim_end_matches('/'))
}

fn is_name(name: &str, longest: usize, besides: &[u8]) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || besides.contains(&b);
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    name.len() <= longest
        && name.bytes().all(letter)
        && edge(name.as_bytes().first())
        && edge(name.as_bytes().last())
}

/// A prefix that is empty or a key.
fn checked(url: &str, prefix: &str) -> Result<String> {
    if prefix.is_empty() || path(prefix).is_ok() {
        return Ok(prefix.to_owned());
    }
    refused(format!("the prefix in {url:?} may have letters, digits, - _ . and single slashes"))
}

/// A key as the store takes it: what would be changed on the way, or lead out of the store, is refused.
pub(crate) fn path(key: &str) -> Result<Path> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter);
    if key.len() > 512 || !key.split('/').all(part) {
        return refused(format!(
            "{key:?} is no key of a store: use letters, digits, - _ . and single slashes"
        ));
    }
    Ok(Path::from(key))
}

/// The path of a file URL, its %XX decoded.
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
    fn addresses_name_what_they_say() {
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
    fn urls_that_name_no_store_are_refused_with_the_reason() {
        for (url, word) in [
            ("/var/images", "not a store's URL"),
            ("file://var/images", "three slashes"),
            ("ftp://x", "no kind of store"),
            ("file:///%zz", "no absolute path"),
            ("az://account", "names no container"),
            ("az://Account/container", "names no container"),
            ("az://user:key@account/container", "names no container"),
            ("az://account/container/../x", "the prefix"),
            ("az://account/container?sv=1&sig=x", "names no container"),
            ("s3://b", "names no bucket"),
            ("s3://bucket/a//b", "the prefix"),
            ("pvc:///x", "names no claim"),
            ("pvc://../x", "names no claim"),
            ("pvc://claim/../x", "the prefix"),
        ] {
            let refused = Address::parse(url).expect_err(url);
            assert!(refused.to_string().contains(word), "{url}: {refused}");
            assert_eq!(refused.class(), model::ExitClass::Configuration);
        }
    }

    #[test]
    fn keys_that_leave_the_prefix_are_refused() {
        for key in ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a#1", "a b", "a\n", "ä"] {
            assert!(path(key).is_err(), "{key:?}");
        }
        assert_eq!(path("images/0-1/1/rows-0-1.zst").expect("a key").as_ref(), "images/0-1/1/rows-0-1.zst");
    }
}
