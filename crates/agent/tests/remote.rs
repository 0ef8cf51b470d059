//! Jobs and commands on a store in Azure with a workload identity; also with azcopy as the transfer tool.

#[expect(dead_code, reason = "these tests need no bucket")]
#[path = "../../image/tests/emulators/mod.rs"]
mod emulators;
#[expect(dead_code, reason = "each test file uses its own part")]
mod job_dir;
mod scratch;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use emulators::{ACCOUNT, Program, SUBJECT, TestServers, sas};
use image::Store;
use job_dir::{AGENT, JobDir};
use model::agent::SECRET_STORE;
use model::{FailureCode, ImageId, ImageType, Location, Outcome, Work};
use scratch::{PASSWORD, Server};

/// A substitute for azcopy: it records its arguments and environment, then does what its mode says. As azcopy, it is one process
/// while it uploads, so that who kills it ends the upload.
const FAKE_AZCOPY: &str = r#"#!/bin/sh
dir=$(dirname "$0")
printf '%s\n' "$@" >> "$dir/argv"
env >> "$dir/environment"
put() { exec curl -sf -X PUT --cacert "$dir/ca.pem" -H 'x-ms-blob-type: BlockBlob' --data-binary "@$2" "$1?$(cat "$dir/sas")"; }
case $(cat "$dir/mode") in
    works) put "$2" - ;;
    short) head -c 20 > "$dir/short.$$"; put "$2" "$dir/short.$$" ;;
    refused)
        cat > /dev/null
        echo '{"TimeStamp":"2026-11-24T10:00:00Z","MessageType":"Info","MessageContent":"Authenticating","PromptDetails":{}}'
        echo '{"TimeStamp":"2026-11-24T10:00:01Z","MessageType":"Error","MessageContent":"failed to perform copy command due to error: RESPONSE 403: This request is not authorized. ERROR CODE: AuthorizationPermissionMismatch"}'
        exit 1 ;;
    stuck) cat > /dev/null; exec sleep 600 ;;
esac
"#;

struct Remote {
    servers: TestServers,
    azurite: Program,
    tokens: Program,
    source: Server,
}

impl Remote {
    async fn new() -> Self {
        let servers = TestServers::new();
        let (azurite, tokens) = (servers.azurite(true).await, servers.token_endpoint(3600));
        servers.write_token(SUBJECT, "job", 600);
        let source = Server::new();
        source.psql(
            "postgres",
            "create table t as select generate_series(1, 20000) as i, md5(random()::text) as a",
        );
        Self { servers, azurite, tokens, source }
    }

    fn url() -> String {
        format!("az://{ACCOUNT}/images/all")
    }

    async fn objects(&self) -> Vec<String> {
        let store =
            Store::open(&Self::url(), &self.servers.identity(&self.azurite, &self.tokens)).expect("opened");
        store.list("images").await.expect("listed").into_iter().map(|(key, _)| key).collect()
    }

    /// The job of a backup, with options in addition to those of the identity.
    fn backup(&self, image: ImageId, more: &[(&str, &str)]) -> JobDir {
        let work = Work::Backup {
            image,
            to: Location { store: Self::url(), prefix: format!("images/{image}/1") },
            source: self.source.connection(),
            image_type: ImageType::Stock,
            databases: Vec::new(),
            streams: 2,
            bin_dir: Some(scratch::bin().to_str().expect("text").to_owned()),
            fixed_clients: false,
            previous: None,
        };
        let job = JobDir::new(work, PASSWORD);
        let options = self.servers.identity(&self.azurite, &self.tokens).to_json();
        let mut options: serde_json::Value = serde_json::from_str(&options).expect("JSON");
        for (key, value) in more {
            options[*key] = (*value).into();
        }
        std::fs::write(job.path("secrets").join(SECRET_STORE), options.to_string()).expect("written");
        job
    }

    /// Installs the substitute and returns a PATH that finds it.
    fn azcopy(&self, mode: &str) -> String {
        let dir = self.servers.dir.path().join("azcopy");
        std::fs::create_dir_all(&dir).expect("created");
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("written");
        write("azcopy", FAKE_AZCOPY);
        write("mode", mode);
        write("sas", &sas("rcwdl"));
        write("ca.pem", &self.servers.root());
        std::fs::set_permissions(dir.join("azcopy"), std::fs::Permissions::from_mode(0o755))
            .expect("allowed");
        format!("{}:/usr/bin:/bin", dir.display())
    }

    fn recorded(&self, name: &str) -> String {
        std::fs::read_to_string(self.servers.dir.path().join("azcopy").join(name)).unwrap_or_default()
    }

