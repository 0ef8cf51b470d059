//! The seal of an image: an object that proves which manifest an installation of Toygres has published.
//!
//! The checksums in an image prove that it is complete: every account that can write to the store can compute them. The seal is a
//! MAC of the manifest's SHA-256 with a key that only the installation has.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use model::{FailureCode, ImageId, Seal};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::layout::SEAL;
use crate::reader::ImageReader;

/// The version of the object.
const VERSION: u32 = 1;
const ALGORITHM: &str = "HMAC-SHA256";
/// What the MAC begins with, so that it is one of nothing else.
const CONTEXT: &str = "toygres image seal 1";
/// The largest seal that is read, in bytes.
const LARGEST: u64 = 4096;

/// The key of an installation's seals. Its `Debug` output shows its id only.
#[derive(Clone)]
pub struct SealKey {
    id: String,
    mac: Hmac<Sha256>,
}

/// The object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    version: u32,
    algorithm: String,
    key_id: String,
    image: ImageId,
    manifest_sha256: String,
    mac: String,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKey({})", self.id)
    }
}

impl SealKey {
    /// A key with an id that is not secret.
    #[must_use]
    pub fn new(id: impl Into<String>, key: &[u8; 32]) -> Self {
        Self { id: id.into(), mac: Hmac::new(&pad(key).into()) }
    }

    fn mac(&self, image: ImageId, manifest_sha256: &str) -> Hmac<Sha256> {
        self.mac.clone().chain_update(format!("{CONTEXT}\n{image}\n{manifest_sha256}\n"))
    }
}

/// The key, filled up with zeros to the size of a block, as HMAC does.
fn pad(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    block
}

impl ImageReader {
    /// Writes the seal of this image. Idempotent.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn write_seal(&self, key: &SealKey) -> Result<()> {
        let (image, manifest_sha256) = (self.manifest.image, self.manifest_sha256.clone());
        let mac = HEXLOWER.encode(&key.mac(image, &manifest_sha256).finalize().into_bytes());
        let (algorithm, key_id) = (ALGORITHM.to_owned(), key.id.clone());
        let object = Object { version: VERSION, algorithm, key_id, image, manifest_sha256, mac };
        let text = serde_json::to_vec_pretty(&object).map_err(|error| Error::internal(SEAL, error))?;
        self.store.put(&format!("{}/{SEAL}", self.prefix), text).await
    }

    /// What the seal says about this image's manifest.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn seal(&self, key: &SealKey) -> Result<Seal> {
        let text = match self.store.get_at_most(&format!("{}/{SEAL}", self.prefix), LARGEST).await {
            Ok(text) => text,
            Err(error) if error.code() == FailureCode::ObjectMissing => return Ok(Seal::Missing),
            Err(error) if error.code() == FailureCode::ObjectDamaged => return Ok(Seal::Mismatch),
            Err(error) => return Err(error),
        };
        let Ok(object) = serde_json::from_slice::<Object>(&text) else { return Ok(Seal::Mismatch) };
        if object.version != VERSION || object.algorithm != ALGORITHM {
            return Ok(Seal::Mismatch);
        }
        if object.key_id != key.id {
            return Ok(Seal::OtherKey);
        }
        // Of the manifest that was read, not of what the object says.
        let mac = HEXLOWER.decode(object.mac.as_bytes()).unwrap_or_default();
        let is_original = key.mac(self.manifest.image, &self.manifest_sha256).verify_slice(&mac).is_ok();
        Ok(if is_original { Seal::Original } else { Seal::Mismatch })
    }
}
