//! Argon2 with memory that is used again.
//!
//! An allocation of this size for each password makes the C library keep freed memory instead of returning it to the system, and
//! small allocations fragment it: a flood of logins made the server grow by 400 MiB, although four hashes need 76 MiB.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordHasher};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// The memory of hashes that have ended.
static UNUSED: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Hashes and verifies passwords, by default with the parameters of [`Argon2::default`]. It takes as much memory as hashes run
/// at the same time, and keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hasher;

impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let salt = Salt::new(salt)?;
        let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
        let argon2 = Argon2::new(algorithm, version, params.clone());
        let mut memory = Memory::take(params.block_count());
        argon2.hash_password_into_with_memory(password, &salt, &mut output, &mut memory.0)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(Output::new(&output)?),
        })
    }
}

impl PasswordHasher<PasswordHash> for Hasher {
    fn hash_password_with_salt(&self, password: &[u8], salt: &[u8]) -> password_hash::Result<PasswordHash> {
        self.hash_password_customized(password, salt, None, None, Params::default())
    }
}

/// The memory of one hash, which can be used again when it is dropped.
struct Memory(Vec<Block>);

impl Memory {
    fn take(blocks: usize) -> Self {
        let unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = unused.unwrap_or_default();
        memory.resize(blocks, Block::new());
        Self(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        UNUSED.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[test]
    fn hashes_are_those_of_argon2() {
        let hash = Hasher.hash_password(b"a password").expect("hashed");
        assert!(Argon2::default().verify_password(b"a password", &hash).is_ok());
        let hash = Argon2::default().hash_password(b"a password").expect("hashed");
        assert!(Hasher.verify_password(b"a password", &hash).is_ok());
        assert!(Hasher.verify_password(b"another one", &hash).is_err());
        let other = Params::new(64, 1, 1, None).expect("parameters");
        let hash = Argon2::default().hash_password_with_params(b"a password", b"some salt", other);
        assert!(Hasher.verify_password(b"a password", &hash.expect("hashed")).is_ok());
    }
}
