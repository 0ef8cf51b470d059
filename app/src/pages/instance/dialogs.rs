//! The dialogs of an instance's page, each with an address: backup options, password, stop, delete.

use leptos::either::{Either, EitherOf5};
use leptos::prelude::*;
use model::{Instance, Origin};

use crate::api::instances::{DeleteInstance, StopInstance, reveal_password};
use crate::components::back_up::use_back_up;
use crate::components::code::CodeBlock;
use crate::components::confirm::ConfirmDialog;
use crate::components::field::{ChoicesField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::time::Ago;

/// The dialog that the address names, if any.
#[component]
pub fn InstanceDialog(
    /// The instance.
    instance: Instance,
    /// The value of `ask` in the address: `backup`, `password`, `stop` or `delete`.
    dialog: String,
    /// The action that stops the instance.
    stop: ServerAction<StopInstance>,
    /// The action that deletes or disconnects the instance.
    delete: ServerAction<DeleteInstance>,
) -> impl IntoView {
    match dialog.as_str() {
        "backup" => EitherOf5::A(view! { <BackUpDialog instance/> }),
        "password" => EitherOf5::B(view! { <PasswordDialog instance/> }),
        "stop" => EitherOf5::C(view! { <StopDialog instance action=stop/> }),
        "delete" => EitherOf5::D(view! { <DeleteDialog instance action=delete/> }),
        _ => EitherOf5::E(()),
    }
}

#[component]
fn BackUpDialog(instance: Instance) -> impl IntoView {
    let action = use_back_up().action();
    let error = action_error(action);
    let back = format!("/instances/{}", instance.name);
    let databases = (instance.databases.len() > 1).then_some(instance.databases);
    view! {
        <ConfirmDialog title=format!("Back up {}", instance.name)>
            <ActionForm action=action attr:class="form">
                <input type="hidden" name="instance" value=instance.id.to_string()/>
                <TextField name="name" label="Image name" error mono=true hint="Default: the instance's name and the time."/>
                <TextField name="description" label="Description" error hint="Optional note, shown in the list of images."/>
                {databases
                    .map(|choices| {
                        view! {
                            <ChoicesField
                                name="databases"
                                choices
                                label="Databases"
                                hint="Select databases for a partial image. Without a selection, all databases are backed up. Roles, and settings of roles and databases, are always included."
                                error
                            />
                        }
                    })}
                <div class="actions">
                    <button class="btn primary" disabled=move || action.pending().get()><Icon name="backup"/>"Back up"</button>
                    <a class="btn" href=back>"Cancel"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn PasswordDialog(instance: Instance) -> impl IntoView {
    let name = instance.name.clone();
    let password = Resource::new(move || name.clone(), reveal_password);
    let back = format!("/instances/{}", instance.name);
    view! {
        <ConfirmDialog title=format!("Password of {} on {}", instance.username, instance.name)>
            <Transition fallback=|| view! { <p class="sub">"Loading…"</p> }>
                {move || Suspend::new(async move {
                    match password.await {
                        Ok(password) => Either::Left(view! {
                            <CodeBlock text=password what="the password"/>
                            <p class="sub">"This access was recorded in the audit log."</p>
                        }),
                        Err(error) => {
                            Either::Right(view! { <p class="form-error fail"><Icon name="s-fail"/><span>{error.message}</span></p> })
                        }
                    }
                })}
            </Transition>
            <div class="actions"><a class="btn primary" href=back>"Close"</a></div>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn StopDialog(instance: Instance, action: ServerAction<StopInstance>) -> impl IntoView {
    let name = instance.name;
    let back = format!("/instances/{name}");
    view! {
        <ConfirmDialog title=format!("Stop {name}?")>
            <p>"Stopping disconnects all clients. The instance cannot be used or backed up until it is started again. No data is deleted."</p>
            <FormError error=action_error(action)/>
            <ActionForm action=action>
                <input type="hidden" name="name" value=name/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="stop"/>"Stop instance"</button>
                    <a class="btn" href=back>"Cancel"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn DeleteDialog(instance: Instance, action: ServerAction<DeleteInstance>) -> impl IntoView {
    let error = action_error(action);
    let name = instance.name.clone();
    let back = format!("/instances/{name}");
    let (title, button) = match instance.origin {
        Origin::Managed => (format!("Delete {name}?"), "Delete instance"),
        Origin::External => (format!("Disconnect {name}?"), "Disconnect instance"),
    };
    view! {
        <ConfirmDialog title danger=true>
            <p><Consequences instance/></p>
            <ActionForm action=action attr:class="form">
                <input type="hidden" name="name" value=name.clone()/>
                <FormError error fields=&["confirm"]/>
                <TextField name="confirm" label=format!("Type {name} to confirm") error required=true mono=true/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="trash"/>{button}</button>
                    <a class="btn" href=back>"Cancel"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

/// What a deletion removes and what it keeps.
#[component]
fn Consequences(instance: Instance) -> impl IntoView {
    match (instance.origin, instance.last_image_at) {
        (Origin::External, _) => Either::Left(
            "Toygres removes the instance and its stored password. The server itself and its images are kept.",
        ),
        (Origin::Managed, newest) => Either::Right(view! {
            "The server and all of its data will be permanently deleted. "
            {match newest {
                Some(at) => Either::Left(view! {
                    "Its images are kept. The newest one was created " <Ago at/> "; later changes are not backed up."
                }),
                None => Either::Right("It has no image."),
            }}
        }),
    }
}
