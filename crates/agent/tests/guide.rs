//! The script in `RESTORE.md`, unchanged, restores the image to which it belongs.

mod scratch;

use std::process::Command;

use model::ImageId;
use scratch::{PASSWORD, Server, Workspace, assert_same, bin};

#[test]
fn guide_restores_the_image_without_toygres() {
    for program in ["bash", "jq", "zstd", "sha256sum"] {
        let found = Command::new(program).arg("--version").output();
        assert!(found.is_ok(), "the script needs {program}, which is not installed");
    }
    let source = Server::new();
    source.load("nasty.sql");
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();

    let image_dir = workspace.store().join(workspace.image(image).prefix);
    let guide = std::fs::read_to_string(image_dir.join("RESTORE.md")).expect("exists");
    let script = guide.split("```bash\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    let target = Server::new();
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(&image_dir)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", bin().display()))
        .envs([
            ("PGHOST", target.socket()),
            ("PGPORT", "5432".into()),
            ("PGUSER", "postgres".into()),
            ("PGPASSWORD", PASSWORD.into()),
        ])
        .output()
        .expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&source.dumpall(), &target.dumpall());
}
