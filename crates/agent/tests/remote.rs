//! Jobs and the agent alone on a store of Azure, by workload identity; azcopy in the place of our own client.

#[expect(dead_code, reason = "these tests need no bucket")]
#[path = "../../image/tests/emulators/mod.rs"]
mod emulators;
#[expect(dead_code, reason = "each test file uses its own part")]
mod job_dir;
mod scratch;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use emulators::{ACCOUNT, Program, SUBJECT, World, sas};
use image::Store;
use job_dir::{AGENT, JobDir};
use model::agent::SECRET_STORE;
use model::{ExitClass, ImageId, ImageType, Location, Outcome, Work};
use scratch::{Cluster, PASSWORD};

/// What stands in for azcopy: it records what it was given, and then does what its mode says.
const STAND_IN: &str = r#"#!/bin/sh
dir=$(dirname "$0")
printf '%s\n' "$@" >> "$dir/argv"
env >> "$dir/environment"
put() { curl -sf -X PUT --cacert "$dir/ca.pem" -H 'x-ms-blob-type: BlockBlob' --data-binary @- "$1?$(cat "$dir/sas")"; }
case $(cat "$dir/mode") in
    works) put "$2" ;;
    short) head -c 20 | put "$2" ;;
    refused)
        cat > /dev/null
        echo '{"TimeStamp":"2026-11-24T10:00:00Z","MessageType":"Info","MessageContent":"Authenticating","PromptDetails":{}}'
        echo '{"TimeStamp":"2026-11-24T10:00:01Z","MessageType":"Error","MessageContent":"failed to perform copy command due to error: RESPONSE 403: This request is not authorized. ERROR CODE: AuthorizationPermissionMismatch"}'
        exit 1 ;;
    stuck) cat > /dev/null; exec sleep 600 ;;
esac
"#;

struct Remote {
    world: World,
    azurite: Program,
    tokens: Program,
    source: Cluster,
}

impl Remote {
    async fn new() -> Self {
        let world = World::new();
        let (azurite, tokens) = (world.azurite(true).await, world.token_endpoint(3600));
        world.write_token(SUBJECT, "job", 600);
        let source = Cluster::new();
        source.psql(
            "postgres",
            "create table t as select generate_series(1, 20000) as i, md5(random()::text) as a",
        );
        Self { world, azurite, tokens, source }
    }

    fn url() -> String {
        format!("az://{ACCOUNT}/images/all")
    }

    async fn objects(&self) -> Vec<String> {
        let store =
            Store::open(&Self::url(), &self.world.identity(&self.azurite, &self.tokens)).expect("opened");
        store.list("images").await.expect("listed").into_iter().map(|(key, _)| key).collect()
    }

    /// A backup as a job, with more options than those of the identity.
    fn backup(&self, image: ImageId, more: &[(&str, &str)]) -> JobDir {
        let work = Work::Backup {
            image,
            to: Location { store: Self::url(), prefix: format!("images/{image}/1") },
            source: self.source.connection(),
            image_type: ImageType::Stock,
            databases: Vec::new(),
            streams: 2,
            bin_dir: Some(scratch::bin().to_str().expect("text").to_owned()),
        };
        let job = JobDir::new(work, PASSWORD);
        let options = self.world.identity(&self.azurite, &self.tokens).to_json();
        let mut options: serde_json::Value = serde_json::from_str(&options).expect("JSON");
        for (key, value) in more {
            options[*key] = (*value).into();
        }
        std::fs::write(job.path("secrets").join(SECRET_STORE), options.to_string()).expect("written");
        job
    }

    /// Puts the stand-in where azcopy would be.
    fn azcopy(&self, mode: &str) -> String {
        let dir = self.world.dir.path().join("azcopy");
        std::fs::create_dir_all(&dir).expect("made");
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("written");
        write("azcopy", STAND_IN);
        write("mode", mode);
        write("sas", &sas("rcwdl"));
        write("ca.pem", &self.world.root());
        std::fs::set_permissions(dir.join("azcopy"), std::fs::Permissions::from_mode(0o755))
            .expect("allowed");
        format!("{}:/usr/bin:/bin", dir.display())
    }

    fn recorded(&self, name: &str) -> String {
        std::fs::read_to_string(self.world.dir.path().join("azcopy").join(name)).unwrap_or_default()
    }

