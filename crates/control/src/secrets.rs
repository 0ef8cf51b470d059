//! Secrets at rest: sealed with XChaCha20-Poly1305 and bound to the row that they belong to.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, HEXLOWER};
use hkdf::Hkdf;
use image::SealKey;
use model::{Failure, FailureCode};
use platform::{ExposeSecret, Secret};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

const CANARY: &[u8] = b"toygres";
const NONCE: usize = 24;
/// What the key of the seals is derived for. Another text makes all seals invalid.
const SEAL_CONTEXT: &[u8] = b"toygres image seal key 1";

/// The key that secrets are sealed with. Its `Debug` output shows the key's id only.
#[derive(Clone)]
pub struct Keyring {
    cipher: XChaCha20Poly1305,
    key_id: String,
    seal_key: SealKey,
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The password of an instance's superuser.
    InstancePassword,
    /// The superuser password of an image's source at the time of the backup.
    ImagePassword,
    /// The access keys of a store.
    StoreCredential,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::InstancePassword => "instance-password",
            Self::ImagePassword => "image-password",
            Self::StoreCredential => "store-credential",
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({})", self.key_id)
    }
}

impl Keyring {
    /// Parses a key of 32 bytes in base64.
    ///
    /// # Errors
    /// The text is not 32 bytes in base64.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let bytes = BASE64.decode(text.trim().as_bytes()).ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes.context(
            "the encryption key is not 32 bytes in base64; generate one with `openssl rand -base64 32`",
        )?;
        let key = Key::<XChaCha20Poly1305>::try_from(&*bytes).context("read the encryption key")?;
        let key_id = HEXLOWER.encode(&Sha256::digest([b"toygres key id", &*bytes].concat())[..6]);
        let mut seal_key = [0; 32];
        Hkdf::<Sha256>::new(None, &bytes)
            .expand(SEAL_CONTEXT, &mut seal_key)
            .map_err(|error| anyhow::anyhow!("derive the key of the seals: {error}"))?;
        let seal_key = SealKey::new(&*key_id, &seal_key);
        Ok(Self { cipher: XChaCha20Poly1305::new(&key), key_id, seal_key })
    }

    /// Generates a key, in base64.
    #[must_use]
    pub fn generate() -> Secret {
        Secret::from(BASE64.encode(&Key::<XChaCha20Poly1305>::generate()))
    }

    /// The key's id, which is not secret.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key that images are sealed with. It is derived from this key, which it does not reveal.
    #[must_use]
    pub fn seal_key(&self) -> &SealKey {
        &self.seal_key
    }

    /// Opens the key of the state database: `given`, or the key in `file`. The file is created only if the state database
    /// has no key yet.
    ///
    /// # Errors
    /// The state database uses another key, whose id is named.
    pub async fn open(db: &PgPool, given: Option<&Secret>, file: &Path) -> anyhow::Result<Self> {
        let active: Option<String> =
            sqlx::query_scalar!("select key_id from toygres.encryption_key where active")
                .fetch_optional(db)
                .await?;
        let keys = match given {
            Some(given) => Self::parse(given.expose_secret()).context("read TOYGRES_ENCRYPTION_KEY")?,
            None => Self::from_file(file, active.as_deref())?,
        };
        let mut tx = db.begin().await?;
        if active.is_none() {
            let canary = keys.seal(CANARY, b"canary")?;
            sqlx::query!(
                "insert into toygres.encryption_key (key_id, canary) values ($1, $2) on conflict do nothing",
                keys.key_id,
                canary
            )
            .execute(&mut *tx)
            .await?;
        }
        let row = sqlx::query!("select key_id, canary from toygres.encryption_key where active")
            .fetch_one(&mut *tx)
            .await?;
        let is_active =
            row.key_id == keys.key_id && keys.unseal(&row.canary, b"canary").is_ok_and(|text| text == CANARY);
        ensure!(
            is_active,
            "The secrets in the state database are sealed with the key {}, but this server was given the key {}. Start it with the key {} (TOYGRES_ENCRYPTION_KEY or {}).",
            row.key_id,
            keys.key_id,
            row.key_id,
            file.display()
        );
        tx.commit().await?;
        Ok(keys)
    }

    /// Reads the key file. Creates it if there is none and the state database has no `active` key.
    fn from_file(file: &Path, active: Option<&str>) -> anyhow::Result<Self> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        match std::fs::read_to_string(file) {
            Ok(text) => return Self::parse(&text).with_context(|| format!("read {}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        }
        if let Some(active) = active {
            bail!(
                "The secrets in the state database are sealed with the key {active}, but {} does not exist. Restore the file, or set TOYGRES_ENCRYPTION_KEY.",
                file.display()
            );
        }
        let key = Self::generate();
        let mut created = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .with_context(|| format!("create {}", file.display()))?;
        created.write_all(key.expose_secret().as_bytes())?;
        created.sync_all()?;
        Self::parse(key.expose_secret())
    }

    /// Stores the secret of an owner, replacing an older one.
    ///
    /// # Errors
    /// The state database is unavailable, or its key was replaced since the key was opened.
    pub async fn save(
        &self,
        db: &mut PgConnection,
        kind: Kind,
        owner: Uuid,
        secret: &Secret,
    ) -> anyhow::Result<()> {
        let sealed = self.seal(secret.expose_secret().as_bytes(), &associated_data(kind.as_str(), owner))?;
        let saved = sqlx::query!(
            "insert into toygres.secret (kind, owner, key_id, sealed)
             select $1, $2, $3, $4 where exists (select from toygres.encryption_key where key_id = $3 and active)
             on conflict (kind, owner) do update set key_id = excluded.key_id, sealed = excluded.sealed",
            kind.as_str(),
            owner,
            self.key_id,
            sealed
        )
        .execute(db)
        .await?;
        if saved.rows_affected() == 0 {
            // No server could open it after the end of this process.
            let detail =
                format!("The key {} was replaced. Restart this server with the new key.", self.key_id);
            return Err(Failure::new(FailureCode::Refused, detail).into());
        }
        Ok(())
    }

    /// Reads the secret of an owner, if one is stored.
    ///
    /// # Errors
    /// It was sealed with another key or for another row.
    pub async fn read(&self, db: &PgPool, kind: Kind, owner: Uuid) -> anyhow::Result<Option<Secret>> {
        let row = sqlx::query!(
            "select key_id, sealed from toygres.secret where kind = $1 and owner = $2",
            kind.as_str(),
            owner
        )
        .fetch_optional(db)
        .await?;
        let Some(row) = row else { return Ok(None) };
        ensure!(row.key_id == self.key_id, "the secret is sealed with the key {}", row.key_id);
        let text = self.unseal(&row.sealed, &associated_data(kind.as_str(), owner))?;
        Ok(Some(Secret::from(String::from_utf8(text).context("read a secret")?)))
    }

    /// Deletes the secret of an owner.
    ///
    /// # Errors
    /// The state database is unavailable.
    pub async fn delete(db: &mut PgConnection, kind: Kind, owner: Uuid) -> sqlx::Result<()> {
        let delete =
            sqlx::query!("delete from toygres.secret where kind = $1 and owner = $2", kind.as_str(), owner);
        delete.execute(db).await.map(drop)
    }

    /// Seals every secret with another key, in one transaction. After that, servers need the new key. Returns the number
    /// of secrets.
    ///
    /// # Errors
    /// `self` is not the key of the state database.
    pub async fn rotate(&self, db: &PgPool, new: &Self) -> anyhow::Result<usize> {
        let mut tx = db.begin().await?;
        sqlx::query!("lock table toygres.secret, toygres.encryption_key in exclusive mode")
            .execute(&mut *tx)
            .await?;
        sqlx::query!("update toygres.encryption_key set active = false").execute(&mut *tx).await?;
        let canary = new.seal(CANARY, b"canary")?;
        sqlx::query!(
            "insert into toygres.encryption_key (key_id, canary) values ($1, $2)
             on conflict (key_id) do update set active = true, canary = excluded.canary",
            new.key_id,
            canary
        )
        .execute(&mut *tx)
        .await?;
        let rows = sqlx::query!("select kind, owner, sealed from toygres.secret").fetch_all(&mut *tx).await?;
        for row in &rows {
            let data = associated_data(&row.kind, row.owner);
            let sealed = new.seal(&self.unseal(&row.sealed, &data)?, &data)?;
            sqlx::query!(
                "update toygres.secret set key_id = $3, sealed = $4 where kind = $1 and owner = $2",
                row.kind,
                row.owner,
                new.key_id,
                sealed
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(rows.len())
    }

    pub(crate) fn seal(&self, plain: &[u8], data: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce = XNonce::generate();
        let sealed = self.cipher.encrypt(&nonce, Payload { msg: plain, aad: data });
        let sealed = sealed.map_err(|_| anyhow::anyhow!("seal a secret"))?;
        Ok([&*nonce, &*sealed].concat())
    }

    pub(crate) fn unseal(&self, sealed: &[u8], data: &[u8]) -> anyhow::Result<Vec<u8>> {
        ensure!(sealed.len() > NONCE, "a sealed secret is too short");
        let (nonce, sealed) = sealed.split_at(NONCE);
        let nonce = XNonce::try_from(nonce).context("read a nonce")?;
        let plain = self.cipher.decrypt(&nonce, Payload { msg: sealed, aad: data });
        plain.map_err(|_| anyhow::anyhow!("a secret was sealed with another key or for another row"))
    }
}

/// The associated data that a sealed value authenticates: its table, kind and owner.
fn associated_data(kind: &str, owner: Uuid) -> Vec<u8> {
    format!("toygres.secret/{kind}/{owner}").into_bytes()
}
