//! Server functions of instances: list, get, create, add, back up, start, stop, delete, reveal the password.

use leptos::prelude::*;
use model::image::DayOfImages;
use model::run::Diagnosis;
use model::{Image, Instance, InstanceId, Run};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use {crate::error::UiError, model::overview::OverviewInstance};

/// The number of days in the backup history.
pub const DAYS: i32 = 14;

/// An instance in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// The instance.
    pub instance: Instance,
    /// Its images of the last [`DAYS`] days, the oldest day first.
    pub days: Vec<DayOfImages>,
    /// Whether a backup of it is running.
    pub backing_up: bool,
}

/// The data of an instance's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// The instance.
    pub instance: Instance,
    /// The connection string, without the password.
    pub connection: Option<String>,
    /// The command that forwards a local port to it, if it runs in a cluster.
    pub port_forward: Option<String>,
    /// The cause and fix of its health problem, if they are known.
    pub diagnosis: Option<Diagnosis>,
    /// Its images of the last [`DAYS`] days, the oldest day first.
    pub days: Vec<DayOfImages>,
    /// Its newest images.
    pub images: Vec<Image>,
    /// The number of its images.
    pub images_total: i64,
    /// How many backups of it failed or were cancelled.
    pub failed_attempts: i64,
    /// Its newest runs.
    pub runs: Vec<Run>,
    /// Whether a backup of it makes progress.
    pub backing_up: bool,
    /// The name of the image that it was restored from.
    pub source_image: Option<String>,
}

/// All instances with their backup history.
#[server(prefix = "/api/fn", endpoint = "instances")]
pub async fn list_instances() -> Result<Vec<InstanceRow>> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let overview = control::overview::get(&services).await?;
    let row = |row: &OverviewInstance| InstanceRow {
        backing_up: overview.is_backing_up(row.instance.id),
        instance: row.instance.clone(),
        days: row.days.clone(),
    };
    Ok(overview.instances.iter().map(row).collect())
}

/// One instance, by name or id.
#[server(prefix = "/api/fn", endpoint = "instance")]
pub async fn get_instance(name: String) -> Result<InstanceView> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let instance = control::instances::get(&services, &name).await?;
    let days = control::instances::history(&services, instance.id, DAYS).await?;
    let query =
        control::images::ImageQuery { instance: Some(instance.id), per_page: 5, ..Default::default() };
    let failed_attempts = control::images::failed_attempts(&services, &query).await?;
    let images = control::images::list(&services, query).await?;
    let query = control::runs::RunQuery { instance: Some(instance.id), per_page: 5, ..Default::default() };
    let runs = control::runs::list(&services, query).await?.rows;
    let source_image = match instance.source_image {
        // The image may have been deleted.
        Some(image) => control::images::get(&services, image).await.ok().map(|detail| detail.image.name),
        None => None,
    };
    let backing_up = images.rows.iter().any(model::Image::is_in_progress);
    let connection = instance.host.is_some().then(|| control::instances::connection_string(&instance));
    let problem = instance.health_detail.as_ref();
    Ok(InstanceView {
        connection,
        port_forward: control::instances::port_forward_command(&services, &instance),
        diagnosis: problem.map(control::diagnosis::of_instance),
        days,
        images_total: images.total,
        failed_attempts,
        images: images.rows,
        runs,
        backing_up,
        source_image,
        instance,
    })
}

/// The password of an instance. Requires sudo mode; the access is recorded in the audit log.
#[server(prefix = "/api/fn", endpoint = "reveal-password")]
pub async fn reveal_password(name: String) -> Result<String> {
    let (services, actor) = super::caller(model::Role::Admin)?;
    super::cookies::forbid_caching();
    super::redirect_to_sudo(control::commands::reveal_password(&services, &actor, &name).await)
}

/// Starts a backup of an instance and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "back-up")]
pub async fn back_up(
    /// The instance.
    instance: InstanceId,
    /// The name of the image; generated if empty.
    #[server(default)]
    name: String,
    /// The description of the image.
    #[server(default)]
    description: String,
    /// The databases to back up; all if empty.
    #[server(default)]
    databases: Vec<String>,
) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let selected = databases.join("\n");
    let new = model::image::NewImage {
        name: name.clone(),
        instance_id: Some(instance),
        description: Some(description.clone()).filter(|text| !text.trim().is_empty()),
        databases,
    };
    let started = control::commands::back_up(&services, &actor, new).await.map_err(|error| {
        UiError::from(error).with_input([
            ("name", &*name),
            ("description", &*description),
            ("databases", &*selected),
        ])
    })?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// Starts a stopped instance and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "start-instance")]
