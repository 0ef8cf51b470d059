//! The credentials of jobs: those that write no image can neither replace nor delete one.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "these tests need no identity")]
#[path = "../../image/tests/emulators/mod.rs"]
mod emulators;
mod world;

use std::sync::Arc;

use control::Error;
use control::commands::{add_store, create_instance, set_default_store};
use control::stores::TypedKeys;
use control::workflows::RestoreImage;
use emulators::{ACCOUNT, KEY, Program, TestServers};
use image::{Store, StoreOptions};
use model::instance::NewInstance;
use model::{FailureCode, StoreAccess, StoreAuth};
use sqlx::PgPool;
use world::flaky::{Faults, FlakyPlatform};
use world::{World, admin};

/// A user of moto's IAM.
struct User {
    key: String,
    secret: String,
}

async fn add(world: &World, url: &str, access: &StoreAccess, keys: &[(&str, &str)]) -> Result<(), Error> {
    let typed = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let store =
        add_store(&world.services, &admin(), "store", url, access, TypedKeys(typed.collect())).await?;
    set_default_store(&world.services, &admin(), store).await
}

fn sealed(endpoint: String) -> StoreAccess {
    StoreAccess { auth: StoreAuth::Sealed, endpoint: Some(endpoint), ..StoreAccess::default() }
}

/// Backs up an instance, verifies and restores it. Then the credentials of each job that read do not delete the image.
async fn backs_up_and_restores(world: &World, platform: &FlakyPlatform, url: &str) {
    let source = world.instance("orders").await;
    let image = world.image(source, "nightly").await;
    let new = NewInstance { name: "copy".to_owned(), source_image_id: Some(image), ..NewInstance::default() };
    let started = create_instance(&world.services, &admin(), new).await.unwrap();
    world.finish::<RestoreImage>(started.run_id).await;

    let open = |options: &StoreOptions| Store::existing(url, options).unwrap();
    let manifest = format!("{}/manifest.json", prefix(world, image).await);
    for step in ["VerifyImage", "RunRestoreJob"] {
        let reader = open(&platform.store_of(step));
        reader.get(&manifest).await.unwrap();
        for refused in [reader.delete(&manifest).await, reader.put(&manifest, "x").await] {
            assert_eq!(refused.unwrap_err().code(), FailureCode::StoreAccessDenied, "{step}");
        }
    }
    let writer = open(&platform.store_of("RunBackupJob"));
    writer.delete(&manifest).await.unwrap();
}

async fn prefix(world: &World, image: model::ImageId) -> String {
    let prefix = sqlx::query_scalar("select prefix from toygres.image where id = $1").bind(image.0);
    prefix.fetch_one(world.services.db()).await.unwrap()
}

async fn flaky(db: &PgPool) -> (World, Arc<FlakyPlatform>) {
    let mut platform = None;
    let world = World::on(db, |local| {
        Arc::clone(platform.insert(Arc::new(FlakyPlatform::new(local, Faults::default()))))
    });
    let world = world.await;
    (world, platform.unwrap())
}

#[sqlx::test(migrations = "../../migrations")]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn jobs_that_read_get_a_signature_instead_of_the_account_key(db: PgPool) {
    let (world, platform) = flaky(&db).await;
    let servers = TestServers::new();
    let azurite = servers.azurite(false).await;
    let url = format!("az://{ACCOUNT}/images/toygres");
    add(&world, &url, &sealed(azurite.url(false)), &[("account_key", KEY)]).await.unwrap();
    backs_up_and_restores(&world, &platform, &url).await;
    assert!(platform.store_of("RunBackupJob").secrets().iter().any(|secret| secret == KEY));
    for step in ["VerifyImage", "RunRestoreJob"] {
        assert!(!platform.store_of(step).to_json().contains(KEY), "{step} got the account key");
    }
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
#[ignore = "needs moto, which cargo xtask test installs"]
async fn jobs_that_read_get_the_keys_for_reading(db: PgPool) {
    let (world, platform) = flaky(&db).await;
    let servers = TestServers::new();
    let moto = servers.moto().await;
    let everything = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    // As in docs/OPERATIONS.md.
    let reading = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::images/toygres/*"},
        {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::images"},
        {"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::images/toygres/logs/*"}"#;
    let writer = user(&servers, &moto, "writer", everything).await;
    let reader = user(&servers, &moto, "reader", reading).await;
    // From now on moto checks policies.
    let enforced = servers.client().post(format!("{}/moto-api/reset-auth", moto.url(false))).body("0");
    assert!(enforced.send().await.unwrap().status().is_success());

    let url = "s3://images/toygres";
    let keys = |reader: &User| {
        let keys = [
            ("access_key_id", &writer.key),
            ("secret_access_key", &writer.secret),
            ("reading_access_key_id", &reader.key),
            ("reading_secret_access_key", &reader.secret),
        ];
        keys.map(|(name, value)| (name, value.clone()))
    };
    let add = async |reader: &User| {
        let keys = keys(reader);
        let keys: Vec<(&str, &str)> = keys.iter().map(|(name, value)| (*name, &**value)).collect();
        add(&world, url, &sealed(moto.url(false)), &keys).await
    };
    let too_wide = add(&writer).await.unwrap_err();
    assert!(too_wide.to_string().contains("keys for reading"), "{too_wide}");
    add(&reader).await.unwrap();
    backs_up_and_restores(&world, &platform, url).await;
    for step in ["VerifyImage", "RunRestoreJob"] {
        assert!(
            !platform.store_of(step).to_json().contains(&writer.secret),
            "{step} got the key for writing"
        );
    }
    world.end().await;
}

/// Creates a user of moto's IAM, whose policy has these statements.
async fn user(servers: &TestServers, moto: &Program, name: &str, statements: &str) -> User {
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let call = async |fields: &[(&str, &str)]| {
        let scope =
            "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/iam/aws4_request, SignedHeaders=a, Signature=a";
        let form = [&[("Version", "2010-05-08"), ("UserName", name)], fields].concat();
        let request = servers.client().post(moto.url(false)).header("authorization", scope).form(&form);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.unwrap()
    };
    call(&[("Action", "CreateUser")]).await;
    call(&[("Action", "PutUserPolicy"), ("PolicyName", "p"), ("PolicyDocument", &policy)]).await;
    let created = call(&[("Action", "CreateAccessKey")]).await;
    let element = |name: &str| {
        let (_, rest) = created.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    User { key: element("AccessKeyId"), secret: element("SecretAccessKey") }
}
