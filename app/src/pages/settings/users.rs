//! Settings: who may come in, people by accounts and programs by tokens.

use leptos::either::Either;
use leptos::prelude::*;
use model::user::User;
use model::{Actor, Role};

use crate::api::settings::{
    CreateToken, CreateUser, DisableUser, RevokeToken, SetPassword, SetRole, TokenRow, fresh_token,
    list_tokens, list_users,
};
use crate::components::code::CodeBlock;
use crate::components::confirm::SudoGate;
use crate::components::empty_state::EmptyState;
use crate::components::field::{CheckField, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::menu::Menu;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::components::time::{Ago, AgoOr};

fn roles() -> Vec<(String, String)> {
    let words = |role: Role| match role {
        Role::Viewer => "viewer: looks",
        Role::Operator => "operator: backs up and restores",
        Role::Admin => "admin: deletes, reveals, changes accounts",
    };
    Role::ALL.iter().map(|role| (role.to_string(), words(*role).to_owned())).collect()
}

/// Accounts.
#[component]
pub fn Users(
    /// Who is looking.
    actor: Actor,
) -> impl IntoView {
    let create = ServerAction::<CreateUser>::new();
    let role = ServerAction::<SetRole>::new();
    let password = ServerAction::<SetPassword>::new();
    let disable = ServerAction::<DisableUser>::new();
    let version = move || {
        create.version().get() + role.version().get() + password.version().get() + disable.version().get()
    };
    let users = Resource::new(version, |_| list_users());
    let sudo = actor.sudo;
    view! {
        <Panel id="users" title="Accounts">
            <FormError error=action_error(role)/>
            <FormError error=action_error(password)/>
            <FormError error=action_error(disable)/>
            <Transition>
                {move || {
                    let actor = actor.clone();
                    Suspend::new(async move {
                        view_or_error(users.await, move |users| view! { <UserTable users actor role password disable/> })
                    })
                }}
            </Transition>
        </Panel>
        <Panel id="new-user" title="New account">
            {if sudo {
                Either::Left(view! { <NewUser create/> })
            } else {
                Either::Right(view! { <SudoGate next="/settings?at=users" what="Making or changing an account"/> })
            }}
        </Panel>
    }
    .into_any()
}

#[component]
fn NewUser(create: ServerAction<CreateUser>) -> impl IntoView {
    let error = action_error(create);
    view! {
            <ActionForm action=create attr:class="body form two">
                <FormError error fields=&["username", "name", "role", "password"]/>
                <TextField name="username" label="User name" error required=true/>
                <SelectField name="role" label="Role" error options=roles() value="operator"/>
                <TextField name="password" label="Password" kind="password" autocomplete="new-password" error required=true hint="8 characters or more; to be changed at the first log-in."/>
                <div class="actions"><button class="btn primary"><Icon name="plus"/>"Make the account"</button></div>
            </ActionForm>
    }
    .into_any()
}

#[component]
fn UserTable(
    users: Vec<User>,
    actor: Actor,
    role: ServerAction<SetRole>,
    password: ServerAction<SetPassword>,
    disable: ServerAction<DisableUser>,
) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Accounts"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"User name"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader">"Role"</th>
                        <th scope="col" role="columnheader">"Last log-in"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {users
                        .into_iter()
                        .map(|user| {
                            let may = actor.sudo && user.id != actor.user;
                            let own = user.id == actor.user;
                            view! { <UserRow user own may role password disable/> }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn UserRow(
    user: User,
    own: bool,
    may: bool,
    role: ServerAction<SetRole>,
    password: ServerAction<SetPassword>,
    disable: ServerAction<DisableUser>,
) -> impl IntoView {
    let style = match (user.disabled, user.must_change_password) {
        (true, _) => StatusStyle::new("off", "s-cancel", "closed"),
        (_, true) => StatusStyle::new("warn", "s-warn", "one-time password"),
        _ => StatusStyle::new("ok", "s-ok", "open"),
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                {user.name.clone()} {own.then(|| view! { <span class="sub">"you"</span> })}
            </th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" data-k="Role">{user.role.as_str()}</td>
            <td role="cell" data-k="Last log-in"><AgoOr at=user.last_login_at/></td>
            <td role="cell" class="num act">{may.then(|| view! { <UserMenu user role password disable/> })}</td>
        </tr>
    }
    .into_any()
}

/// What an admin can do to an account.
#[component]
fn UserMenu(
    user: User,
    role: ServerAction<SetRole>,
    password: ServerAction<SetPassword>,
    disable: ServerAction<DisableUser>,
) -> impl IntoView {
    let id = user.id;
    let disabled = user.disabled;
    let others = Role::ALL.iter().copied().filter(move |other| *other != user.role);
    view! {
        <Menu label=format!("More for {}", user.name) class="btn icon small" button=|| view! { <Icon name="more"/> }>
                {others
                    .map(|other| {
                        view! {
                            <li>
                                <ActionForm action=role>
                                    <input type="hidden" name="user" value=id.to_string()/>
                                    <button name="role" value=other.as_str()>{format!("Make {other}")}</button>
                                </ActionForm>
                            </li>
                        }
                    })
                    .collect_view()}
                <li>
                    <ActionForm action=disable>
                        <input type="hidden" name="user" value=id.to_string()/>
                        <button name="disabled" value=(!disabled).to_string() class:danger=!disabled>
                            {if disabled { "Open the account" } else { "Close the account" }}
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
                        <button>"Set the password"</button>
                    </ActionForm>
                </li>
        </Menu>
    }
    .into_any()
}

/// Tokens.
#[component]
pub fn Tokens(
    /// Whether the password was given again.
    sudo: bool,
) -> impl IntoView {
    let create = ServerAction::<CreateToken>::new();
    let revoke = ServerAction::<RevokeToken>::new();
    let tokens = Resource::new(move || create.version().get() + revoke.version().get(), |_| list_tokens());
    // Without WASM the token comes with the page that follows; with it, as the action's value.
    let fresh = Resource::new(|| (), |()| fresh_token());
    let made = move || create.value().get().and_then(Result::ok);
    view! {
        <Transition>
            {move || Suspend::new(async move { fresh.await.ok().flatten().map(|token| view! { <FreshToken token/> }) })}
        </Transition>
        {move || made().map(|token| view! { <FreshToken token/> })}
        <Panel id="tokens" title="Tokens" note=|| "for programs: Authorization: Bearer …">
            <FormError error=action_error(revoke)/>
            <Transition>
                {move || Suspend::new(async move {
                    view_or_error(
                        tokens.await,
                        move |tokens| {
                            if tokens.is_empty() {
                                Either::Left(view! { <EmptyState title="No tokens" text="Make one below for a program that calls the REST API."/> })
                            } else {
                                Either::Right(view! { <TokenTable tokens revoke/> })
                            }
                        },
                    )
                })}
            </Transition>
        </Panel>
        <Panel id="new-token" title="New token">
            {if sudo {
                Either::Left(view! { <NewToken create/> })
            } else {
                Either::Right(view! { <SudoGate next="/settings?at=tokens" what="Making a token"/> })
            }}
        </Panel>
    }
    .into_any()
}

#[component]
fn NewToken(create: ServerAction<CreateToken>) -> impl IntoView {
    let error = action_error(create);
    view! {
            <ActionForm action=create attr:class="body form two">
                <FormError error fields=&["name", "role", "days"]/>
                <TextField name="name" label="What it is for" error required=true placeholder="nightly back-up"/>
                <SelectField name="role" label="Role" error options=roles() value="operator"/>
                <TextField name="days" label="Works for how many days" error value="90" hint="Left empty, for ever."/>
                <CheckField name="sudo" label="May delete without the password" error hint="A program cannot be asked for a password again. Tick only what must delete."/>
                <div class="actions"><button class="btn primary"><Icon name="plus"/>"Make the token"</button></div>
            </ActionForm>
    }
    .into_any()
}

#[component]
fn FreshToken(token: String) -> impl IntoView {
    view! {
        <section class="confirm" aria-labelledby="fresh-h" role="status">
            <h2 id="fresh-h">"The new token, shown once"</h2>
            <CodeBlock text=token what="the token"/>
            <p class="sub">"Toygres keeps only a hash of it. Put it where the program reads it, then leave this page."</p>
        </section>
    }
    .into_any()
}

#[component]
fn TokenTable(tokens: Vec<TokenRow>, revoke: ServerAction<RevokeToken>) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Tokens"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Token"</th>
                        <th scope="col" role="columnheader">"Role"</th>
                        <th scope="col" role="columnheader">"Made"</th>
                        <th scope="col" role="columnheader">"Last used"</th>
                        <th scope="col" role="columnheader">"Ends"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {tokens
                        .into_iter()
                        .map(|token| {
                            let rights = if token.sudo { format!("{}, may delete", token.role) } else { token.role.to_string() };
                            view! {
                                <tr role="row">
                                    <th scope="row" role="rowheader">{token.name.clone()}</th>
                                    <td role="cell" data-k="Role">{rights}</td>
                                    <td role="cell" data-k="Made"><Ago at=token.created_at/></td>
                                    <td role="cell" data-k="Last used"><AgoOr at=token.last_used_at/></td>
                                    <td role="cell" data-k="Ends"><AgoOr at=token.expires_at/></td>
                                    <td role="cell" class="num act">
                                        <ActionForm action=revoke>
                                            <input type="hidden" name="token" value=token.id.to_string()/>
                                            <button class="btn small danger" aria-label=format!("Revoke {}", token.name)>"Revoke"</button>
                                        </ActionForm>
                                    </td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}