pub async fn start_instance(name: String) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let started = control::commands::start_instance(&services, &actor, &name).await?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// Stops an instance and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "stop-instance")]
pub async fn stop_instance(name: String) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let started = control::commands::stop_instance(&services, &actor, &name).await?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// Starts the deletion of an instance and redirects to its run. Requires sudo mode and the name of the instance as
/// confirmation.
#[server(prefix = "/api/fn", endpoint = "delete-instance")]
pub async fn delete_instance(name: String, confirm: String) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Admin)?;
    let deleted = control::commands::delete_instance(&services, &actor, &name, &confirm).await;
    let started =
        super::redirect_to_sudo(deleted).map_err(|error| error.with_input([("confirm", &*confirm)]))?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// The installed PostgreSQL versions: major and full.
#[server(prefix = "/api/fn", endpoint = "versions")]
pub async fn get_versions() -> Result<Vec<(i32, String)>> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let versions = control::instances::versions(&services).await?;
    Ok(versions.into_iter().map(|installed| (installed.major, installed.version)).collect())
}

/// Creates an instance and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "create-instance")]
pub async fn create_instance(
    /// Its name.
    name: String,
    /// The superuser's password; generated if empty.
    #[server(default)]
    password: String,
    /// The major version; the newest if empty.
    #[server(default)]
    major: String,
    /// `stock` or `pg_durable`.
    #[server(default)]
    image_type: String,
    /// Set if connections over loopback need no password.
    #[server(default)]
    trust_loopback: Option<String>,
    /// The size of its volume in GiB; empty for the default.
    #[server(default)]
    volume_gib: String,
    /// Its DNS label, or empty.
    #[server(default)]
    dns_label: String,
) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let trust = trust_loopback.as_deref().unwrap_or_default();
    let remember = |error: UiError| {
        error.with_input([
            ("name", &*name),
            ("major", &*major),
            ("image_type", &*image_type),
            ("trust_loopback", trust),
            ("volume_gib", &*volume_gib),
            ("dns_label", &*dns_label),
        ])
    };
    let new = model::instance::NewInstance {
        name: name.clone(),
        password: Some(password).filter(|password| !password.is_empty()),
        major: parse_choice("major", &major).map_err(remember)?,
        image_type: parse_choice("image_type", &image_type).map_err(remember)?,
        trust_loopback: Some(trust_loopback.is_some()),
        volume_bytes: super::platform::parse_volume_gib(&volume_gib).map_err(remember)?,
        dns_label: Some(dns_label.trim().to_owned()).filter(|label| !label.is_empty()),
        source_image_id: None,
    };
    let started = control::commands::create_instance(&services, &actor, new)
        .await
        .inspect_err(super::redirect_if_sudo_required)
        .map_err(|error| remember(super::platform::map_volume_field(error)))?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// Adds an existing server after a test connection, and redirects to its page.
#[server(prefix = "/api/fn", endpoint = "add-instance")]
pub async fn add_instance(
    /// Its name in Toygres.
    name: String,
    /// Its host name or IP address.
    host: String,
    /// Its port; 5432 if empty.
    #[server(default)]
    port: String,
    /// The user to connect as.
    username: String,
    /// That user's password.
    #[server(default)]
    password: String,
    /// The Secret that holds the password, as `namespace/name/key`, instead of the password.
    #[server(default)]
    secret_ref: String,
    /// The database to connect to first; `postgres` if empty.
    #[server(default)]
    database: String,
    /// The TLS mode.
    #[server(default)]
    tls: String,
    /// `stock` or `pg_durable`.
    #[server(default)]
    image_type: String,
) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let remember = |error: UiError| {
        error.with_input([
            ("name", &*name),
            ("host", &*host),
            ("port", &*port),
            ("username", &*username),
            ("database", &*database),
            ("secret_ref", &*secret_ref),
            ("tls", &*tls),
            ("image_type", &*image_type),
        ])
    };
    let port_number = match port.trim() {
        "" => 5432,
        text => text
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| remember(UiError::invalid("port", "Enter a port number from 1 to 65535.")))?,
    };
    let new = model::instance::ExternalInstance {
        name: name.clone(),
        host: host.clone(),
        port: port_number,
        username: username.clone(),
        password,
        secret_ref: Some(secret_ref.trim().to_owned()).filter(|text| !text.is_empty()),
        database: Some(database.trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "postgres".to_owned()),
        tls: parse_choice("tls", &tls).map_err(remember)?,
        image_type: parse_choice("image_type", &image_type).map_err(remember)?,
    };
    let added = control::commands::connect_instance(&services, &actor, new)
        .await
        .inspect_err(super::redirect_if_sudo_required)
        .map_err(|error| remember(error.into()))?;
    leptos_axum::redirect(&format!("/instances/{}", added.name));
    Ok(())
}

/// Parses the value of a select field; `None` if it is empty.
#[cfg(feature = "ssr")]
pub(super) fn parse_choice<T: std::str::FromStr>(field: &str, text: &str) -> Result<Option<T>> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| UiError::invalid(field, "Select a value from the list.")),
    }
}
