//! Devices on which an account has logged in. A device keeps a token that only proves this: it grants a budget of login
//! attempts of its own, and nothing else.

use chrono::Utc;
use data_encoding::BASE64URL_NOPAD;
use model::UserId;
use uuid::Uuid;

use crate::secrets::Keyring;

/// How long a device is known after a login, in days.
pub const KNOWN_DAYS: i64 = 180;
/// What the sealed token is for, so that no other sealed value passes for one.
const PURPOSE: &[u8] = b"toygres.device";
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// A device on which an account has logged in before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownDevice {
    pub(super) account: UserId,
    pub(super) device: Uuid,
}

/// The device of an earlier login, from its token. `None` if the token is expired, changed or sealed with another key.
pub(super) fn open(keys: &Keyring, token: &str) -> Option<KnownDevice> {
    let sealed = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let plain: [u8; 40] = keys.unseal(&sealed, PURPOSE).ok()?.try_into().ok()?;
    let (owner, rest) = plain.split_first_chunk::<16>()?;
    let (device, since) = rest.split_first_chunk::<16>()?;
    let age = Utc::now().timestamp() - i64::from_be_bytes(since.try_into().ok()?);
    (age < KNOWN_DAYS * SECONDS_PER_DAY)
        .then(|| KnownDevice { account: UserId(Uuid::from_bytes(*owner)), device: Uuid::from_bytes(*device) })
}

/// The token of a device on which the account has logged in just now.
pub(super) fn seal(keys: &Keyring, account: UserId, device: Uuid) -> anyhow::Result<String> {
    let since = Utc::now().timestamp().to_be_bytes();
    let plain = [account.0.as_bytes().as_slice(), device.as_bytes(), &since].concat();
    Ok(BASE64URL_NOPAD.encode(&keys.seal(&plain, PURPOSE)?))
}

#[cfg(test)]
mod tests {
    use platform::ExposeSecret;

    use super::*;

    #[test]
    fn token_names_its_account_and_is_valid_for_its_key_only() {
        let keys = || Keyring::parse(Keyring::generate().expose_secret()).expect("key");
        let (ours, account, device) = (keys(), UserId::new(), Uuid::new_v4());
        let token = seal(&ours, account, device).expect("token");
        assert_eq!(open(&ours, &token), Some(KnownDevice { account, device }));
        assert_eq!(open(&keys(), &token), None);
        assert_eq!(open(&ours, &token[1..]), None);
        assert_eq!(open(&ours, ""), None);
    }
}
