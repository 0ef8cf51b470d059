//! The layout of every page: navigation, running runs, the account menu, and a notice when live updates are interrupted.

use leptos::prelude::*;
use leptos_router::components::{A, Outlet};
use leptos_router::hooks::use_location;
use model::{Actor, Role, Run, RunState};

use super::back_up::BackUpAction;
use super::focus::focus;
use super::form_error::FormError;
use super::icon::{Icon, Mark};
use super::menu::Menu;
use super::platform_context::{PlatformContext, PlatformName};
use super::status_badge::{self, StatusBadge, StatusStyle};
use super::step_strip::{StepStrip, blocks_of_run};
use super::toast::ToastRegion;
use crate::api::layout::{LayoutData, get_current_user, get_layout};
use crate::error::{Result, UiError};
use crate::live::{Connection, use_live};
use crate::{format, labels};

/// The current user. It is fetched once a visit, not with each live update.
#[derive(Clone, Copy)]
pub struct CurrentUser(Resource<Result<Actor>>);

impl CurrentUser {
    /// The user; for use inside of `Suspend`.
    ///
    /// # Errors
    /// The user is not logged in.
    pub async fn actor(self) -> Result<Actor> {
        self.0.await
    }

    /// The user, if the user's role is `role` or higher.
    ///
    /// # Errors
    /// The user is not logged in, or the role is lower.
    pub async fn at_least(self, role: Role) -> Result<Actor> {
        let actor = self.0.await?;
        if actor.is(role) { Ok(actor) } else { Err(UiError::role(role, actor.role)) }
    }

    /// The user's role; viewer if it is not known.
    pub async fn role(self) -> Role {
        self.0.await.map_or(Role::Viewer, |actor| actor.role)
    }

    /// Whether the user confirmed the password within the last minutes.
    pub async fn sudo(self) -> bool {
        self.0.await.is_ok_and(|actor| actor.sudo)
    }
}

/// The current user.
///
/// # Panics
/// Outside of the layout.
#[must_use]
pub fn use_current_user() -> CurrentUser {
    expect_context()
}

/// The layout around a route.
#[component]
pub fn AppLayout() -> impl IntoView {
    view! { <Layout><Outlet/></Layout> }
}

/// The layout around any content.
#[component]
pub fn Layout(
    /// The page.
    children: Children,
) -> impl IntoView {
    provide_context(CurrentUser(Resource::new(|| (), |()| get_current_user())));
    PlatformContext::provide();
    let back_up = BackUpAction::provide();
    focus_content_on_navigation();
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="shell">
            <SideBar/>
            <main id="main" class="page" tabindex="-1">
                <LiveNote/>
                <FormError error=back_up.error() fields=&["name", "description"]/>
                {children()}
                <footer class="foot">
                    <span>{concat!("Toygres ", env!("CARGO_PKG_VERSION"))}</span>
                    <span>"Platform: " <PlatformName/></span>
                    <span>"Times in UTC"</span>
                </footer>
            </main>
        </div>
        <ToastRegion/>
    }
    .into_any()
}

/// Moves the focus to the content after navigation, as loading a document does.
fn focus_content_on_navigation() {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|before| before != now)
            && let Some(main) = document().get_element_by_id("main")
        {
            focus(&main);
        }
        now
    });
}

#[component]
fn SideBar() -> impl IntoView {
    let live = use_live();
    let layout = Resource::new(move || live.version(), |_| get_layout());
    view! {
        <header class="side">
            <a class="brand" href="/"><Mark/>"Toygres"</a>
            <Transition>{move || Suspend::new(async move { view! { <Side data=layout.await.ok()/> } })}</Transition>
        </header>
    }
    .into_any()
}

