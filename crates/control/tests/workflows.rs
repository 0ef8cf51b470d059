//! Every workflow under every fault, on the local platform with the real agent: a failed run leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use control::Keyring;
use control::workflows::{
    CreateImage, CreateInstance, DeleteImage, DeleteInstance, RestoreImage, StartInstance, StopInstance,
    VerifyImage,
};
use model::InstanceId;
use model::image::NewImage;
use model::instance::NewInstance;
use platform::{ExposeSecret, Instances, Secret, ServerState};
use sqlx::PgPool;
use workflow::testing::{Fault, meet_all_faults, perform};
use workflow::{RunId, WorkflowShape};
use world::{World, admin, status};

/// The position of the step that makes a backup available.
const PUBLISH: i32 = 4;

/// A change of a list needs a new version of the workflow as long as runs of the old version exist.
#[test]
fn steps_of_workflows_are_unchanged() {
    let creating = [
        "CreatePvc",
        "CreateInstanceRecord",
        "DeployPostgresFromPvc",
        "TestConnection",
        "UpdateInstanceStatus",
    ];
    let restoring = [
        "CreatePvc",
        "GetSourcePassword",
        "CreateInstanceRecord",
        "RunRestoreJob",
        "DeployPostgresFromPvc",
        "TestConnection",
        "UpdateInstanceStatus",
        "UpdateImageStatus",
    ];
    let backup =
        ["CreateImageRecord", "GetInstanceByK8sName", "RunBackupJob", "VerifyImage", "UpdateImageStatus"];
    let expected: [(WorkflowShape, &str, i32, &[&str]); 8] = [
        (WorkflowShape::of::<CreateImage>(), "create-image", 1, &backup),
        (WorkflowShape::of::<CreateInstance>(), "create-instance", 1, &creating),
        (WorkflowShape::of::<RestoreImage>(), "restore-image", 1, &restoring),
        (
            WorkflowShape::of::<DeleteInstance>(),
            "delete-instance",
            1,
            &["DeletePostgres", "DeletePvc", "DeleteInstanceRecord"],
        ),
        (
            WorkflowShape::of::<StartInstance>(),
            "start-instance",
            1,
            &["StartPostgres", "TestConnection", "UpdateInstanceStatus"],
        ),
        (WorkflowShape::of::<StopInstance>(), "stop-instance", 1, &["StopPostgres", "UpdateInstanceStatus"]),
        (WorkflowShape::of::<DeleteImage>(), "delete-image", 1, &["DeleteImageObjects", "DeleteImageRecord"]),
        (WorkflowShape::of::<VerifyImage>(), "verify-image", 1, &["RunVerifyJob", "UpdateImageStatus"]),
    ];
    for (shape, name, version, steps) in expected {
        assert_eq!((shape.name, shape.version, &*shape.steps), (name, version, steps));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn create_instance_survives_every_fault(db: PgPool) {
    let world = World::new(&db).await;
    let number = std::cell::Cell::new(0);
    let created = std::cell::Cell::new(None);
    let begin = async |_| {
        number.set(number.get() + 1);
        let new = NewInstance { name: format!("created-{}", number.get()), ..NewInstance::default() };
        let started = control::commands::create_instance(&world.services, &admin(), new).await?;
        created.set(Some(started.id));
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let id = created.get().unwrap();
        let expected = if fault.ends() == "succeeded" { "running" } else { "failed" };
        anyhow::ensure!(
            status(&db, "instance", id.0).await.as_deref() == Some(expected),
            "the instance is not {expected}"
        );
        if expected == "running" {
            world.platform.delete_volume(id).await?;
            sqlx::query("delete from toygres.instance where id = $1").bind(id.0).execute(&db).await?;
        }
        world.ensure_clean().await
    };
    meet_all_faults::<CreateInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    let attention = async || control::overview::get(&world.services).await.unwrap().needs_attention.len();
    assert!(attention().await > 0, "a failed run needs attention");
    sqlx::query("delete from toygres.instance").execute(&db).await.unwrap();
    assert_eq!(attention().await, 0, "the failed run of a deleted instance needs no attention");
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn backup_verification_and_deletion_survive_every_fault(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let number = std::cell::Cell::new(0);
    let created = std::cell::Cell::new(None);
    let name = || {
        number.set(number.get() + 1);
        format!("image-{}", number.get())
    };
    let begin = async |_| {
        let new = NewImage { name: name(), instance_id: Some(source), ..NewImage::default() };
        let started = control::commands::back_up(&world.services, &admin(), new).await?;
        created.set(Some(started.id));
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let found = status(&db, "image", created.get().unwrap().0).await;
        let expected: &[&str] = match fault {
            _ if fault.ends() == "succeeded" => &["available"],
            // A cancellation can come before or after the publication.
            Fault::CancelAt(PUBLISH) => &["available", "failed"],
            // A published image stays available.
            Fault::FailAt(PUBLISH)
            | Fault::FailAtUndoTwice(PUBLISH)
            | Fault::LoseUndoBefore(PUBLISH)
            | Fault::LoseUndoAfter(PUBLISH)
            | Fault::CancelAfter(PUBLISH) => &["available"],
            _ => &["failed"],
        };
        anyhow::ensure!(
            found.as_deref().is_some_and(|found| expected.contains(&found)),
            "the image is {found:?}, not {expected:?}"
        );
        world.ensure_clean().await
    };
    meet_all_faults::<CreateImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    // Concurrent backups without a name get different names.
    let unnamed = || {
        let new = NewImage { instance_id: Some(source), ..NewImage::default() };
        async { control::commands::back_up(&world.services, &admin(), new).await.unwrap() }
    };
    let (first, second, third) = tokio::join!(unnamed(), unnamed(), unnamed());
    for started in [first, second, third] {
        world.finish::<CreateImage>(started.run_id).await;
    }

    let kept = world.image(source, "kept").await;
    let begin =
        async |_| Ok(RunId(control::commands::verify_image(&world.services, &admin(), kept).await?.run_id.0));
    let check = async |_, _| {
        anyhow::ensure!(
            status(&db, "image", kept.0).await.as_deref() == Some("available"),
            "the image is not available"
        );
        world.ensure_clean().await
    };
    meet_all_faults::<VerifyImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    let begin = async |_| {
        let name = name();
        let id = world.image(source, &name).await;
        created.set(Some(id));
        Ok(RunId(control::commands::delete_image(&world.services, &admin(), id, &name).await?.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let found = status(&db, "image", created.get().unwrap().0).await;
        match (fault.ends(), found.as_deref()) {
            ("succeeded", None) => world.ensure_clean().await,
            // Deleted objects cannot be restored, so the row is marked as corrupt unless it is already deleted.
            ("failed" | "cancelled", Some("corrupt") | None) => Ok(()),
            // It was cancelled before it deleted anything.
            ("cancelled", Some("available")) => Ok(()),
            (ends, found) => anyhow::bail!("after a run that {ends} the image is {found:?}"),
        }
    };
    meet_all_faults::<DeleteImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn restore_survives_every_fault(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let image = world.image(source, "image").await;
    let number = std::cell::Cell::new(0);
    let created = std::cell::Cell::new(None);
    let begin = async |_| {
        number.set(number.get() + 1);
        let name = format!("restored-{}", number.get());
        let new = NewInstance { name, source_image_id: Some(image), ..NewInstance::default() };
        let started = control::commands::create_instance(&world.services, &admin(), new).await?;
        created.set(Some(started.id));
        // An image cannot be deleted during its restore.
        let refused = control::commands::delete_image(&world.services, &admin(), image, "image").await;
        anyhow::ensure!(
            matches!(refused, Err(control::Error::Conflict(_))),
            "an image was deleted during its restore"
        );
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let id = created.get().unwrap();
        let expected = if fault.ends() == "succeeded" { "running" } else { "failed" };
        let found = status(&db, "instance", id.0).await;
        anyhow::ensure!(found.as_deref() == Some(expected), "the instance is {found:?}, not {expected}");
        if expected == "running" {
            world.platform.delete_volume(id).await?;
            sqlx::query("delete from toygres.instance where id = $1").bind(id.0).execute(&db).await?;
        }
        anyhow::ensure!(
            status(&db, "image", image.0).await.as_deref() == Some("available"),
            "the image changed"
        );
        world.ensure_clean().await
    };
    meet_all_faults::<RestoreImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn delete_instance_survives_every_fault(db: PgPool) {
    let world = World::new(&db).await;
    let number = std::cell::Cell::new(0);
    let current = std::cell::RefCell::new((InstanceId::new(), String::new()));
    let delete = async |name: String| {
        let started = control::commands::delete_instance(&world.services, &admin(), &name, &name).await?;
        anyhow::Ok(RunId(started.run_id.0))
    };
    let begin = async |_| {
        number.set(number.get() + 1);
        let name = format!("deleted-{}", number.get());
        let id = world.instance(&name).await;
        current.replace((id, name.clone()));
        delete(name).await
    };
    let check = async |fault: Fault, _| {
        let (id, name) = current.borrow().clone();
        let found = status(&db, "instance", id.0).await;
        match (fault.ends(), found.as_deref()) {
            ("succeeded", None) | ("failed" | "cancelled", Some("failed") | None) => {}
            (ends, found) => anyhow::bail!("after a run that {ends} the instance is {found:?}"),
        }
        if found.is_some() {
            // A partially deleted instance can be deleted again.
            let run = delete(name).await?;
            world.finish::<DeleteInstance>(model::RunId(run.0)).await;
        }
        anyhow::ensure!(status(&db, "instance", id.0).await.is_none(), "the row remains");
        anyhow::ensure!(world.platform.instances().await?.is_empty(), "the platform still has an instance");
        let secrets: i64 = sqlx::query_scalar("select count(*) from toygres.secret").fetch_one(&db).await?;
        anyhow::ensure!(secrets == 0, "{secrets} secrets remain");
        world.ensure_clean().await
    };
    meet_all_faults::<DeleteInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn stop_and_start_survive_every_fault(db: PgPool) {
    let world = World::new(&db).await;
    let id = world.instance("switched").await;
    let is = async |wanted: &str| {
        let found = status(&db, "instance", id.0).await;
        anyhow::ensure!(found.as_deref() == Some(wanted), "the instance is {found:?}, not {wanted}");
        let server = world.platform.observe_server(id).await?;
        anyhow::ensure!(
            (server == ServerState::Running) == (wanted == "running"),
            "the server is {server:?}"
        );
        world.ensure_clean().await
    };
    let stop = async || {
        let started = control::commands::stop_instance(&world.services, &admin(), "switched").await?;
        anyhow::Ok(RunId(started.run_id.0))
    };
    let start = async || {
        let started = control::commands::start_instance(&world.services, &admin(), "switched").await?;
        // An instance cannot be stopped while it starts.
        let refused = control::commands::stop_instance(&world.services, &admin(), "switched").await;
        anyhow::ensure!(
            matches!(refused, Err(control::Error::Conflict(_))),
            "the instance was stopped during its start"
        );
        anyhow::Ok(RunId(started.run_id.0))
    };
    let begin = async |_| stop().await;
    let check = async |fault: Fault, _| {
        if fault.ends() != "succeeded" {
            return is("running").await;
        }
        is("stopped").await?;
        world.finish::<StartInstance>(model::RunId(start().await?.0)).await;
        is("running").await
    };
    meet_all_faults::<StopInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    world.finish::<StopInstance>(model::RunId(stop().await.unwrap().0)).await;
    let begin = async |_| start().await;
    let check = async |fault: Fault, _| {
        if fault.ends() != "succeeded" {
            return is("stopped").await;
        }
        is("running").await?;
        world.finish::<StopInstance>(model::RunId(stop().await?.0)).await;
        is("stopped").await
    };
    meet_all_faults::<StartInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn image_whose_manifest_was_replaced_is_refused_and_corrupt(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let image = world.image(source, "one").await;
    let (prefix, recorded): (String, String) =
        sqlx::query_as("select prefix, manifest_sha256 from toygres.image").fetch_one(&db).await.unwrap();
    let store = image::Store::open(&world.platform.store_url(), &image::StoreOptions::default()).unwrap();
    let reader = image::ImageReader::open(store, &prefix).await.unwrap();
    assert_eq!(recorded, reader.manifest_sha256);

    // Whatever the store has, it is not what the backup wrote.
    sqlx::query("update toygres.image set manifest_sha256 = repeat('0', 64)").execute(&db).await.unwrap();
    let restore =
        NewInstance { name: "restored".to_owned(), source_image_id: Some(image), ..NewInstance::default() };
    let restore = control::commands::create_instance(&world.services, &admin(), restore).await.unwrap();
    let run = RunId(restore.run_id.0);
    let pool = world.pool();
    let state = perform::<RestoreImage>(&db, world.services.clone(), &pool, Fault::None, run).await.unwrap();
    assert_eq!(state, "failed");
    let verify = control::commands::verify_image(&world.services, &admin(), image).await.unwrap();
    let run = RunId(verify.run_id.0);
    let state = perform::<VerifyImage>(&db, world.services.clone(), &pool, Fault::None, run).await.unwrap();
    assert_eq!(state, "failed");
    let found: (String, String) =
        sqlx::query_as("select status, error_code from toygres.image").fetch_one(&db).await.unwrap();
    assert_eq!(found, ("corrupt".to_owned(), "manifest_replaced".to_owned()));

    sqlx::query("update toygres.image set manifest_sha256 = $1").bind(recorded).execute(&db).await.unwrap();
    let verify = control::commands::verify_image(&world.services, &admin(), image).await.unwrap();
    world.finish::<VerifyImage>(verify.run_id).await;
    assert_eq!(status(&db, "image", image.0).await.as_deref(), Some("available"));
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn failed_start_of_a_crashed_instance_does_not_stop_it(db: PgPool) {
    let world = World::new(&db).await;
    let id = world.instance("crashed").await;
    let start = async || {
        sqlx::query("update toygres.instance set health = 'down'").execute(&db).await.unwrap();
        control::commands::start_instance(&world.services, &admin(), "crashed").await.unwrap().run_id
    };
    // Simulates a crash of the server.
    world.platform.stop_server(id).await.unwrap();
    sqlx::query("update toygres.instance set health = 'down'").execute(&db).await.unwrap();
    let new = NewImage { instance_id: Some(id), ..NewImage::default() };
    let refused = control::commands::back_up(&world.services, &admin(), new).await;
    assert!(matches!(&refused, Err(control::Error::Conflict(_))));
    world.finish::<StartInstance>(start().await).await;
    assert_eq!(world.platform.observe_server(id).await.unwrap(), ServerState::Running);

    let run = RunId(start().await.0);
    let pool = world.pool();
    let state =
        perform::<StartInstance>(&db, world.services.clone(), &pool, Fault::FailAt(1), run).await.unwrap();
    assert_eq!(state, "failed");
    assert_eq!(status(&db, "instance", id.0).await.as_deref(), Some("running"));
    assert_eq!(world.platform.observe_server(id).await.unwrap(), ServerState::Running);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn secret_opens_only_with_its_key_and_in_its_row(db: PgPool) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let keys = Keyring::open(&db, None, &file).await.unwrap();
    let (one, other) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let kind = control::secrets::Kind::InstancePassword;
    let mut connection = db.acquire().await.unwrap();
    keys.save(&mut connection, kind, one, &Secret::from("canary")).await.unwrap();
    assert_eq!(keys.read(&db, kind, one).await.unwrap().unwrap().expose_secret(), "canary");
    // A sealed value cannot be opened in another row.
    sqlx::query("insert into toygres.secret (kind, owner, key_id, sealed) select kind, $2, key_id, sealed from toygres.secret where owner = $1")
        .bind(one)
        .bind(other)
        .execute(&db)
        .await
        .unwrap();
    assert!(keys.read(&db, kind, other).await.is_err());
    sqlx::query("delete from toygres.secret where owner = $1").bind(other).execute(&db).await.unwrap();
    // Another key and a missing one are rejected, and the id of the right key is named.
    let wrong = Keyring::generate();
    let refused = Keyring::open(&db, Some(&wrong), &file).await.unwrap_err().to_string();
    assert!(refused.contains(keys.key_id()), "{refused}");
    let refused = Keyring::open(&db, None, &dir.path().join("missing")).await.unwrap_err().to_string();
    assert!(refused.contains(keys.key_id()), "{refused}");
    assert!(!dir.path().join("missing").exists());
    // After a rotation, the new key opens every secret and the old key opens none.
    let new = Keyring::parse(wrong.expose_secret()).unwrap();
    assert_eq!(keys.rotate(&db, &new).await.unwrap(), 1);
    assert_eq!(new.read(&db, kind, one).await.unwrap().unwrap().expose_secret(), "canary");
    assert!(keys.read(&db, kind, one).await.is_err());
    assert!(Keyring::open(&db, None, &file).await.is_err());
}
