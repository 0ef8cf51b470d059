//! Adding, testing, changing and removing stores, with real jobs.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "these tests need no identity")]
#[path = "../../image/tests/emulators/mod.rs"]
mod emulators;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use control::commands::{add_store, remove_store, set_default_store, set_store_access, test_store};
use control::stores::{self, TypedKeys};
use control::{Config, Error, Keyring, Maintenance, NetworkAccess, Services};
use emulators::{ACCOUNT, KEY, sas};
use model::{Actor, FailureCode, Role, StoreAccess, StoreAuth, StoreId, UserId};
use platform::local::{LocalConfig, LocalPlatform};
use sqlx::PgPool;

/// The agent's program, which `cargo xtask test` builds; it is built here if it does not exist.
fn agent() -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let agent = target.ancestors().nth(2).unwrap().join("toygres-agent");
    if !agent.exists() {
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--workspace", "--bin", "toygres-agent"])
            .status();
        assert!(built.unwrap().success());
    }
    agent
}

/// Services that may access emulators on this machine.
async fn services(db: &PgPool) -> (Services, tempfile::TempDir) {
    let allowed = vec!["127.0.0.0/8".parse().unwrap()];
    services_with(db, NetworkAccess { allowed, ..NetworkAccess::default() }).await
}

async fn services_with(db: &PgPool, network: NetworkAccess) -> (Services, tempfile::TempDir) {
    let dir = tempfile::Builder::new().prefix("toygres-stores-test-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = LocalConfig {
        data_dir: dir.path().join("data"),
        agent_program: agent(),
        user: None,
        bin_dirs: Vec::new(),
    };
    let platform = Arc::new(LocalPlatform::open(config).await.unwrap());
    platform.make_store_dir().unwrap();
    let keys = Keyring::open(db, None, &dir.path().join("key")).await.unwrap();
    let default_store = Some((platform.store_url(), StoreAuth::Environment));
    let platform = platform as Arc<dyn platform::Platform>;
    let config = Config {
        db: db.clone(),
        platform,
        keys,
        default_store,
        maintenance: Maintenance::default(),
        network,
        require_fixed_clients: false,
        app_version: "test",
    };
    (Services::open(config).await.unwrap(), dir)
}

fn admin(sudo: bool) -> Actor {
    Actor {
        kind: model::ActorKind::Account,
        user: UserId::new(),
        name: "test".to_owned(),
        role: Role::Admin,
        sudo,
    }
}

