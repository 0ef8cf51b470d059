//! Settings: the users.

use leptos::either::Either;
use leptos::prelude::*;
use model::user::User;
use model::{Actor, Role};

use super::roles;
use crate::api::settings::{CreateUser, DisableUser, SetPassword, SetRole, list_users};
use crate::components::confirm::SudoGate;
use crate::components::field::{SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::menu::Menu;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::components::time::AgoOr;

/// The actions on users.
#[derive(Clone, Copy)]
pub struct UserActions {
    role: ServerAction<SetRole>,
    password: ServerAction<SetPassword>,
    disable: ServerAction<DisableUser>,
}

impl UserActions {
    /// Creates the actions.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "actions belong to the reactive owner that creates them")]
    pub fn new() -> Self {
        Self { role: ServerAction::new(), password: ServerAction::new(), disable: ServerAction::new() }
    }
}

/// The section of users.
#[component]
pub(super) fn Users(actor: Actor) -> impl IntoView {
    let create = ServerAction::<CreateUser>::new();
    let actions = UserActions::new();
    let version = move || {
        let UserActions { role, password, disable } = actions;
        create.version().get() + role.version().get() + password.version().get() + disable.version().get()
    };
    let users = Resource::new(version, |_| list_users());
    let sudo = actor.sudo;
    view! {
        <Panel id="users" title="Users">
            <FormError error=action_error(actions.role)/>
            <FormError error=action_error(actions.password)/>
            <FormError error=action_error(actions.disable)/>
            <Transition>
                {move || {
                    let actor = actor.clone();
                    Suspend::new(async move {
                        view_or_error(users.await, move |users| view! { <UsersView users actor actions/> })
                    })
                }}
            </Transition>
        </Panel>
        <Panel id="new-user" title="New user">
            {if sudo {
                Either::Left(view! { <NewUser create/> })
            } else {
                Either::Right(view! { <SudoGate next="/settings?at=users" what="Creating or changing a user"/> })
            }}
        </Panel>
    }
    .into_any()
}

#[component]
pub(super) fn NewUser(create: ServerAction<CreateUser>) -> impl IntoView {
    let error = action_error(create);
    view! {
        <ActionForm action=create attr:class="body form two">
            <FormError error fields=&["username", "name", "role", "password"]/>
            <TextField name="username" label="User name" error required=true/>
            <SelectField name="role" label="Role" error options=roles::options() value="operator"/>
            <TextField name="password" label="Password" kind="password" autocomplete="new-password" error required=true hint="At least 8 characters. The user must change it at the first login."/>
            <div class="actions"><button class="btn primary"><Icon name="plus"/>"Create user"</button></div>
        </ActionForm>
    }
    .into_any()
}

/// The view of all users.
#[component]
pub fn UsersView(
    /// The users.
    users: Vec<User>,
    /// The user who views them.
    actor: Actor,
    /// The actions on a user.
    actions: UserActions,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Users"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"User name"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader">"Role"</th>
                        <th scope="col" role="columnheader">"Last login"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {users
                        .into_iter()
                        .map(|user| {
                            let is_own = user.id == actor.user;
                            view! { <UserRow user is_own can_change=actor.sudo && !is_own actions/> }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn UserRow(user: User, is_own: bool, can_change: bool, actions: UserActions) -> impl IntoView {
    let style = match (user.disabled, user.must_change_password) {
        (true, _) => StatusStyle::new("off", "s-cancel", "disabled"),
        (false, true) => StatusStyle::new("warn", "s-warn", "password change required"),
        (false, false) => StatusStyle::new("ok", "s-ok", "active"),
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                {user.name.clone()} {is_own.then(|| view! { <span class="sub">"you"</span> })}
            </th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" data-k="Role">{user.role.as_str()}</td>
            <td role="cell" data-k="Last login"><AgoOr at=user.last_login_at/></td>
            <td role="cell" class="num act">{can_change.then(|| view! { <UserMenu user actions/> })}</td>
        </tr>
    }
    .into_any()
}

/// The menu of a user.
#[component]
fn UserMenu(user: User, actions: UserActions) -> impl IntoView {
    let UserActions { role, password, disable } = actions;
    let (id, disabled) = (user.id, user.disabled);
    let other_roles = Role::ALL.iter().copied().filter(move |other| *other != user.role);
    view! {
        <Menu label=format!("More actions for {}", user.name) class="btn icon small" button=|| view! { <Icon name="more"/> }>
            {other_roles
                .map(|other| {
                    view! {
                        <li>
                            <ActionForm action=role>
                                <input type="hidden" name="user" value=id.to_string()/>
                                <button name="role" value=other.as_str()>{format!("Change role to {other}")}</button>
                            </ActionForm>
                        </li>
                    }
                })
                .collect_view()}
            <li>
                <ActionForm action=disable>
                    <input type="hidden" name="user" value=id.to_string()/>
                    <button name="disabled" value=(!disabled).to_string() class:danger=!disabled>
                        {if disabled { "Enable user" } else { "Disable user" }}
                    </button>
                </ActionForm>
            </li>
            <li class="menu-form">
                <ActionForm action=password>
                    <input type="hidden" name="user" value=id.to_string()/>
                    <label>
                        <span>"New password"</span>
                        <input type="password" name="password" autocomplete="new-password" required/>
                    </label>
                    <button>"Set password"</button>
                </ActionForm>
            </li>
        </Menu>
    }
    .into_any()
}
