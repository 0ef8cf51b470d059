//! Settings: the user's own account, and the appearance of the pages.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use model::Actor;

use super::roles;
use crate::api::settings::SetAppearance;
use crate::components::icon::Icon;
use crate::components::panel::Panel;

/// The view of the user's own account.
#[component]
pub fn AccountView(
    /// The user.
    actor: Actor,
) -> impl IntoView {
    let rights = roles::rights(actor.role);
    let confirmation = if actor.sudo {
        "Confirmed within the last 5 minutes"
    } else {
        "Required before you delete data, reveal a secret, or change a store or user"
    };
    view! {
        <Panel id="account" title="Account">
            <div class="body stack wide">
                <dl class="props">
                    <dt>"User name"</dt>
                    <dd>{actor.name}</dd>
                    <dt>"Role"</dt>
                    <dd>{actor.role.as_str()} <span class="sub">{format!(" · {rights}")}</span></dd>
                    <dt title="Entering the password again">"Re-authentication"</dt>
                    <dd>{confirmation}</dd>
                </dl>
                <div class="actions">
                    <a class="btn" href="/password"><Icon name="lock"/>"Change password…"</a>
                    <form method="post" action="/logout"><button class="btn"><Icon name="out"/>"Log out"</button></form>
                </div>
            </div>
        </Panel>
        <Appearance/>
    }
    .into_any()
}

/// The color scheme. It is a plain form, because the response is the page in the new scheme.
#[component]
fn Appearance() -> impl IntoView {
    let choices = [("system", "System"), ("light", "Light"), ("dark", "Dark")];
    let chosen = crate::color_scheme::scheme().unwrap_or_else(|| "system".to_owned());
    view! {
        <Panel id="appearance" title="Appearance">
            <form class="body row" method="post" action=SetAppearance::url()>
                {choices
                    .into_iter()
                    .map(|(value, label)| {
                        let pressed = chosen == value;
                        view! {
                            <button class="btn" name="scheme" value=value aria-pressed=pressed.to_string()>
                                {pressed.then(|| view! { <Icon name="s-ok"/> })}
                                {label}
                            </button>
                        }
                    })
                    .collect_view()}
            </form>
        </Panel>
    }
    .into_any()
}
