//! `deploy/deploy-to-aks.sh` with a fake az, kubectl and cargo: its calls, what a second run repeats, and what it never prints.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DATABASE_URL: &str = "postgres://toygres:canary-5b1c@db.test/toygres";

/// A directory with the fake programs and the state of the fake Azure.
struct FakeAzure {
    dir: tempfile::TempDir,
}

impl FakeAzure {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = root().join("xtask/tests/fake.sh");
        for program in ["az", "kubectl", "cargo"] {
            std::os::unix::fs::symlink(&fake, dir.path().join(program)).unwrap();
        }
        Self { dir }
    }

    fn deploy(&self, args: &[&str]) -> Command {
        let mut deploy = Command::new(root().join("deploy/deploy-to-aks.sh"));
        let path = format!("{}:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        deploy
            .args(["--resource-group", "shop", "--cluster", "blue", "--storage-account", "shopimages"])
            .args(args)
            .env("PATH", path)
            .env("STATE", self.dir.path())
            .env("TMPDIR", self.dir.path())
            .env_remove("DATABASE_URL")
            .env_remove("TOYGRES_ADMIN_PASSWORD");
        deploy
    }

    /// The calls since the last call of this function, with the paths of temporary directories replaced.
    fn calls(&self) -> Vec<String> {
        let file = self.dir.path().join("calls");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        let plain = |word: &str| {
            if word.starts_with("/tmp/") { "TEMPORARY".to_owned() } else { word.to_owned() }
        };
        text.lines().map(|line| line.split(' ').map(plain).collect::<Vec<_>>().join(" ")).collect()
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// The settings and the kustomization of every overlay that was applied.
    fn applied(&self) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap().flatten().map(|entry| entry.path());
        let overlays = entries.filter(|path| path.display().to_string().contains("/applied-"));
        let read = |path: PathBuf| {
            let text = |name| std::fs::read_to_string(path.join(name)).unwrap();
            (text("settings.env") + &text("identities.env"), text("kustomization.yaml"))
        };
        overlays.map(read).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The calls that change something.
fn changes(calls: &[String]) -> Vec<&str> {
    let verbs = [" create ", " update ", " build ", " apply ", " set "];
    calls.iter().map(String::as_str).filter(|call| verbs.iter().any(|verb| call.contains(verb))).collect()
}

#[test]
fn dry_run_prints_every_command_and_calls_none() {
    let azure = FakeAzure::new();
    let output =
        ran(&mut azure.deploy(&["--acr", "shopregistry", "--dns-label", "shop-toygres", "--dry-run"]));
    let shown = String::from_utf8_lossy(&output.stdout);
    for part in [
        "az storage container-rm create",
        "az identity federated-credential create",
        "Storage\\ Blob\\ Data\\ Contributor",
        "Storage\\ Blob\\ Delegator",
        "az aks update",
        "az acr build",
        "make-secrets",
        "create secret generic toygres-secrets",
        "TOYGRES_STORE=az://shopimages/toygres-images",
        "SERVER_CLIENT_ID=<client of toygres-server>",
        "../../components/cms",
        "azure-dns-label-name: shop-toygres",
        "kubectl apply --server-side -k",
        "Nothing was called",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    // The overlay exists, for review.
    let overlay = shown.split("kubectl kustomize ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(Path::new(overlay).join("kustomization.yaml").is_file(), "{overlay}");
    assert_eq!(azure.calls(), Vec::<String>::new());
}

#[test]
fn later_runs_create_nothing_again() {
    let azure = FakeAzure::new();
    ran(&mut azure.deploy(&["--image", "shop.azurecr.io/toygres:1"]));
    let first = azure.calls();
    let made = |part: &str| first.iter().filter(|call| call.contains(part)).count();
    assert_eq!(made("az group create"), 1);
    assert_eq!(made("az storage account create"), 1);
    assert_eq!(made("az storage container-rm create"), 1);
    assert_eq!(made("az aks update"), 1);
    assert_eq!(made("az identity create"), 2);
    assert_eq!(made("--subject system:serviceaccount:toygres-system:toygres-server"), 1);
    assert_eq!(made("--subject system:serviceaccount:toygres-managed:toygres-job"), 1);
    assert_eq!(made("az role assignment create"), 3);
    assert_eq!(made("create secret generic"), 1);
    let secrets = azure.file("secrets");
    for run in 2..4 {
        ran(&mut azure.deploy(&["--image", "shop.azurecr.io/toygres:1"]));
        let again = azure.calls();
        let applied = ["kubectl apply --server-side -f", "kubectl apply --server-side -k"];
        let changed = changes(&again);
        assert_eq!(changed.len(), 2, "run {run}: {changed:?}");
        assert!(changed.iter().zip(applied).all(|(call, apply)| call.starts_with(apply)), "{changed:?}");
        assert_eq!(azure.file("secrets"), secrets);
    }
    let overlays = azure.applied();
    assert_eq!(overlays.len(), 3);
    for (settings, kustomization) in &overlays {
        assert!(settings.contains("TOYGRES_STORE=az://shopimages/toygres-images"), "{settings}");
        assert!(settings.contains("TOYGRES_IMAGE=shop.azurecr.io/toygres:1"), "{settings}");
        assert!(settings.contains("JOB_CLIENT_ID=toygres-job-clientId"), "{settings}");
        assert!(
            kustomization.contains("components/cms"),
            "no DATABASE_URL was given, and no state database is deployed"
        );
    }
}

#[test]
fn container_image_is_built_in_the_registry_and_the_cluster_can_pull_it() {
    let azure = FakeAzure::new();
    ran(&mut azure.deploy(&["--acr", "shopregistry"]));
    let calls = azure.calls();
    let made = |part: &str| calls.iter().any(|call| call.contains(part));
    assert!(made("cargo xtask image --release --context-only"));
    assert!(made("az acr build --registry shopregistry --image toygres:"));
    assert!(made(
        "az role assignment create --assignee-object-id blue-identityProfile.kubeletidentity.objectId"
    ));
    assert!(azure.applied().iter().all(|(settings, _)| {
        settings.contains("TOYGRES_IMAGE=shopregistry.azurecr.io/toygres@sha256:0123abcd")
    }));
}

#[test]
fn secrets_are_created_once_and_never_printed() {
    let azure = FakeAzure::new();
    let mut deploy = azure.deploy(&["--image", "toygres:1"]);
    let output = ran(deploy.env("DATABASE_URL", DATABASE_URL).env("TOYGRES_ADMIN_PASSWORD", "canary-77aa"));
    let secrets = azure.file("secrets");
    assert!(
        secrets.contains(&format!("DATABASE_URL={DATABASE_URL}\n")),
        "the state database is not that of DATABASE_URL"
    );
    assert!(
        !secrets.contains("CMS_PASSWORD"),
        "there is a password for a state database that is not deployed"
    );
    let key = secrets.lines().find_map(|line| line.strip_prefix("TOYGRES_ENCRYPTION_KEY=")).unwrap();
    assert_eq!(key.len(), 44, "a key is 32 bytes in base64");
    let shown = [&output.stdout[..], &output.stderr[..], azure.calls().join("\n").as_bytes()].concat();
    let shown = String::from_utf8_lossy(&shown);
    for secret in ["canary-5b1c", "canary-77aa", key] {
        assert!(!shown.contains(secret), "{secret} is printed");
    }
    assert!(azure.applied().iter().all(|(_, kustomization)| !kustomization.contains("components/cms")));
}

#[test]
fn error_other_than_not_found_stops_before_anything_is_created() {
    let azure = FakeAzure::new();
    let output =
        azure.deploy(&["--image", "toygres:1"]).env("REFUSE", "az storage account show").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("AADSTS700082"));
    assert_eq!(changes(&azure.calls()), ["az group create --name shop --location westeurope -o none"]);
}

#[test]
fn missing_option_is_named() {
    let azure = FakeAzure::new();
    let output = azure.deploy(&[]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--acr"));
    assert_eq!(azure.calls(), Vec::<String>::new());
}

#[test]
fn values_that_azure_refuses_are_refused_before_anything_is_created() {
    let azure = FakeAzure::new();
    for wrong in [
        ["--dns-label", "shop: {}\n"],
        ["--dns-label", "-shop"],
        ["--container", "Images"],
        ["--acr", "shop.azurecr.io"],
        ["--public-url", "toygres.example"],
    ] {
        let output = azure.deploy(&["--image", "toygres:1"]).args(wrong).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(wrong[0]), "{wrong:?}: {error}");
        assert_eq!(azure.calls(), Vec::<String>::new());
    }
    let password =
        azure.deploy(&["--image", "toygres:1"]).env("TOYGRES_ADMIN_PASSWORD", "two\nlines").output();
    let error = String::from_utf8_lossy(&password.unwrap().stderr).into_owned();
    assert!(error.contains("TOYGRES_ADMIN_PASSWORD has more than one line"), "{error}");
}
