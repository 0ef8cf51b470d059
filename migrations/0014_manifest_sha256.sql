-- The SHA-256 of the manifest that the backup wrote, in hexadecimal. Verifications and restores refuse any other manifest. Images of
-- earlier versions have none.
alter table toygres.image
    add column manifest_sha256 text check (manifest_sha256 ~ '^[0-9a-f]{64}$');
