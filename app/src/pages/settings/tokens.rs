//! Settings: the tokens of programs that use the REST API.

use leptos::either::Either;
use leptos::prelude::*;
use model::Token;

use super::roles;
use crate::api::settings::{CreateToken, RevokeToken, fresh_token, list_tokens};
use crate::components::code::CodeBlock;
use crate::components::confirm::SudoGate;
use crate::components::empty_state::EmptyState;
use crate::components::field::{CheckField, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::time::{Ago, AgoOr};

/// The section of tokens.
#[component]
pub(super) fn Tokens(sudo: bool) -> impl IntoView {
    let create = ServerAction::<CreateToken>::new();
    let revoke = ServerAction::<RevokeToken>::new();
    let tokens = Resource::new(move || create.version().get() + revoke.version().get(), |_| list_tokens());
    // Without WASM the new token arrives with the next page, with WASM as the value of the action.
    let from_cookie = Resource::new(|| (), |()| fresh_token());
    let from_action = move || create.value().get().and_then(Result::ok);
    view! {
        <Transition>
            {move || Suspend::new(async move { from_cookie.await.ok().flatten().map(|token| view! { <NewTokenValue token/> }) })}
        </Transition>
        {move || from_action().map(|token| view! { <NewTokenValue token/> })}
        <Panel id="tokens" title="API tokens" note=|| "Header of a request: Authorization: Bearer …">
            <FormError error=action_error(revoke)/>
            <Transition>
                {move || Suspend::new(async move {
                    view_or_error(tokens.await, move |tokens| view! { <TokensView tokens revoke/> })
                })}
            </Transition>
        </Panel>
        <Panel id="new-token" title="New token">
            {if sudo {
                Either::Left(view! { <NewToken create/> })
            } else {
                Either::Right(view! { <SudoGate next="/settings?at=tokens" what="Creating a token"/> })
            }}
        </Panel>
    }
    .into_any()
}

#[component]
pub(super) fn NewToken(create: ServerAction<CreateToken>) -> impl IntoView {
    let error = action_error(create);
    view! {
        <ActionForm action=create attr:class="body form two">
            <FormError error fields=&["name", "role", "days"]/>
            <TextField name="name" label="Name" error required=true placeholder="Nightly backup"/>
            <SelectField name="role" label="Role" error options=roles::options() value="operator"/>
            <TextField name="days" label="Expires after (days)" error value="90" hint="Leave empty for no expiry."/>
            <CheckField name="sudo" label="Allow destructive actions without re-authentication" error hint="A program cannot enter a password again. Select this only for a program that must delete."/>
            <div class="actions"><button class="btn primary"><Icon name="plus"/>"Create token"</button></div>
        </ActionForm>
    }
    .into_any()
}

#[component]
pub(super) fn NewTokenValue(token: String) -> impl IntoView {
    view! {
        <section class="confirm" aria-labelledby="fresh-h" role="status">
            <h2 id="fresh-h">"New token"</h2>
            <CodeBlock text=token what="the token"/>
            <p class="sub">"Copy the token now: it is shown only once. Toygres stores only its hash."</p>
        </section>
    }
    .into_any()
}

/// The view of all tokens.
#[component]
pub fn TokensView(
    /// The tokens.
    tokens: Vec<Token>,
    /// The action that revokes a token.
    revoke: ServerAction<RevokeToken>,
) -> impl IntoView {
    if tokens.is_empty() {
        return view! { <EmptyState title="No tokens" text="With a token, a program uses the REST API without a session."/> }
            .into_any();
    }
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"API tokens"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Name"</th>
                        <th scope="col" role="columnheader">"Role"</th>
                        <th scope="col" role="columnheader">"Created"</th>
                        <th scope="col" role="columnheader">"Last used"</th>
                        <th scope="col" role="columnheader">"Expires"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {tokens.into_iter().map(|token| view! { <TokenTableRow token revoke/> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn TokenTableRow(token: Token, revoke: ServerAction<RevokeToken>) -> impl IntoView {
    let rights = if token.sudo { " · destructive actions" } else { "" };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">{token.name.clone()}</th>
            <td role="cell" data-k="Role">{format!("{}{rights}", token.role)}</td>
            <td role="cell" data-k="Created"><Ago at=token.created_at/></td>
            <td role="cell" data-k="Last used"><AgoOr at=token.last_used_at/></td>
            <td role="cell" data-k="Expires"><AgoOr at=token.expires_at/></td>
            <td role="cell" class="num act">
                <ActionForm action=revoke>
                    <input type="hidden" name="token" value=token.id.to_string()/>
                    <button class="btn small danger" aria-label=format!("Revoke token {}", token.name)>"Revoke token"</button>
                </ActionForm>
            </td>
        </tr>
    }
    .into_any()
}
