//! Snapshots of an image's page and its dialog.

use leptos::prelude::*;
use model::{Failure, FailureCode, Image, ImageStatus, LeftOut, LeftOutReason, Role};

use super::contents::{Contents, MAX_TABLES};
use super::{DeleteDialog, ImageDetailView};
use crate::pages::fixtures::{image_detail, manifest, partial, proven};
use crate::testing::fixtures::{failure, image};
use crate::testing::{assert_text, html};

#[test]
fn image_page() {
    let detail = image_detail(proven());
    assert_text("page_image", move || {
        view! { <ImageDetailView detail role=Role::Admin sudo=true verify=ServerAction::new()/> }
    });
    let detail = image_detail(partial());
    assert_text("page_image_partial", move || {
        view! { <ImageDetailView detail role=Role::Viewer sudo=false verify=ServerAction::new()/> }
    });
}

#[test]
fn image_page_says_what_the_image_lacks() {
    let mut detail = image_detail(proven());
    let manifest = detail.manifest.as_mut().expect("a manifest");
    manifest.source.left_out = LeftOutReason::ALL
        .iter()
        .map(|reason| LeftOut { database: format!("db_{reason}"), reason: *reason })
        .collect();
    manifest.databases[0].tablespaces = vec!["fast".into(), "slow".into()];
    assert_text("page_image_remarks", move || {
        view! { <ImageDetailView detail role=Role::Viewer sudo=false verify=ServerAction::new()/> }
    });
}

#[test]
fn tables_that_are_not_listed_are_counted_and_linked() {
    let page = html(|| view! { <Contents manifest=manifest(MAX_TABLES as u64 + 1)/> });
    assert_eq!(page.matches("public.t").count(), MAX_TABLES);
    assert!(page.contains("1 smaller table is not listed here."), "{page}");
    assert!(page.contains("href=\"/api/images/"), "{page}");
}

#[test]
fn image_page_without_contents() {
    let failed = Image {
        status: ImageStatus::Failed,
        databases: None,
        source_bytes: None,
        stored_bytes: None,
        tables: None,
        rows: None,
        duration_ms: None,
        error: Some(failure()),
        ..image()
    };
    let creating = Image { status: ImageStatus::Creating, error: None, ..failed.clone() };
    let damaged = Failure::new(FailureCode::ObjectDamaged, "SHA-256 differs").on("1/shop/t1.copy.zst");
    let corrupt = Image { status: ImageStatus::Corrupt, error: Some(damaged), ..image() };
    for (name, image) in
        [("page_image_failed", failed), ("page_image_creating", creating), ("page_image_corrupt", corrupt)]
    {
        let detail = image_detail(image);
        assert_text(name, move || {
            view! { <ImageDetailView detail role=Role::Admin sudo=false verify=ServerAction::new()/> }
        });
    }
}

#[test]
fn image_dialog() {
    let empty = Image { stored_bytes: None, ..image() };
    assert_text("page_image_delete", || view! { <DeleteDialog image=image() action=ServerAction::new()/> });
    assert_text(
        "page_image_delete_empty",
        move || view! { <DeleteDialog image=empty action=ServerAction::new()/> },
    );
}