fn keys(pairs: &[(&str, &str)]) -> TypedKeys {
    TypedKeys(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn field(error: &Error) -> Option<&'static str> {
    match error {
        Error::Invalid { field, .. } => Some(field),
        _ => None,
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn directory_is_added_tested_and_removed(db: PgPool) {
    let (services, dir) = services(&db).await;
    let (actor, plain) = (admin(true), StoreAccess::default());
    let add = async |name: &str, url: &str| {
        add_store(&services, &actor, name, url, &plain, TypedKeys::default()).await
    };
    // Jobs may run as another account, which must own the directory.
    let url = format!("file://{}/data/store/more", dir.path().display());
    let store = add("more", &url).await.unwrap();
    test_store(&services, &actor, store).await.unwrap();
    assert!(matches!(add("more", &format!("{url}2")).await, Err(Error::Conflict(_))));
    let refused = add("claim", "pvc://images/x").await.unwrap_err();
    assert_eq!(field(&refused), Some("url"));

    let without_sudo = remove_store(&services, &admin(false), store).await;
    assert!(matches!(without_sudo, Err(Error::SudoRequired)));
    set_default_store(&services, &actor, store).await.unwrap();
    assert!(matches!(remove_store(&services, &actor, store).await, Err(Error::Conflict(_))));
    let first = stores::list(&services).await.unwrap().into_iter().find(|one| one.id != store).unwrap();
    set_default_store(&services, &actor, first.id).await.unwrap();
    remove_store(&services, &actor, store).await.unwrap();
    assert!(matches!(test_store(&services, &actor, store).await, Err(Error::NotFound(_))));
    let outcomes: Vec<String> =
        sqlx::query_scalar("select outcome from toygres.audit where action = 'store.remove' order by id")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(outcomes, ["sudo_required", "conflict", "ok"]);
}

#[sqlx::test(migrations = "../../migrations")]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn access_keys_are_tested_sealed_kept_and_replaced(db: PgPool) {
    let (services, _dir) = services(&db).await;
    let (servers, actor) = (emulators::TestServers::new(), admin(true));
    let azurite = servers.azurite(false).await;
    let access =
        StoreAccess { auth: StoreAuth::Sealed, endpoint: Some(azurite.url(false)), ..StoreAccess::default() };
    let url = format!("az://{ACCOUNT}/images");
    let add = async |given| add_store(&services, &actor, "azure", &url, &access, given).await;
    assert_eq!(field(&add(keys(&[])).await.unwrap_err()), Some("account_key"));
    let refused = add(keys(&[("account_key", "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk=")])).await.unwrap_err();
    assert_eq!(field(&refused), Some("url"));
    // The same failure of the server and of the job is reported once.
    assert_eq!(refused.to_string().matches("AuthorizationFailure").count(), 1, "{refused}");
    assert_eq!(stores::list(&services).await.unwrap().len(), 1, "a store that failed its test was added");

    let store = add(keys(&[("account_key", KEY), ("access_key_id", "not of Azure")])).await.unwrap();
    test_store(&services, &actor, store).await.unwrap();
    // The key is kept if none is typed.
    set_store_access(&services, &actor, store, &access, keys(&[("account_key", " ")])).await.unwrap();
    let read_only = keys(&[("sas_token", &sas("rl"))]);
    let refused = set_store_access(&services, &actor, store, &access, read_only).await.unwrap_err();
    assert!(refused.to_string().contains("AuthorizationPermissionMismatch"), "{refused}");
    test_store(&services, &actor, store).await.unwrap();
    let signed = keys(&[("sas_token", &format!("?{}", sas("rcwdl")))]);
    set_store_access(&services, &actor, store, &access, signed).await.unwrap();
    test_store(&services, &actor, store).await.unwrap();

    let everything: String = sqlx::query_scalar(
        "select (select string_agg(s::text, ' ') from toygres.store s) || (select string_agg(a::text, ' ') from toygres.audit a)
             || (select string_agg(encode(sealed, 'escape'), ' ') from toygres.secret)",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert!(!everything.contains(KEY) && !everything.contains("sig=") && !everything.contains("Y2FuYXJ5"));
    remove_store(&services, &actor, store).await.unwrap();
    let secrets: i64 =
        sqlx::query_scalar("select count(*) from toygres.secret").fetch_one(&db).await.unwrap();
    assert_eq!(secrets, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn typed_hosts_of_a_store_are_checked(db: PgPool) {
    let (services, _dir) = services_with(&db, NetworkAccess::default()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let add = async |access: StoreAccess, given: &[(&str, &str)]| {
        let url = if matches!(access.auth, StoreAuth::AwsIdentity { .. }) {
            "s3://images"
        } else {
            "az://acme1/images"
        };
        add_store(&services, &admin(true), "denied", url, &access, keys(given)).await.unwrap_err()
    };
    let code = |error: &Error| match error {
        Error::Invalid { cause, .. } => *cause,
        _ => None,
    };
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let url = Some(format!("https://{host}:{port}"));
        let endpoint =
            StoreAccess { auth: StoreAuth::Sealed, endpoint: url.clone(), ..StoreAccess::default() };
        let refused = add(endpoint, &[("account_key", KEY)]).await;
        assert_eq!(
            (field(&refused), code(&refused)),
            (Some("endpoint"), Some(FailureCode::AddressNotAllowed))
        );
        let auth = StoreAuth::AwsIdentity {
            role_arn: "arn:aws:iam::123456789012:role/toygres".to_owned(),
            sts_endpoint: url.clone(),
        };
        let refused = add(StoreAccess { auth, ..StoreAccess::default() }, &[]).await;
        assert_eq!(
            (field(&refused), code(&refused)),
            (Some("sts_endpoint"), Some(FailureCode::AddressNotAllowed))
        );
    }
    // The first connection is this one.
    let own = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "a denied address was connected to");
}

#[sqlx::test(migrations = "../../migrations")]
async fn stored_keys_are_not_kept_for_another_endpoint(db: PgPool) {
    let (services, _dir) = services(&db).await;
    let store = StoreId::new();
    sqlx::query(
        "insert into toygres.store (id, name, url, auth, endpoint) values ($1, 'azure', $2, $3, 'https://a.example')",
    )
    .bind(store.0)
    .bind(format!("az://{ACCOUNT}/images"))
    .bind(serde_json::to_value(StoreAuth::Sealed).unwrap())
    .execute(&db)
    .await
    .unwrap();
    let access = StoreAccess {
        auth: StoreAuth::Sealed,
        endpoint: Some("https://b.example".to_owned()),
        ..StoreAccess::default()
    };
    let kept = set_store_access(&services, &admin(true), store, &access, keys(&[("account_key", "")])).await;
    assert_eq!(field(&kept.unwrap_err()), Some("account_key"), "the keys must be typed again");
}
