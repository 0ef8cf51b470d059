//! Snapshots of the sections of the settings.

use leptos::prelude::*;
use model::user::{AuditRow, User};
use model::{Role, Seal, Store, StoreAccess};
use serde_json::json;

use super::store_form::{EditAccess, NewStore};
use super::tokens::{NewToken, NewTokenValue};
use super::users::NewUser;
use super::{
    AccountView, AuditView, PlatformView, SectionTabs, StoreActions, StoresView, TokensView,
    UnusedObjectsView, UserActions, UsersView,
};
use crate::pages::fixtures::{actor, page, place};
use crate::testing::assert_text;
use crate::testing::fixtures::{ago, parsed};

fn store(name: &str, url: &str, is_default: bool) -> Store {
    parsed(json!({
        "id": uuid::Uuid::from_u128(4), "name": name, "url": url, "access": StoreAccess::default(),
        "is_default": is_default, "images": 4, "stored_bytes": 932_000_000,
    }))
}

#[test]
fn account_section() {
    assert_text("page_settings_tabs", || {
        view! { <SectionTabs role=Role::Admin section=Memo::new(|_| "account".to_owned())/> }
    });
    assert_text("page_settings_account", || view! { <AccountView actor=actor(Role::Operator, false)/> });
}

#[test]
fn stores_section() {
    let stores = vec![
        store("local", "file:///var/lib/toygres/store", true),
        store("s3", "s3://images/toygres", false),
    ];
    assert_text("page_settings_stores", move || {
        view! { <StoresView stores role=Role::Admin actions=StoreActions::new()/> }
    });
    let unused = Store { unused_objects: 3, unused_bytes: 1_200_000_000, ..store("old", "s3://old", false) };
    let failed =
        model::Failure::new(model::FailureCode::StoreUnreachable, "connection refused").on("old:443");
    let unreachable = Store { check_failure: Some(failed), ..unused };
    assert_text("page_settings_stores_checked", move || {
        view! { <StoresView stores=vec![unreachable] role=Role::Viewer actions=StoreActions::new()/> }
    });
    let prefix = |seal: Option<Seal>| {
        parsed(json!({
            "store": "local", "prefix": "images/a/b", "objects": 3, "bytes": 1_200_000_000, "seal": seal,
            "first_seen": ago(2 * 86_400), "last_seen": ago(60),
        }))
    };
    let seals = std::iter::once(None).chain(Seal::ALL.iter().copied().map(Some));
    let prefixes: Vec<_> = seals.map(prefix).collect();
    assert_text("page_settings_unused_objects", move || view! { <UnusedObjectsView prefixes/> });
    assert_text("page_settings_stores_empty", || {
        view! { <StoresView stores=vec![] role=Role::Viewer actions=StoreActions::new()/> }
    });
    assert_text("page_settings_new_store", || view! { <NewStore add=ServerAction::new()/> });
    assert_text("page_settings_edit_store", || {
        view! { <EditAccess store=store("s3", "s3://images", false) edit=ServerAction::new()/> }
    });
}

#[test]
fn platform_section() {
    let versions = vec![(17, "17.10".to_owned())];
    assert_text("page_settings_platform", || view! { <PlatformView place=place(false) versions=vec![]/> });
    assert_text(
        "page_settings_platform_kubernetes",
        move || view! { <PlatformView place=place(true) versions/> },
    );
}

#[test]
fn users_section() {
    let user = |n: u128, name: &str, role: Role, disabled: bool, must_change: bool| -> User {
        parsed(json!({
            "id": uuid::Uuid::from_u128(n), "name": name, "role": role, "created_at": ago(90_000),
            "last_login_at": null, "must_change_password": must_change, "disabled": disabled,
        }))
    };
    let users = vec![
        user(7, "ann", Role::Admin, false, false),
        user(8, "bob", Role::Operator, true, false),
        user(9, "eve", Role::Viewer, false, true),
    ];
    assert_text("page_settings_users", move || {
        view! { <UsersView users actor=actor(Role::Admin, true) actions=UserActions::new()/> }
    });
    assert_text("page_settings_new_user", || view! { <NewUser create=ServerAction::new()/> });
}

#[test]
fn tokens_section() {
    let tokens = parsed(json!([{
        "id": uuid::Uuid::from_u128(11), "name": "Nightly backup", "role": "operator", "sudo": true,
        "created_at": ago(90_000), "expires_at": ago(-89 * 86_400), "last_used_at": null,
    }]));
    assert_text("page_settings_tokens", move || view! { <TokensView tokens revoke=ServerAction::new()/> });
    assert_text(
        "page_settings_tokens_empty",
        || view! { <TokensView tokens=vec![] revoke=ServerAction::new()/> },
    );
    assert_text("page_settings_new_token", || view! { <NewToken create=ServerAction::new()/> });
    assert_text("page_settings_token_value", || view! { <NewTokenValue token="tg_secret".to_owned()/> });
}

#[test]
fn audit_section() {
    let row = |id: i64, action: &str, outcome: &str| -> AuditRow {
        parsed(json!({
            "id": id, "at": ago(60), "actor": "ann", "action": action, "subject": "orders", "outcome": outcome, "run": null,
        }))
    };
    let rows = page(vec![row(2, "image.create", "ok"), row(1, "image.delete", "sudo_required")]);
    assert_text("page_settings_audit", move || view! { <AuditView rows/> });
    assert_text("page_settings_audit_empty", || view! { <AuditView rows=page(vec![])/> });
}
