//! The periodic checks of stores: lost and altered objects of images, objects that no row needs, scheduled verifications.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use control::store_checks::{self, check_store};
use control::workflows::{CreateImage, VerifyImage};
use control::{Services, overview, stores};
use image::{SEAL, Store, StoreOptions};
use model::image::NewImage;
use model::{FailureCode, ImageId, InstanceId, RunId, Seal, StoreId};
use sqlx::PgPool;
use uuid::Uuid;
use workflow::Workflow;
use workflow::testing::{Fault, perform};
use world::{World, admin, status};

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

    /// The directory of the store.
    fn path(&self) -> PathBuf {
        self.store.url().strip_prefix("file://").unwrap().into()
    }

    /// Moves the directory of the store, as when its volume is not mounted.
    fn park(&self) {
        std::fs::rename(self.path(), self.path().with_extension("parked")).unwrap();
    }

    /// Creates an empty directory in the place of the store. Every account can write to it.
    fn substitute(&self) {
        std::fs::create_dir(self.path()).unwrap();
        std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    }

    /// Moves the directory of the store back. A directory in its place is removed.
    fn unpark(&self) {
        let _ = std::fs::remove_dir_all(self.path());
        std::fs::rename(self.path().with_extension("parked"), self.path()).unwrap();
    }

    /// Verifies an image. Returns the state in which the run ends, and the code of its failure.
    async fn verify(&self, image: ImageId) -> (String, Option<String>) {
        let started = control::commands::verify_image(&self.world.services, &admin(), image).await.unwrap();
        self.end_of::<VerifyImage>(started.run_id).await
    }

    /// Backs up an instance. Returns the state in which the run ends, and the code of its failure.
    async fn back_up(&self, instance: InstanceId, name: &str) -> (String, Option<String>) {
        let new = NewImage { name: name.to_owned(), instance_id: Some(instance), ..NewImage::default() };
        let started = control::commands::back_up(&self.world.services, &admin(), new).await.unwrap();
        self.end_of::<CreateImage>(started.run_id).await
    }

    async fn end_of<W: Workflow<Services = Services>>(&self, run: RunId) -> (String, Option<String>) {
        let services = self.world.services.clone();
        let pool = self.world.pool();
        let state =
            perform::<W>(&self.db, services, &pool, Fault::None, workflow::RunId(run.0)).await.unwrap();
        let code = sqlx::query_scalar("select error_code from toygres.run where id = $1").bind(run.0);
        (state, code.fetch_one(&self.db).await.unwrap())
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
async fn verification_in_a_directory_without_images_changes_no_image(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let image = checked.world.image(source, "image").await;
    checked.world.image(source, "other").await;
    checked.park();
    assert_eq!(
        checked.verify(image).await,
        ("failed".to_owned(), Some("store_container_missing".to_owned()))
    );
    // The mount point of a volume that is not mounted.
    checked.substitute();
    assert_eq!(
        checked.verify(image).await,
        ("failed".to_owned(), Some("store_container_missing".to_owned()))
    );
    assert_eq!(checked.status(image).await, "available");

    checked.unpark();
    assert_eq!(checked.verify(image).await, ("succeeded".to_owned(), None));
    let manifest = format!("{}/manifest.json", checked.prefix(image).await);
    checked.store.delete(&manifest).await.unwrap();
    assert_eq!(checked.verify(image).await, ("failed".to_owned(), Some("manifest_missing".to_owned())));
    assert_eq!(checked.status(image).await, "corrupt");
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn verification_of_the_only_image_needs_one_of_its_objects_to_make_it_corrupt(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let image = checked.world.image(source, "image").await;
    let prefix = checked.prefix(image).await;
    let path = checked.path().join(&prefix);
    let parked = path.with_extension("parked");
    std::fs::rename(&path, &parked).unwrap();
    assert_eq!(
        checked.verify(image).await,
        ("failed".to_owned(), Some("store_container_missing".to_owned()))
    );
    assert_eq!(checked.status(image).await, "available");
    std::fs::rename(&parked, &path).unwrap();
    checked.store.delete(&format!("{prefix}/manifest.json")).await.unwrap();
    assert_eq!(checked.verify(image).await, ("failed".to_owned(), Some("manifest_missing".to_owned())));
    assert_eq!(checked.status(image).await, "corrupt");
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn verification_of_an_image_of_another_platform_changes_no_image(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let own = checked.world.image(source, "own").await;
    let foreign = checked.world.image(source, "foreign").await;
    // The same path is another directory on the machine of the other platform.
    checked
        .execute(
            "with other as (insert into toygres.platform (id, kind, identity)
                 values (gen_random_uuid(), 'local', 'another machine') returning id)
             update toygres.run set pool = (select id::text from other)
             where id = (select run from toygres.image where name = 'foreign')",
        )
        .await;
    let path = checked.path().join(checked.prefix(foreign).await);
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(
        checked.verify(foreign).await,
        ("failed".to_owned(), Some("store_container_missing".to_owned()))
    );
    assert_eq!(checked.status(foreign).await, "available");
    assert_eq!(checked.verify(own).await, ("succeeded".to_owned(), None));
    checked.world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn backup_into_a_directory_without_its_images_is_refused(db: PgPool) {
    let checked = Checked::new(&db).await;
    let source = checked.world.instance("source").await;
    let store = checked.path();
    assert!(!store_checks::has_images(&checked.world.services, checked.store.url()).await.unwrap());
    // The first backup creates the directory.
    std::fs::remove_dir_all(&store).unwrap();
    checked.world.platform.make_store_dir().unwrap();
    checked.world.image(source, "image").await;
    assert!(store_checks::has_images(&checked.world.services, checked.store.url()).await.unwrap());

    checked.park();
    let refused = ("failed".to_owned(), Some("store_container_missing".to_owned()));
    assert_eq!(checked.back_up(source, "missing").await, refused);
    let tested = control::commands::test_store(&checked.world.services, &admin(), checked.id).await;
    assert_eq!(tested.unwrap_err().code(), "store_container_missing");
    assert!(!store.exists(), "the directory was created");
    checked.substitute();
    assert_eq!(checked.back_up(source, "substitute").await, refused);
    let tested = control::commands::test_store(&checked.world.services, &admin(), checked.id).await;
    assert_eq!(tested.unwrap_err().code(), "store_container_missing");
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 0, "the substitute is not empty");
    let jobs: i64 = sqlx::query_scalar(
        "select count(*) from toygres.job j join toygres.run r on r.id = j.run_id
         where r.name = 'create-image' and r.labels ->> 'image_name' in ('missing', 'substitute')",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(jobs, 0);

    checked.unpark();
    checked.world.image(source, "second").await;
    control::commands::test_store(&checked.world.services, &admin(), checked.id).await.unwrap();
    checked.world.ensure_clean().await.unwrap();
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
