//! What `RESTORE.md` says is true: its script, word for word, restores the image that it lies in.

mod scratch;

use std::process::Command;

use model::{ExitClass, ImageId};
use scratch::{Cluster, Desk, PASSWORD, assert_same, bin};

#[test]
fn the_guide_restores_without_toygres() {
    for program in ["bash", "jq", "zstd", "sha256sum"] {
        if Command::new(program).arg("--version").output().is_err() {
            println!("SKIPPED: there is no {program} here, so the guide was not tried");
            return;
        }
    }
    let source = Cluster::new();
    source.load("nasty.sql");
    let desk = Desk::new();
    let image = ImageId::new();
    desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);

    let place = desk.store().join(desk.image(image).prefix);
    let guide = std::fs::read_to_string(place.join("RESTORE.md")).expect("there");
    let script = guide.split("```bash\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    let target = Cluster::new();
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(&place)
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
