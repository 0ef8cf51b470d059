//! Backups into a store on a small file system. The test mounts a tmpfs, for which it needs root.

mod scratch;

use std::process::Command;

use model::agent::{PreviousImage, Work};
use model::{FailureCode, ImageId};
use scratch::{Server, Workspace};

#[test]
#[ignore = "needs root and mount"]
fn image_that_is_not_expected_to_fit_is_refused_before_it_is_written() {
    let source = Server::new();
    let workspace = Workspace::new();
    let image = ImageId::new();
    let backup = |previous| {
        let mut work = workspace.backup(&source, image);
        if let Work::Backup { previous: sizes, .. } = &mut work {
            *sizes = previous;
        }
        workspace.run(work)
    };
    workspace.image(image);
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m,mode=0777", "toygres-test"])
        .arg(workspace.store())
        .status()
        .expect("mount");
    assert!(mounted.success(), "this account may not mount");
    // 7 MB of catalogs, a quarter of which is more than the file system.
    let refused = backup(None);
    let objects = workspace.objects();
    // By the ratio of an earlier image, it fits.
    let fits = backup(Some(PreviousImage { source_bytes: 1 << 30, stored_bytes: 1 << 20 }));
    Command::new("umount").arg("-l").arg(workspace.store()).status().expect("umount");
    refused.expect_failure(FailureCode::StoreFull);
    assert_eq!(objects, Vec::<String>::new());
    fits.succeeded();
}
