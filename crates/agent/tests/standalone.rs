//! The commands for users: an image is restored without a Toygres server.

mod scratch;

use std::process::{Command, Stdio};

use model::{ExitClass, FailureCode, ImageId};
use scratch::{PASSWORD, Server, Workspace};

#[test]
fn image_is_restored_from_the_command_line() {
    let source = Server::new();
    source.psql("postgres", "create table t as select generate_series(1, 1000) as i");
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    let image_dir = workspace.store().join(workspace.image(image).prefix);
    let restore = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toygres-agent"));
        command
            .arg("restore")
            .arg(format!("file://{}", image_dir.display()))
            .arg("--data-dir")
            .arg(workspace.data_dir());
        command
            .args(extra)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .output()
            .expect("started")
    };

    let refused = restore(&[]);
    assert_eq!(refused.status.code(), Some(ExitClass::from(FailureCode::PasswordMissing).code()));
    let explanation = FailureCode::PasswordMissing.explanation();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains(explanation.cause) && stderr.contains(explanation.fix), "{stderr}");

    let file = workspace.dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");
    let done = restore(&["--password-file", file.to_str().expect("text")]);
    let output =
        format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{output}");
    assert!(output.contains("1000 rows"), "{output}");
    assert!(!output.contains(PASSWORD), "{output}");
    assert_eq!(Server::on(&workspace.data_dir()).psql("postgres", "select count(*) from t"), "1000");

    let again = restore(&["--password-file", file.to_str().expect("text")]);
    assert_eq!(again.status.code(), Some(10), "a data directory that is not empty is refused");
}
