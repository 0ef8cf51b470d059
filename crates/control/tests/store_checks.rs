//! The periodic checks of stores: lost and altered objects of images, objects that no row needs, scheduled verifications.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use control::store_checks::check_store;
use control::workflows::VerifyImage;
use control::{overview, stores};
use image::{SEAL, Store, StoreOptions};
use model::{FailureCode, ImageId, Seal, StoreId};
use sqlx::PgPool;
use uuid::Uuid;
use world::{World, status};

/// A world with the store of its platform.
struct Checked {
    db: PgPool,
    world: World,
    id: StoreId,
    store: Store,
}

impl Checked {
    async fn new(db: &PgPool) -> Self {
        let world = World::new(db).await;
        let id = stores::list(&world.services).await.unwrap()[0].id;
        let store = Store::open(&world.platform.store_url(), &StoreOptions::default()).unwrap();
        Self { db: db.clone(), world, id, store }
    }

    async fn check(&self) -> control::Result<()> {
        check_store(&self.world.services, self.id).await
    }

    async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(&self.db).await.unwrap();
    }

    /// Makes the check of every image due.
    async fn let_a_day_pass(&self) {
        self.execute(
            "update toygres.image set verified_at = verified_at - interval '25 hours',
                 objects_checked_at = objects_checked_at - interval '25 hours', created_at = created_at - interval '25 hours'",
        )
        .await;
        self.execute("update toygres.unused_prefix set first_seen = first_seen - interval '25 hours'").await;
    }

    async fn prefix(&self, image: ImageId) -> String {
        let prefix = sqlx::query_scalar("select prefix from toygres.image where id = $1").bind(image.0);
        prefix.fetch_one(&self.db).await.unwrap()
    }

    async fn status(&self, image: ImageId) -> String {
        status(&self.db, "image", image.0).await.unwrap()
    }

    async fn error(&self, image: ImageId) -> (Option<String>, Option<String>) {
        let error =
            sqlx::query_as("select error_code, error_subject from toygres.image where id = $1").bind(image.0);
        error.fetch_one(&self.db).await.unwrap()
    }

    /// What the seals of the listed images say.
    async fn seals(&self) -> Vec<Option<Seal>> {
        let listed = stores::unused_prefixes(&self.world.services, 100).await.unwrap();
        listed
            .iter()
            .filter(|unused| unused.prefix.starts_with("images/"))
            .map(|unused| unused.seal)
            .collect()
    }

    /// The prefixes that are listed for users.
    async fn listed(&self) -> Vec<String> {
        let listed = stores::unused_prefixes(&self.world.services, 100).await.unwrap();
        listed.into_iter().map(|unused| unused.prefix).collect()
    }

    async fn objects(&self) -> Vec<(String, u64)> {
        let mut objects = Vec::new();
        for top in ["images", "logs", "probe"] {
            objects.extend(self.store.list(top).await.unwrap());
        }
        objects.sort();
        objects
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn lost_and_altered_objects_make_an_image_corrupt(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let mut images = Vec::new();
    for name in ["whole", "lost", "truncated", "replaced"] {
        images.push(checked.world.image(source, name).await);
    }
    let [whole, lost, truncated, replaced] = images[..] else { unreachable!() };
    let object = async |image| format!("{}/0/schema.dump", checked.prefix(image).await);
    checked.store.delete(&object(lost).await).await.unwrap();
    checked.store.put(&object(truncated).await, "x").await.unwrap();
    checked
        .execute("update toygres.image set manifest_sha256 = repeat('0', 64) where name = 'replaced'")
        .await;

    checked.check().await.unwrap();
    assert_eq!(checked.status(lost).await, "available", "the check is not due yet");
    checked.let_a_day_pass().await;
    checked.check().await.unwrap();
    assert_eq!(checked.status(whole).await, "available");
    for (image, code, subject) in [
        (lost, FailureCode::ObjectMissing, object(lost).await),
        (truncated, FailureCode::ObjectDamaged, object(truncated).await),
        (replaced, FailureCode::ManifestReplaced, "manifest.json".to_owned()),
    ] {
        assert_eq!(checked.status(image).await, "corrupt");
        assert_eq!(checked.error(image).await, (Some(code.as_str().to_owned()), Some(subject)));
    }
    assert_eq!(overview::get(&checked.world.services).await.unwrap().counts.corrupt_images, 3);
    let audited: i64 = sqlx::query_scalar("select count(*) from toygres.audit where action = 'image.check'")
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(audited, 3);
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn unavailable_store_changes_no_image(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let image = checked.world.image(source, "image").await;
    checked.let_a_day_pass().await;
    let path = checked.world.platform.store_url().strip_prefix("file://").unwrap().to_owned();
    let parked = format!("{path}.parked");
    std::fs::rename(&path, &parked).unwrap();
    let failure = async || match checked.check().await {
        Err(control::Error::Failed(failure)) => failure.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(failure().await, FailureCode::StoreContainerMissing);
    // The mount point of a volume that is not mounted.
    std::fs::create_dir(&path).unwrap();
    assert_eq!(failure().await, FailureCode::StoreContainerMissing);
    assert_eq!(checked.status(image).await, "available");
    let recorded = stores::list(&checked.world.services).await.unwrap()[0].check_failure.clone();
    assert_eq!(recorded.unwrap().code, FailureCode::StoreContainerMissing);

    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&parked, &path).unwrap();
    checked.check().await.unwrap();
    assert_eq!(checked.status(image).await, "available");
    assert_eq!(stores::list(&checked.world.services).await.unwrap()[0].check_failure, None);
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn unknown_objects_are_listed_at_the_second_sighting_and_never_deleted(db: PgPool) {
    let checked = Checked::new(&db).await;
    let unknown = [
        format!("images/{}/{}", Uuid::now_v7(), Uuid::now_v7()),
        "images/notes".to_owned(),
        format!("logs/{}", Uuid::now_v7()),
        format!("probe/{}", Uuid::now_v7()),
    ];
    for prefix in &unknown {
        checked.store.put(&format!("{prefix}/object"), "12345").await.unwrap();
    }
    let before = checked.objects().await;
    checked.check().await.unwrap();
    checked.check().await.unwrap();
    assert_eq!(checked.listed().await, Vec::<String>::new(), "a day has not passed");
    for _ in 0..3 {
        checked.let_a_day_pass().await;
        checked.check().await.unwrap();
        let mut listed = checked.listed().await;
        listed.sort();
        assert_eq!(listed, unknown);
    }
    assert_eq!(checked.objects().await, before);
    let store = &stores::list(&checked.world.services).await.unwrap()[0];
    assert_eq!((store.unused_objects, store.unused_bytes), (4, 20));
    // Deleted by a user.
    checked.store.delete(&format!("{}/object", unknown[1])).await.unwrap();
    checked.check().await.unwrap();
    assert!(!checked.listed().await.contains(&unknown[1]));
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn leftovers_of_a_known_image_are_deleted_and_its_published_attempt_is_kept(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let image = checked.world.image(source, "image").await;
    let published = checked.objects().await;
    let leftover = format!("images/{image}/{}/0/schema.dump", Uuid::now_v7());
    // A complete image, although its row names another attempt.
    let complete = format!("images/{image}/{}", Uuid::now_v7());
    for key in [&leftover, &format!("{complete}/manifest.json")] {
        checked.store.put(key, "x").await.unwrap();
    }
    checked.check().await.unwrap();
    checked.let_a_day_pass().await;
    // A run that has not ended may still write.
    checked.execute("update toygres.image set status = 'deleting'").await;
    checked.check().await.unwrap();
    assert_eq!(checked.objects().await.len(), published.len() + 2);
    checked.execute("update toygres.image set status = 'available'").await;

    checked.check().await.unwrap();
    checked.let_a_day_pass().await;
    checked.check().await.unwrap();
    let mut kept = published.clone();
    kept.push((format!("{complete}/manifest.json"), 1));
    kept.sort();
    assert_eq!(checked.objects().await, kept);
    assert_eq!(checked.listed().await, [complete]);
    assert_eq!(checked.status(image).await, "available");
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn restored_older_state_database_deletes_nothing(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let image = checked.world.image(source, "image").await;
    let during_its_backup = checked.world.image(source, "during-its-backup").await;
    let objects = checked.objects().await;
    // The older database has the first image not at all, and the second one as a backup that then failed.
    checked.execute("delete from toygres.image where name = 'image'").await;
    checked
        .execute(
            "update toygres.image set status = 'failed', prefix = null, manifest = null, manifest_sha256 = null,
                 verified_at = null",
        )
        .await;
    for _ in 0..3 {
        checked.check().await.unwrap();
        checked.let_a_day_pass().await;
    }
    assert_eq!(checked.objects().await, objects);
    let listed = checked.listed().await;
    for image in [image, during_its_backup] {
        assert!(listed.iter().any(|prefix| prefix.starts_with(&format!("images/{image}/"))), "{listed:?}");
    }
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn image_that_was_not_verified_for_a_week_is_verified(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let (first, second) =
        (checked.world.image(source, "first").await, checked.world.image(source, "second").await);
    let started = async || -> Vec<(Uuid, String, String)> {
        let runs = "select id, labels ->> 'image', labels ->> 'started_by' from toygres.run
                    where name = 'verify-image' order by created_at";
        sqlx::query_as(runs).fetch_all(&db).await.unwrap()
    };
    checked.check().await.unwrap();
    assert!(started().await.is_empty());
    checked.execute("update toygres.image set verified_at = verified_at - interval '8 days'").await;
    // One image of a store at a time.
    checked.check().await.unwrap();
    checked.check().await.unwrap();
    let runs = started().await;
    let [(run, image, started_by)] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((image, started_by.as_str()), (&first.to_string(), "system"));
    checked.world.finish::<VerifyImage>(model::RunId(*run)).await;
    checked.check().await.unwrap();
    let runs = started().await;
    let [_, (run, image, _)] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(image, &second.to_string());
    checked.world.finish::<VerifyImage>(model::RunId(*run)).await;
    checked.check().await.unwrap();
    assert_eq!(started().await.len(), 2);
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn seal_tells_an_original_without_a_row_from_others(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let image = checked.world.image(source, "image").await;
    let key = format!("{}/{SEAL}", checked.prefix(image).await);
    let sealed = String::from_utf8(checked.store.get(&key).await.unwrap().to_vec()).unwrap();
    let with = |field: &str, value: &str| {
        let mut seal: serde_json::Value = serde_json::from_str(&sealed).unwrap();
        seal[field] = value.into();
        seal.to_string()
    };
    // The row is lost, as with an older state database.
    checked.execute("delete from toygres.image").await;
    checked.check().await.unwrap();
    checked.let_a_day_pass().await;
    checked.check().await.unwrap();
    assert_eq!(checked.seals().await, [Some(Seal::Original)]);
    for (replaced, seal) in [
        (with("mac", &"0".repeat(64)), Seal::Mismatch),
        (with("key_id", "0123456789ab"), Seal::OtherKey),
        (sealed.clone(), Seal::Original),
    ] {
        checked.store.put(&key, replaced).await.unwrap();
        checked.check().await.unwrap();
        assert_eq!(checked.seals().await, [Some(seal)]);
    }
    checked.store.delete(&key).await.unwrap();
    checked.check().await.unwrap();
    assert_eq!(checked.seals().await, [Some(Seal::Missing)]);
    let manifest = key.replace(SEAL, "manifest.json");
    checked.store.put(&manifest, "x").await.unwrap();
    checked.check().await.unwrap();
    assert_eq!(checked.seals().await, [None], "a manifest that cannot be read");
    checked.world.end().await;
}
