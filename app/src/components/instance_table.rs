//! The table of instances: state, size, backup history, last image and last proof, and a button to back up.

use leptos::either::Either;
use leptos::prelude::*;
use model::image::DayOfImages;
use model::{Instance, InstanceStatus, Origin, Role};

use super::back_up::{BackUpButton, can_back_up};
use super::history_chart::HistoryStrip;
use super::status_badge::{self, StatusBadge};
use super::time::AgoOr;
use crate::format;
use crate::labels;

/// Instances with their backup history.
#[component]
pub fn InstanceTable(
    /// Each instance with its days and whether a backup of it is running.
    rows: Vec<(Instance, Vec<DayOfImages>, bool)>,
    /// The user's role.
    role: Role,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Instances with their backups of the last 14 days"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Instance"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader" class="num extra">"Size"</th>
                        <th scope="col" role="columnheader">"Images, last 14 days"</th>
                        <th scope="col" role="columnheader" class="slack">"Last image"</th>
                        <th scope="col" role="columnheader">"Last proven"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {rows
                        .into_iter()
                        .map(|(instance, days, backing_up)| view! { <Row instance days backing_up role/> })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn Row(instance: Instance, days: Vec<DayOfImages>, backing_up: bool, role: Role) -> impl IntoView {
    let offers_back_up = role >= Role::Operator && can_back_up(&instance) && !backing_up;
    let history = match instance.status {
        InstanceStatus::Creating => Either::Left(view! { <span class="dim">{format::DASH}</span> }),
        _ => Either::Right(view! { <HistoryStrip name=instance.name.clone() days backing_up/> }),
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name" href=format!("/instances/{}", instance.name) title=instance.name.clone()>{instance.name.clone()}</a>
                <span class="sub">{kind(&instance)}</span>
            </th>
            <td role="cell" data-k="State">
                <StatusBadge style=status_badge::instance(&instance) title=instance.health_detail.as_ref().map(model::Failure::message)/>
            </td>
            <td role="cell" class="num extra" data-k="Size">{format::bytes_or_dash(instance.size_bytes)}</td>
            <td role="cell" class="full" data-k="Images, last 14 days">{history}</td>
            <td role="cell" class="slack" data-k="Last image">
                {if backing_up {
                    Either::Left(view! { <b>"in progress"</b> })
                } else {
                    Either::Right(view! { <AgoOr at=instance.last_image_at never="none"/> })
                }}
            </td>
            <td role="cell" data-k="Last proven"><AgoOr at=instance.last_proven_at/></td>
            <td role="cell" class="num act">{offers_back_up.then(|| view! { <BackUpButton instance/> })}</td>
        </tr>
    }
    .into_any()
}

/// `PG 15.20 · standard · managed`.
#[must_use]
pub fn kind(instance: &Instance) -> String {
    let version = instance
        .version
        .as_deref()
        .map(|full| format::version(full).to_owned())
        .or_else(|| instance.major.map(|major| major.to_string()));
    let version = version.map(|version| format!("PG {version} · ")).unwrap_or_default();
    let origin = match instance.origin {
        Origin::Managed => "managed",
        Origin::External => "external",
    };
    format!("{version}{} · {origin}", labels::image_type(instance.image_type))
}
