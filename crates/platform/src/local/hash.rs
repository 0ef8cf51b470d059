//! A hash for names and numbers that must be the same in every build.

use sha2::{Digest, Sha256};

/// The first 64 bits of the SHA-256 hash.
pub(super) fn short_hash(bytes: &[u8]) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_beginning_of_sha_256() {
        // NIST's test vector of "abc".
        assert_eq!(short_hash(b"abc"), 0xba78_16bf_8f01_cfea);
    }
}
