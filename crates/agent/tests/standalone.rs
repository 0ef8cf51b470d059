//! The agent by hand: an image becomes a data directory without server, task or database.

mod scratch;

use std::process::{Command, Stdio};

use model::{ExitClass, ImageId};
use scratch::{Cluster, Desk, PASSWORD};

#[test]
fn an_image_is_restored_by_hand() {
    let source = Cluster::new();
    source.psql("postgres", "create table t as select generate_series(1, 1000) as i");
    let desk = Desk::new();
    let image = ImageId::new();
    desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);
    let place = desk.store().join(desk.image(image).prefix);
    let restore = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toygres-agent"));
        command
            .arg("restore")
            .arg(format!("file://{}", place.display()))
            .arg("--data-dir")
            .arg(desk.data_dir());
        command
            .args(extra)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .output()
            .expect("started")
    };

    let refused = restore(&[]);
    assert_eq!(refused.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--password-file"));

    let file = desk.dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");
    let done = restore(&["--password-file", file.to_str().expect("text")]);
    let words = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{words}");
    assert!(words.contains("Restored: PostgreSQL") && words.contains("1000 rows"), "{words}");
    assert!(!words.contains(PASSWORD), "{words}");
    assert_eq!(Cluster::on(&desk.data_dir()).psql("postgres", "select count(*) from t"), "1000");

    let again = restore(&["--password-file", file.to_str().expect("text")]);
    assert_eq!(again.status.code(), Some(10), "a data directory that holds anything is left alone");
}
