//! Which crate may depend on which, and what may reach the browser.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::command::{self, cargo};

/// The crates that each crate may depend on (docs/ARCHITECTURE.md). `xtask` depends on none of them.
const LAYERS: [(&str, &[&str]); 8] = [
    ("model", &[]),
    ("workflow", &[]),
    ("platform", &["model"]),
    ("image", &["model"]),
    ("agent", &["image", "model"]),
    ("control", &["image", "model", "platform", "workflow"]),
    ("app", &["control", "model"]),
    ("server", &["app", "control", "image", "model", "platform", "workflow"]),
];

/// Libraries that only some crates may depend on.
const RESTRICTED: [(&str, &[&str]); 3] = [
    ("sqlx", &["model", "workflow", "control", "server"]),
    ("kube", &["platform"]),
    ("tokio-postgres", &["agent", "platform"]),
];

/// # Errors
/// A crate has a dependency that its layer does not allow.
pub(super) fn check() -> anyhow::Result<()> {
    let text = command::output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    check_layers(&serde_json::from_str(&text)?)?;
    let mut tree = cargo();
    tree.args(["tree", "-p", "app", "--no-default-features", "--features", "hydrate", "--edges", "normal"]);
    tree.args(["--target", "wasm32-unknown-unknown", "--prefix", "none", "--format", "{p}"]);
    check_browser(&command::output(&mut tree)?)
}

/// Checks the output of `cargo metadata`.
fn check_layers(metadata: &Value) -> anyhow::Result<()> {
    let packages = metadata["packages"].as_array().context("cargo's metadata has no packages")?;
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().context("a package has no name")?;
        if name == "xtask" {
            continue;
        }
        let layer = LAYERS.iter().find(|(layer, _)| *layer == name);
        let (_, allowed) = layer.with_context(|| format!("crate {name} has no entry in LAYERS"))?;
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev")) {
            let used = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(used) && used != name && !allowed.contains(&used) {
                bail!("{name} depends on {used}, which is not in a layer below it");
            }
            if let Some((_, crates)) = RESTRICTED.iter().find(|(library, _)| *library == used)
                && !crates.contains(&name)
            {
                bail!("{name} depends on {used}, which is reserved for {}", crates.join(", "));
            }
        }
    }
    Ok(())
}

/// Crates that must not be compiled into the browser's program.
const SERVER_ONLY: [&str; 9] =
    ["axum", "control", "image", "kube", "object_store", "platform", "sqlx", "tokio-postgres", "workflow"];

/// Checks the output of `cargo tree`, one package a line.
fn check_browser(tree: &str) -> anyhow::Result<()> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    match names.into_iter().find(|name| SERVER_ONLY.contains(name)) {
        Some(name) => bail!("{name} would be compiled into the browser's program"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn depends(name: &str, used: &str, kind: Option<&str>) -> anyhow::Result<()> {
        let package = |name: &str, dependencies: Value| json!({ "name": name, "dependencies": dependencies });
        let user = package(name, json!([{ "name": used, "kind": kind }]));
        check_layers(
            &json!({ "packages": [user, package("model", json!([])), package("control", json!([]))] }),
        )
    }

    #[test]
    fn dependencies_point_downwards() {
        assert!(depends("platform", "model", None).is_ok());
        assert!(depends("platform", "control", None).is_err());
        assert!(depends("platform", "control", Some("dev")).is_ok());
        assert!(depends("unknown", "model", None).is_err());
    }

    #[test]
    fn restricted_libraries_stay_in_their_crates() {
        assert!(depends("platform", "kube", None).is_ok());
        assert!(depends("agent", "kube", None).is_err());
    }

    #[test]
    fn server_code_does_not_reach_the_browser() {
        assert!(check_browser("app v0.1.0 (/app)\nleptos v0.8.23\nmodel v0.1.0\n").is_ok());
        assert!(check_browser("app v0.1.0 (/app)\nsqlx v0.9.0\n").is_err());
    }
}