/// The notice that live updates are interrupted.
#[component]
fn LiveNote() -> impl IntoView {
    let live = use_live();
    view! {
        <div class="live-note" role="status">
            {move || {
                (live.connection() == Connection::Lost)
                    .then(|| {
                        view! {
                            <p class="banner warn">
                                <Icon name="s-warn"/>
                                "Connection lost. Showing the last known state; reconnecting…"
                            </p>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}

#[component]
fn Side(data: Option<LayoutData>) -> impl IntoView {
    let counts =
        data.as_ref().map(|data| (data.instances, data.images, data.needs_attention)).unwrap_or_default();
    let mut active = data.as_ref().map(|data| data.running.clone()).unwrap_or_default();
    // A stuck run is counted among those that need attention.
    active.retain(|run| run.state != RunState::Stuck);
    view! {
        <nav class="nav" aria-label="Main">
            <ul>
                <li><NavLink href="/" name="Overview" icon="overview"/></li>
                <li><NavLink href="/instances" name="Instances" icon="instances" count=counts.0/></li>
                <li><NavLink href="/images" name="Images" icon="images" count=counts.1/></li>
                <li><NavLink href="/runs" name="Runs" icon="runs" needs=counts.2/></li>
                <li><NavLink href="/settings" name="Settings" icon="settings"/></li>
            </ul>
        </nav>
        <ActiveRuns runs=active/>
        {data.map(|data| view! { <Account name=data.actor.name role=data.actor.role.as_str()/> })}
    }
    .into_any()
}

#[component]
fn NavLink(
    href: &'static str,
    name: &'static str,
    icon: &'static str,
    #[prop(optional)] count: i64,
    #[prop(optional)] needs: i64,
) -> impl IntoView {
    view! {
        <A href=href exact={href == "/"}>
            <Icon name=icon/>
            {name}
            {(count > 0).then(|| view! { <span class="n">{format::count(count)}</span> })}
            {(needs > 0)
                .then(|| {
                    let label = labels::needing_attention(needs);
                    view! {
                        <span class="n fail" role="img" title=label.clone() aria-label=label>
                            <Icon name="s-warn"/>
                            {format::count(needs)}
                        </span>
                    }
                })}
        </A>
    }
    .into_any()
}

/// The runs that are running or rolling back.
#[component]
fn ActiveRuns(runs: Vec<Run>) -> impl IntoView {
    let count = runs.len();
    (count > 0).then(|| {
        let href = match runs.as_slice() {
            [run] => format!("/runs/{}", run.id),
            _ => "/runs?active=true".to_owned(),
        };
        view! {
            <section class="running-now" aria-labelledby="running-h">
                <h2 id="running-h">"Active runs"</h2>
                <a class="chip btn small" href=href>
                    <StatusBadge style=StatusStyle::new("run", "s-run", format!("{count} active"))/>
                </a>
                <ul>{runs.into_iter().take(5).map(|run| view! { <ActiveRun run/> }).collect_view()}</ul>
            </section>
        }
    })
}

#[component]
fn ActiveRun(run: Run) -> impl IntoView {
    let style = status_badge::run(run.state);
    let fraction = run
        .progress
        .as_ref()
        .filter(|_| run.state == RunState::Running)
        .and_then(|progress| format::fraction(progress.bytes, progress.bytes_total));
    let progress =
        fraction.map_or_else(|| style.label.clone(), |fraction| format!("{:.0}%", fraction * 100.0));
    let label = format!("Step {} of {}, {}", run.position + 1, run.steps, style.label);
    let blocks = blocks_of_run(&run);
    view! {
        <li>
            <a href=format!("/runs/{}", run.id)>
                <span class="row">
                    <StatusBadge style=StatusStyle { label: String::new(), ..style }/>
                    <span title=run.title.clone()>{run.title.clone()}</span>
                    <span>{progress}</span>
                </span>
                <StepStrip blocks label/>
            </a>
        </li>
    }
    .into_any()
}

/// The account menu.
#[component]
fn Account(name: String, role: &'static str) -> impl IntoView {
    let label = format!("Account: {name} (role: {role})");
    view! {
        <div class="account">
            <Menu label button=move || view! { <Icon name="user"/><span>{format!("{name} (role: {role})")}</span> }>
                <li><a href="/password"><Icon name="lock"/>"Change password"</a></li>
                <li><a href="/settings"><Icon name="settings"/>"Appearance"</a></li>
                <li>
                    <form method="post" action="/logout">
                        <button><Icon name="out"/>"Log out"</button>
                    </form>
                </li>
            </Menu>
        </div>
    }
}