    /// The agent alone, with nothing but an environment.
    fn alone(&self, args: &[&str]) -> Output {
        Command::new(AGENT)
            .args(args)
            .env_clear()
            .env("AZURE_STORAGE_ENDPOINT", self.azurite.url(true))
            .env("AZURE_CLIENT_ID", "toygres")
            .env("AZURE_TENANT_ID", "tenant")
            .env("AZURE_AUTHORITY_HOST", self.tokens.url(true))
            .env("AZURE_FEDERATED_TOKEN_FILE", self.world.path("token"))
            .env("SSL_CERT_FILE", self.world.path("ca.pem"))
            .output()
            .expect("started")
    }
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn a_backup_into_azure_is_read_back_with_the_environment_alone() {
    let remote = Remote::new().await;
    let image = ImageId::new();
    let job = remote.backup(image, &[]);
    job.command().env("PATH", "/usr/bin:/bin").status().expect("started");
    assert!(matches!(job.result().outcome, Some(Outcome::Backup { .. })), "{:?}", job.result());
    let url = format!("{}/images/{image}/1", Remote::url());
    let inspected = remote.alone(&["inspect", &url, "--json"]);
    let manifest: model::Manifest = serde_json::from_slice(&inspected.stdout).expect("a manifest");
    assert_eq!((manifest.image, manifest.rows()), (image, 20000));
    let verified = remote.alone(&["verify", &url]);
    assert!(String::from_utf8_lossy(&verified.stdout).contains("The image is whole"), "{verified:?}");

    let probe = JobDir::new(Work::ProbeStore { store: Remote::url() }, "");
    let options = remote.world.identity(&remote.azurite, &remote.tokens).to_json();
    std::fs::write(probe.path("secrets").join(SECRET_STORE), options).expect("written");
    assert_eq!(probe.run(), 0);
    assert_eq!(probe.result().outcome, Some(Outcome::ProbeStore));
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn a_key_that_is_wrong_is_in_no_word_of_the_job() {
    let remote = Remote::new().await;
    let probe = JobDir::new(Work::ProbeStore { store: Remote::url() }, "");
    let options = serde_json::json!({
        "endpoint": remote.azurite.url(true), "root_certificate": remote.world.root(),
        "sas_token": "sv=2018-11-09&sr=c&sp=rcwdl&se=2099-01-01T00%3A00%3A00Z&sig=Y2FuYXJ5LWNhbmFyeS1jYW5hcnk%3D",
        "credential_type": "sas_token",
    });
    std::fs::write(probe.path("secrets").join(SECRET_STORE), options.to_string()).expect("written");
    assert_eq!(probe.run(), ExitClass::Authentication.code(), "{:?}", probe.result());
    let all = probe.events().iter().map(|event| format!("{event:?}")).collect::<String>();
    assert!(!all.contains("Y2FuYXJ5") && !all.contains("sig="), "{all}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn azcopy_carries_a_backup_with_the_identity_and_no_secret_in_its_arguments() {
    let remote = Remote::new().await;
    let (image, path) = (ImageId::new(), remote.azcopy("works"));
    let job = remote.backup(image, &[("transfer", "azcopy")]);
    job.command().env("PATH", &path).status().expect("started");
    assert!(matches!(job.result().outcome, Some(Outcome::Backup { .. })), "{:?}", job.result());
    let verified = remote.alone(&["verify", &format!("{}/images/{image}/1", Remote::url())]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");

    let argv = remote.recorded("argv");
    let blob = format!("{}/{ACCOUNT}/images/all/images/{image}/1/0/schema.dump", remote.azurite.url(true));
    for word in ["copy", "--from-to=PipeBlob", "--output-type=json", "--block-size-mb=8", &blob] {
        assert!(argv.lines().any(|line| line == word), "{word}: {argv}");
    }
    assert!(
        !argv.contains("identity") && !argv.contains("sig=") && !argv.contains("manifest.json"),
        "{argv}"
    );
    let environment = remote.recorded("environment");
    let token = format!("AZURE_FEDERATED_TOKEN_FILE={}", remote.world.path("token"));
    for line in
        ["AZCOPY_AUTO_LOGIN_TYPE=WORKLOAD", "AZURE_CLIENT_ID=toygres", "AZURE_TENANT_ID=tenant", &token]
    {
        assert!(environment.lines().any(|said| said == line), "{line}: {environment}");
    }
    for name in ["AZCOPY_LOG_LOCATION=", "AZCOPY_JOB_PLAN_LOCATION="] {
        let place = environment.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert!(!std::path::Path::new(place).exists(), "{place} is left");
    }
    assert!(!environment.contains(PASSWORD), "the source's password is none of azcopy's business");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn azcopy_that_fails_or_lies_leaves_no_image() {
    let remote = Remote::new().await;
    for (mode, class, word) in [
        ("refused", Some(ExitClass::Authentication), "Storage Blob Data Contributor"),
        ("short", None, "azcopy"),
    ] {
        let path = remote.azcopy(mode);
        let job = remote.backup(ImageId::new(), &[("transfer", "azcopy")]);
        job.command().env("PATH", &path).status().expect("started");
        let (result, error) = (job.result(), job.result().error.unwrap_or_default());
        assert!(
            class.is_none_or(|class| class == result.class) && result.class != ExitClass::Ok,
            "{result:?}"
        );
        assert!(error.contains(word), "{mode}: {error}");
        assert_eq!(remote.objects().await, Vec::<String>::new(), "{mode}");
    }
    let job = remote.backup(ImageId::new(), &[("transfer", "azcopy")]);
    job.command()
        .env("PATH", "/usr/bin:/bin")
        .env("TOYGRES_AZCOPY", "/nowhere/azcopy")
        .status()
        .expect("started");
    assert_eq!(job.result().class, ExitClass::Configuration);
    assert!(job.result().error.is_some_and(|error| error.contains("install azcopy")));

    // A job that is stopped ends azcopy before the pipe does: nothing is committed.
    let path = remote.azcopy("stuck");
    let job = remote.backup(ImageId::new(), &[("transfer", "azcopy")]);
    let mut agent = job.command().env("PATH", &path).spawn().expect("started");
    job_dir::until("azcopy at work", || remote.recorded("argv").matches("globals").count() > 2);
    job_dir::signal(&agent, rustix::process::Signal::TERM);
    assert_eq!(agent.wait().expect("ended").code(), Some(143));
    assert_eq!(remote.objects().await, Vec::<String>::new());
}