    /// A command of the agent, configured by the environment.
    fn command(&self, args: &[&str]) -> Output {
        Command::new(AGENT)
            .args(args)
            .env_clear()
            .env("AZURE_STORAGE_ENDPOINT", self.azurite.url(true))
            .env("AZURE_CLIENT_ID", "toygres")
            .env("AZURE_TENANT_ID", "tenant")
            .env("AZURE_AUTHORITY_HOST", self.tokens.url(true))
            .env("AZURE_FEDERATED_TOKEN_FILE", self.servers.path("token"))
            .env("SSL_CERT_FILE", self.servers.path("ca.pem"))
            .output()
            .expect("started")
    }
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn backup_in_azure_is_read_with_credentials_from_the_environment() {
    let remote = Remote::new().await;
    let image = ImageId::new();
    let job = remote.backup(image, &[]);
    job.command().env("PATH", "/usr/bin:/bin").status().expect("started");
    assert!(matches!(job.result().outcome, Some(Outcome::Backup { .. })), "{:?}", job.result());
    let url = format!("{}/images/{image}/1", Remote::url());
    let inspected = remote.command(&["inspect", &url, "--json"]);
    let manifest: model::Manifest = serde_json::from_slice(&inspected.stdout).expect("a manifest");
    assert_eq!((manifest.image, manifest.rows()), (image, 20000));
    let verified = remote.command(&["verify", &url]);
    assert!(verified.status.success(), "{verified:?}");

    let probe = JobDir::new(Work::ProbeStore { store: Remote::url() }, "");
    let options = remote.servers.identity(&remote.azurite, &remote.tokens).to_json();
    std::fs::write(probe.path("secrets").join(SECRET_STORE), options).expect("written");
    assert_eq!(probe.run(), 0);
    assert_eq!(probe.result().outcome, Some(Outcome::ProbeStore));
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn rejected_signature_is_not_in_the_output_of_the_job() {
    let remote = Remote::new().await;
    let probe = JobDir::new(Work::ProbeStore { store: Remote::url() }, "");
    let options = serde_json::json!({
        "endpoint": remote.azurite.url(true), "root_certificate": remote.servers.root(),
        "sas_token": "sv=2018-11-09&sr=c&sp=rcwdl&se=2099-01-01T00%3A00%3A00Z&sig=Y2FuYXJ5LWNhbmFyeS1jYW5hcnk%3D",
        "credential_type": "sas_token",
    });
    std::fs::write(probe.path("secrets").join(SECRET_STORE), options.to_string()).expect("written");
    assert_eq!(probe.run(), model::ExitClass::Authentication.code(), "{:?}", probe.result());
    let all = probe.events().iter().map(|event| format!("{event:?}")).collect::<String>();
    assert!(!all.contains("Y2FuYXJ5") && !all.contains("sig="), "{all}");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn azcopy_transfers_a_backup_without_secrets_in_its_arguments() {
    let remote = Remote::new().await;
    let (image, path) = (ImageId::new(), remote.azcopy("works"));
    let job = remote.backup(image, &[("transfer", "azcopy")]);
    job.command().env("PATH", &path).status().expect("started");
    assert!(matches!(job.result().outcome, Some(Outcome::Backup { .. })), "{:?}", job.result());
    let verified = remote.command(&["verify", &format!("{}/images/{image}/1", Remote::url())]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");

    let argv = remote.recorded("argv");
    let blob = format!("{}/{ACCOUNT}/images/all/images/{image}/1/0/schema.dump", remote.azurite.url(true));
    for argument in ["copy", "--from-to=PipeBlob", "--output-type=json", "--block-size-mb=8", &blob] {
        assert!(argv.lines().any(|line| line == argument), "{argument}: {argv}");
    }
    assert!(
        !argv.contains("identity") && !argv.contains("sig=") && !argv.contains("manifest.json"),
        "{argv}"
    );
    let environment = remote.recorded("environment");
    let token = format!("AZURE_FEDERATED_TOKEN_FILE={}", remote.servers.path("token"));
    for line in
        ["AZCOPY_AUTO_LOGIN_TYPE=WORKLOAD", "AZURE_CLIENT_ID=toygres", "AZURE_TENANT_ID=tenant", &token]
    {
        assert!(environment.lines().any(|found| found == line), "{line}: {environment}");
    }
    for name in ["AZCOPY_LOG_LOCATION=", "AZCOPY_JOB_PLAN_LOCATION="] {
        let path = environment.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert!(!std::path::Path::new(path).exists(), "{path} was not removed");
    }
    assert!(!environment.contains(PASSWORD), "azcopy received the source's password");
}

#[tokio::test]
#[ignore = "needs Azurite, which cargo xtask test installs"]
async fn failure_of_azcopy_leaves_no_image() {
    let remote = Remote::new().await;
    for (mode, code) in [("refused", Some(FailureCode::StoreAccessDenied)), ("short", None)] {
        let path = remote.azcopy(mode);
        let job = remote.backup(ImageId::new(), &[("transfer", "azcopy")]);
        job.command().env("PATH", &path).status().expect("started");
        let failure = job.failure();
        assert!(code.is_none_or(|code| code == failure.code), "{mode}: {failure:?}");
        assert_eq!(remote.objects().await, Vec::<String>::new(), "{mode}");
    }
    let job = remote.backup(ImageId::new(), &[("transfer", "azcopy")]);
    job.command()
        .env("PATH", "/usr/bin:/bin")
        .env("TOYGRES_AZCOPY", "/nowhere/azcopy")
        .status()
        .expect("started");
    assert_eq!(job.result().class(), model::ExitClass::Configuration, "{:?}", job.failure());

    // A stopped job ends azcopy before the pipe is closed, so that nothing is committed.
    std::fs::remove_file(remote.servers.dir.path().join("azcopy/argv")).expect("azcopy was called");
    let path = remote.azcopy("stuck");
    let job = remote.backup(ImageId::new(), &[("transfer", "azcopy")]);
    let mut agent = job.command().env("PATH", &path).spawn().expect("started");
    job_dir::until("azcopy is running", || !remote.recorded("argv").is_empty());
    job_dir::signal(&agent, rustix::process::Signal::TERM);
    assert_eq!(agent.wait().expect("ended").code(), Some(143));
    assert_eq!(remote.objects().await, Vec::<String>::new());
}
