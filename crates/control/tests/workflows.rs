//! Every workflow meets every fault, on the real platform, with the real agent: and nothing is left of what failed.

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
use platform::{Platform, ServerState};
use sqlx::PgPool;
use workflow::testing::{Fault, meet_all_faults, perform};
use workflow::{Plan, RunId};
use world::{World, somebody, status};

/// What a change of which needs a new version, as long as runs of the old one live.
#[test]
fn the_lists_of_steps_are_what_runs_in_flight_expect() {
    let making = [
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
    let expected: [(Plan, &str, i32, &[&str]); 8] = [
        (Plan::of::<CreateImage>(), "create-image", 1, &backup),
        (Plan::of::<CreateInstance>(), "create-instance", 1, &making),
        (Plan::of::<RestoreImage>(), "restore-image", 1, &restoring),
        (
            Plan::of::<DeleteInstance>(),
            "delete-instance",
            1,
            &["DeletePostgres", "DeletePvc", "DeleteInstanceRecord"],
        ),
        (
            Plan::of::<StartInstance>(),
            "start-instance",
            1,
            &["StartPostgres", "TestConnection", "UpdateInstanceStatus"],
        ),
        (Plan::of::<StopInstance>(), "stop-instance", 1, &["StopPostgres", "UpdateInstanceStatus"]),
        (Plan::of::<DeleteImage>(), "delete-image", 1, &["DeleteImageObjects", "DeleteImageRecord"]),
        (Plan::of::<VerifyImage>(), "verify-image", 1, &["RunVerifyJob", "UpdateImageStatus"]),
    ];
    for (plan, name, version, steps) in expected {
        assert_eq!((plan.name, plan.version, &*plan.steps), (name, version, steps));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn making_an_instance(db: PgPool) {
    let world = World::new(&db).await;
    let number = std::cell::Cell::new(0);
    let made = std::cell::Cell::new(None);
    let begin = async |_| {
        number.set(number.get() + 1);
        let new = NewInstance { name: format!("made-{}", number.get()), ..NewInstance::default() };
        let started = control::instances::create(&world.services, &somebody(), new).await?;
        made.set(Some(started.id));
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let id = made.get().unwrap();
        let expected = if fault.ends() == "succeeded" { "running" } else { "failed" };
        anyhow::ensure!(
            status(&db, "instance", id.0).await.as_deref() == Some(expected),
            "the instance is not {expected}"
        );
        if expected == "running" {
            world.platform.delete_volume(id).await?;
            sqlx::query("delete from toygres.instance where id = $1").bind(id.0).execute(&db).await?;
        }
        world.is_clean().await
    };
    meet_all_faults::<CreateInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    let needs = async || control::overview::get(&world.services).await.unwrap().needs_you.len();
    assert!(needs().await > 0, "a failure needs somebody");
    sqlx::query("delete from toygres.instance").execute(&db).await.unwrap();
    assert_eq!(needs().await, 0, "that of an instance that is gone needs nobody");
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn making_verifying_and_deleting_an_image(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let number = std::cell::Cell::new(0);
    let made = std::cell::Cell::new(None);
    let name = || {
        number.set(number.get() + 1);
        format!("image-{}", number.get())
    };
    let begin = async |_| {
        let new = NewImage { name: name(), instance_id: Some(source), ..NewImage::default() };
        let started = control::images::create(&world.services, &somebody(), new).await?;
        made.set(Some(started.id));
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let expected = if fault.ends() == "succeeded" { "available" } else { "failed" };
        let found = status(&db, "image", made.get().unwrap().0).await;
        anyhow::ensure!(found.as_deref() == Some(expected), "the image is {found:?}, not {expected}");
        world.is_clean().await
    };
    meet_all_faults::<CreateImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    // At once and without a name: each gets one.
    let unnamed = || {
        let new = NewImage { instance_id: Some(source), ..NewImage::default() };
        async { control::images::create(&world.services, &somebody(), new).await.unwrap() }
    };
    let (first, second, third) = tokio::join!(unnamed(), unnamed(), unnamed());
    for started in [first, second, third] {
        world.finish::<CreateImage>(started.run_id).await;
    }

    let kept = world.image(source, "kept").await;
    let begin =
        async |_| Ok(RunId(control::images::verify(&world.services, &somebody(), kept).await?.run_id.0));
    let check = async |_, _| {
        anyhow::ensure!(
            status(&db, "image", kept.0).await.as_deref() == Some("available"),
            "the image is not available"
        );
        world.is_clean().await
    };
    meet_all_faults::<VerifyImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();

    let begin = async |_| {
        let name = name();
        let id = world.image(source, &name).await;
        made.set(Some(id));
        Ok(RunId(control::images::delete(&world.services, &somebody(), id, &name).await?.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let found = status(&db, "image", made.get().unwrap().0).await;
        match (fault.ends(), found.as_deref()) {
            ("succeeded", None) => world.is_clean().await,
            // Nothing can be put back: what remains says that it is no image any more. When the row itself was gone already,
            // nothing remains to say so.
            ("failed" | "cancelled", Some("corrupt") | None) => Ok(()),
            (ends, found) => anyhow::bail!("after a run that {ends} the image is {found:?}"),
        }
    };
    meet_all_faults::<DeleteImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn restoring_an_image(db: PgPool) {
    let world = World::new(&db).await;
    let source = world.instance("source").await;
    let image = world.image(source, "image").await;
    let number = std::cell::Cell::new(0);
    let made = std::cell::Cell::new(None);
    let begin = async |_| {
        number.set(number.get() + 1);
        let name = format!("restored-{}", number.get());
        let new = NewInstance { name, source_image_id: Some(image), ..NewInstance::default() };
        let started = control::instances::create(&world.services, &somebody(), new).await?;
        made.set(Some(started.id));
        // While it is read, an image is not deleted.
        let refused = control::images::delete(&world.services, &somebody(), image, "image").await;
        anyhow::ensure!(
            matches!(refused, Err(control::Error::Conflict(_))),
            "an image was deleted under a restore"
        );
        Ok(RunId(started.run_id.0))
    };
    let check = async |fault: Fault, _| {
        let id = made.get().unwrap();
        let expected = if fault.ends() == "succeeded" { "running" } else { "failed" };
        let found = status(&db, "instance", id.0).await;
        anyhow::ensure!(found.as_deref() == Some(expected), "the instance is {found:?}, not {expected}");
        if expected == "running" {
            world.platform.delete_volume(id).await?;
            sqlx::query("delete from toygres.instance where id = $1").bind(id.0).execute(&db).await?;
        }
        anyhow::ensure!(
            status(&db, "image", image.0).await.as_deref() == Some("available"),
            "the image suffered"
        );
        world.is_clean().await
    };
    meet_all_faults::<RestoreImage, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn deleting_an_instance(db: PgPool) {
    let world = World::new(&db).await;
    let number = std::cell::Cell::new(0);
    let at_hand = std::cell::RefCell::new((InstanceId::new(), String::new()));
    let delete = async |name: String| {
        let started = control::instances::delete(&world.services, &somebody(), &name, &name).await?;
        anyhow::Ok(RunId(started.run_id.0))
    };
    let begin = async |_| {
        number.set(number.get() + 1);
        let name = format!("going-{}", number.get());
        let id = world.instance(&name).await;
        at_hand.replace((id, name.clone()));
        delete(name).await
    };
    let check = async |fault: Fault, _| {
        let (id, name) = at_hand.borrow().clone();
        let found = status(&db, "instance", id.0).await;
        match (fault.ends(), found.as_deref()) {
            ("succeeded", None) | ("failed" | "cancelled", Some("failed") | None) => {}
            (ends, found) => anyhow::bail!("after a run that {ends} the instance is {found:?}"),
        }
        if found.is_some() {
            // What could not be deleted whole can be deleted again.
            let run = delete(name).await?;
            world.finish::<DeleteInstance>(model::RunId(run.0)).await;
        }
        anyhow::ensure!(status(&db, "instance", id.0).await.is_none(), "the row is left");
        anyhow::ensure!(world.platform.instances().await?.is_empty(), "something is left on the platform");
        let secrets: i64 = sqlx::query_scalar("select count(*) from toygres.secret").fetch_one(&db).await?;
        anyhow::ensure!(secrets == 0, "{secrets} secrets are left");
        world.is_clean().await
    };
    meet_all_faults::<DeleteInstance, _, _, _, _>(&db, world.services.clone(), &world.pool(), begin, check)
        .await
        .unwrap();
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn stopping_and_starting_an_instance(db: PgPool) {
    let world = World::new(&db).await;
    let id = world.instance("turning").await;
    let is = async |wanted: &str| {
        let found = status(&db, "instance", id.0).await;
        anyhow::ensure!(found.as_deref() == Some(wanted), "the instance is {found:?}, not {wanted}");
        let server = world.platform.observe_server(id).await?;
        anyhow::ensure!(
            (server == ServerState::Running) == (wanted == "running"),
            "the server is {server:?}"
        );
        world.is_clean().await
    };
    let stop = async || {
        let started = control::instances::stop(&world.services, &somebody(), "turning").await?;
        anyhow::Ok(RunId(started.run_id.0))
    };
    let start = async || {
        let started = control::instances::start(&world.services, &somebody(), "turning").await?;
        // Nobody stops what is being started.
        let refused = control::instances::stop(&world.services, &somebody(), "turning").await;
        anyhow::ensure!(matches!(refused, Err(control::Error::Conflict(_))), "it was stopped meanwhile");
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
async fn starting_one_that_is_down_mends_it_and_never_stops_it(db: PgPool) {
    let world = World::new(&db).await;
    let id = world.instance("downcast").await;
    let start = async || {
        sqlx::query("update toygres.instance set health = 'down'").execute(&db).await.unwrap();
        control::instances::start(&world.services, &somebody(), "downcast").await.unwrap().run_id
    };
    // As if its process had ended by itself.
    world.platform.stop_server(id).await.unwrap();
    sqlx::query("update toygres.instance set health = 'down'").execute(&db).await.unwrap();
    let new = NewImage { instance_id: Some(id), ..NewImage::default() };
    let refused = control::images::create(&world.services, &somebody(), new).await;
    assert!(matches!(&refused, Err(control::Error::Conflict(words)) if words.contains("Start it")));
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
async fn secrets_open_only_where_they_belong(db: PgPool) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let keys = Keyring::open(&db, None, &file).await.unwrap();
    let (one, other) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let kind = control::secrets::Kind::InstancePassword;
    let mut connection = db.acquire().await.unwrap();
    keys.keep(&mut connection, kind, one, &platform::Secret::new("canary".to_owned())).await.unwrap();
    assert_eq!(keys.read(&db, kind, one).await.unwrap().unwrap().reveal(), "canary");
    // A sealed value that is moved to another row does not open there.
    sqlx::query("insert into toygres.secret (kind, owner, key_id, sealed) select kind, $2, key_id, sealed from toygres.secret where owner = $1")
        .bind(one)
        .bind(other)
        .execute(&db)
        .await
        .unwrap();
    assert!(keys.read(&db, kind, other).await.is_err());
    sqlx::query("delete from toygres.secret where owner = $1").bind(other).execute(&db).await.unwrap();
    // Another key, or none, is refused by the name of the right one.
    let wrong = Keyring::generate();
    let refused = Keyring::open(&db, Some(&wrong), &file).await.unwrap_err().to_string();
    assert!(refused.contains(keys.key_id()), "{refused}");
    let refused = Keyring::open(&db, None, &dir.path().join("missing")).await.unwrap_err().to_string();
    assert!(refused.contains(keys.key_id()), "{refused}");
    assert!(!dir.path().join("missing").exists());
    // After a rotation the new key opens everything and the old one nothing.
    let new = Keyring::parse(wrong.reveal()).unwrap();
    assert_eq!(keys.rotate(&db, &new).await.unwrap(), 1);
    assert_eq!(new.read(&db, kind, one).await.unwrap().unwrap().reveal(), "canary");
    assert!(keys.read(&db, kind, one).await.is_err());
    assert!(Keyring::open(&db, None, &file).await.is_err());
}
