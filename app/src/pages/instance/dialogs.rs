//! The questions on an instance's page: options of a back-up, its password, whether to delete it. Each has an address.

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

/// The question that the address asks, if any.
#[component]
pub fn InstanceDialog(
    /// The instance.
    instance: Instance,
    /// The question's name in the address.
    ask: Memo<Option<String>>,
    /// Stopping it.
    stop: ServerAction<StopInstance>,
    /// Deleting it.
    delete: ServerAction<DeleteInstance>,
) -> impl IntoView {
    move || {
        let instance = instance.clone();
        match ask.get().as_deref() {
            Some("backup") => EitherOf5::A(view! { <BackUpOptions instance/> }),
            Some("password") => EitherOf5::B(view! { <Password instance/> }),
            Some("stop") => EitherOf5::D(view! { <Stop instance action=stop/> }),
            Some("delete") => EitherOf5::C(view! { <Delete instance action=delete/> }),
            _ => EitherOf5::E(()),
        }
    }
}

#[component]
fn BackUpOptions(instance: Instance) -> impl IntoView {
    let action = use_back_up().action();
    let error = action_error(action);
    let back = format!("/instances/{}", instance.name);
    view! {
        <ConfirmDialog title=format!("Back up {}", instance.name)>
            <ActionForm action=action attr:class="form">
                <input type="hidden" name="instance" value=instance.id.to_string()/>
                <TextField name="name" label="Name of the image" error mono=true hint="Left empty, it is made from the instance's name and the time."/>
                <TextField name="description" label="Description" error hint="What you will want to know about it in a year."/>
                {(instance.databases.len() > 1)
                    .then(|| {
                        view! {
                            <ChoicesField
                                name="databases"
                                choices=instance.databases.clone()
                                label="Databases"
                                hint="All of them if none is ticked. Roles and settings are always part of an image."
                                error
                            />
                        }
                    })}
                <div class="actions">
                    <button class="btn primary" disabled=move || action.pending().get()><Icon name="backup"/>"Back up"</button>
                    <a class="btn" href=back>"Not now"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn Password(instance: Instance) -> impl IntoView {
    let name = instance.name.clone();
    let password = Resource::new(move || name.clone(), reveal_password);
    let back = format!("/instances/{}", instance.name);
    view! {
        <ConfirmDialog title=format!("Password of {} on {}", instance.username, instance.name)>
            <Transition fallback=|| view! { <p class="sub">"Asking for it…"</p> }>
                {move || Suspend::new(async move {
                    match password.await {
                        Ok(password) => Either::Left(view! { <CodeBlock text=password what="the password"/> }),
                        Err(error) => {
                            Either::Right(view! { <p class="form-error fail"><Icon name="s-fail"/><span>{error.message}</span></p> })
                        }
                    }
                })}
            </Transition>
            <p class="sub">"That you looked is in the audit."</p>
            <div class="actions"><a class="btn primary" href=back>"Hide it"</a></div>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn Stop(instance: Instance, action: ServerAction<StopInstance>) -> impl IntoView {
    let name = instance.name.clone();
    let back = format!("/instances/{name}");
    view! {
        <ConfirmDialog title=format!("Stop {name}?")>
            <p>"Whoever is connected is cut off, and nobody can connect or back it up until it is started again. Its data stay as they are."</p>
            <FormError error=action_error(action)/>
            <ActionForm action=action>
                <input type="hidden" name="name" value=name/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="stop"/>"Stop the instance"</button>
                    <a class="btn" href=back>"Let it run"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

#[component]
fn Delete(instance: Instance, action: ServerAction<DeleteInstance>) -> impl IntoView {
    let error = action_error(action);
    let name = instance.name.clone();
    let back = format!("/instances/{name}");
    let (title, text, button) = match instance.origin {
        Origin::Managed => (
            format!("Delete {name}?"),
            "The server and all its data go, for good. Its images stay, and can be restored.",
            "Delete the instance",
        ),
        Origin::External => (
            format!("Forget {name}?"),
            "Toygres forgets the server and its password. The server itself and the images stay as they are.",
            "Forget the instance",
        ),
    };
    let images = match instance.last_image_at {
        Some(at) => Either::Left(
            view! { "Its newest image was made " <crate::components::time::Ago at/> "; what was written since then is in no image." },
        ),
        None => Either::Right("No image of it was ever made."),
    };
    view! {
        <ConfirmDialog title danger=true>
            <p>{text} " " {(instance.origin == Origin::Managed).then_some(images)}</p>
            <ActionForm action=action attr:class="form">
                <input type="hidden" name="name" value=name.clone()/>
                <FormError error fields=&["typed_name"]/>
                <TextField name="typed_name" label=format!("Type {name} to go on") error required=true mono=true/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="trash"/>{button}</button>
                    <a class="btn" href=back>"Keep it"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}
