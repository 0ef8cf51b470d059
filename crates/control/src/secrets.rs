//! Secrets at rest: sealed with XChaCha20-Poly1305, bound to the row that they belong to. It knows nothing of what they
//! open.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use platform::Secret;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

const CANARY: &[u8] = b"toygres";
const NONCE: usize = 24;

/// The key that secrets are sealed with. It has no `Debug` output that shows it.
#[derive(Clone)]
pub struct Keyring {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The password of an instance's superuser.
    InstancePassword,
    /// That of the source of an image, as of the time of the backup.
    ImagePassword,
    /// The keys that open a store.
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
    /// A key as 32 bytes in base64.
    ///
    /// # Errors
    /// It is not that.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let bytes = STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes
            .context("an encryption key is 32 bytes in base64, such as `openssl rand -base64 32` makes")?;
        let key = Key::<XChaCha20Poly1305>::try_from(&*bytes).context("take the key in")?;
        let key_id = hex::encode(&Sha256::digest([b"toygres key id", &*bytes].concat())[..6]);
        Ok(Self { cipher: XChaCha20Poly1305::new(&key), key_id })
    }

    /// A new key, in base64.
    #[must_use]
    pub fn generate() -> Secret {
        Secret::new(STANDARD.encode(Key::<XChaCha20Poly1305>::generate()))
    }

    /// The key's id: safe to show.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key of this CMS: `given`, or the one in `file`, which is made only if the CMS has none yet.
    ///
    /// # Errors
    /// The CMS has another key: without that one its secrets are lost, so nothing is done. The key's id is named.
    pub async fn open(db: &PgPool, given: Option<&Secret>, file: &Path) -> anyhow::Result<Self> {
        let known: Option<String> =
            sqlx::query_scalar!("select key_id from toygres.encryption_key where active")
                .fetch_optional(db)
                .await?;
        let keys = match given {
            Some(given) => Self::parse(given.reveal()).context("read TOYGRES_ENCRYPTION_KEY")?,
            None => Self::from_file(file, known.as_deref())?,
        };
        let mut tx = db.begin().await?;
        if known.is_none() {
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
        let fits =
            row.key_id == keys.key_id && keys.unseal(&row.canary, b"canary").is_ok_and(|text| text == CANARY);
        ensure!(
            fits,
            "The CMS' secrets are sealed with the key {}, and this server was given the key {}. Start it with the right one (TOYGRES_ENCRYPTION_KEY or {}).",
            row.key_id,
            keys.key_id,
            file.display()
        );
        tx.commit().await?;
        Ok(keys)
    }

    fn from_file(file: &Path, known: Option<&str>) -> anyhow::Result<Self> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        match std::fs::read_to_string(file) {
            Ok(text) => return Self::parse(&text).with_context(|| format!("read {}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        }
        if let Some(known) = known {
            bail!(
                "The CMS' secrets are sealed with the key {known}, and there is no {}. Put the file back, or set TOYGRES_ENCRYPTION_KEY.",
                file.display()
            );
        }
        let key = Self::generate();
        let mut made = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .with_context(|| format!("make {}", file.display()))?;
        made.write_all(key.reveal().as_bytes())?;
        made.sync_all()?;
        Self::parse(key.reveal())
    }

    /// Keeps a secret for its owner, over an older one.
    ///
    /// # Errors
    /// The CMS does not answer.
    pub async fn keep(
        &self,
        db: &mut PgConnection,
        kind: Kind,
        owner: Uuid,
        secret: &Secret,
    ) -> anyhow::Result<()> {
        let sealed = self.seal(secret.reveal().as_bytes(), &bound(kind.as_str(), owner))?;
        sqlx::query!(
            "insert into toygres.secret (kind, owner, key_id, sealed) values ($1, $2, $3, $4)
             on conflict (kind, owner) do update set key_id = excluded.key_id, sealed = excluded.sealed",
            kind.as_str(),
            owner,
            self.key_id,
            sealed
        )
        .execute(db)
        .await?;
        Ok(())
    }

    /// Reads a secret, if there is one.
    ///
    /// # Errors
    /// It was sealed with another key, or was moved here from another row.
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
        let text = self.unseal(&row.sealed, &bound(kind.as_str(), owner))?;
        Ok(Some(Secret::new(String::from_utf8(text).context("read a secret")?)))
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// The CMS does not answer.
    pub async fn forget(db: &mut PgConnection, kind: Kind, owner: Uuid) -> sqlx::Result<()> {
        let forget =
            sqlx::query!("delete from toygres.secret where kind = $1 and owner = $2", kind.as_str(), owner);
        forget.execute(db).await.map(drop)
    }

    /// Seals every secret anew with `new`, in one transaction; from then on servers need the new key. Returns how many.
    ///
    /// # Errors
    /// `self` is not the CMS' key.
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
            let bound = bound(&row.kind, row.owner);
            let sealed = new.seal(&self.unseal(&row.sealed, &bound)?, &bound)?;
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

    fn seal(&self, plain: &[u8], bound: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce = XNonce::generate();
        let sealed = self.cipher.encrypt(&nonce, Payload { msg: plain, aad: bound });
        let sealed = sealed.map_err(|_| anyhow::anyhow!("seal a secret"))?;
        Ok([&*nonce, &*sealed].concat())
    }

    fn unseal(&self, sealed: &[u8], bound: &[u8]) -> anyhow::Result<Vec<u8>> {
        ensure!(sealed.len() > NONCE, "a sealed secret is too short");
        let (nonce, sealed) = sealed.split_at(NONCE);
        let nonce = XNonce::try_from(nonce).context("read a nonce")?;
        let plain = self.cipher.decrypt(&nonce, Payload { msg: sealed, aad: bound });
        plain.map_err(|_| anyhow::anyhow!("a secret cannot be opened: another key, or another row's"))
    }
}

/// What a sealed value is bound to: its table, its column's meaning and its row.
fn bound(kind: &str, owner: Uuid) -> Vec<u8> {
    format!("toygres.secret/{kind}/{owner}").into_bytes()
}
