//! What surrounds every page: the way around, what runs now, who is logged in, and whether the page is live.

use leptos::prelude::*;
use leptos_router::components::{A, Outlet};
use leptos_router::hooks::use_location;

use model::{Actor, Role};

use super::back_up::BackUpAction;
use super::focus::focus;
use super::form_error::FormError;
use super::icon::{Icon, Mark};
use super::menu::Menu;
use super::platform_context::{PlatformContext, PlatformName};
use super::status_badge::{self, StatusBadge};
use super::step_strip::{StepStrip, blocks_of_run};
use super::toast::ToastRegion;
use crate::api::layout::{LayoutData, get_current_user, get_layout};
use crate::error::{Result, UiError};
use crate::format;
use crate::live::{Connection, use_live};

/// Who is logged in. It is fetched once a visit: what depends on it alone is not drawn anew with each change elsewhere.
#[derive(Clone, Copy)]
pub struct CurrentUser(Resource<Result<Actor>>);

impl CurrentUser {
    /// Who is logged in, inside `Suspend`.
    ///
    /// # Errors
    /// Nobody is.
    pub async fn actor(self) -> Result<Actor> {
        self.0.await
    }

    /// Who is logged in, if that person has this role or a higher one.
    ///
    /// # Errors
    /// Nobody is, or the role is lower.
    pub async fn at_least(self, role: Role) -> Result<Actor> {
        let actor = self.0.await?;
        if actor.is(role) { Ok(actor) } else { Err(UiError::role(role, actor.role)) }
    }

    /// What the person may do: nothing but style, if that is not known.
    pub async fn role(self) -> Role {
        self.0.await.map_or(Role::Viewer, |actor| actor.role)
    }

    /// Whether the password was given again within the last minutes.
    pub async fn sudo(self) -> bool {
        self.0.await.is_ok_and(|actor| actor.sudo)
    }
}

/// Who is logged in.
///
/// # Panics
/// Outside of the frame.
#[must_use]
pub fn use_current_user() -> CurrentUser {
    expect_context()
}

/// The frame around a route.
#[component]
pub fn AppLayout() -> impl IntoView {
    view! { <Layout><Outlet/></Layout> }
}

/// The frame around anything.
#[component]
pub fn Layout(
    /// The page.
    children: Children,
) -> impl IntoView {
    provide_context(CurrentUser(Resource::new(|| (), |()| get_current_user())));
    PlatformContext::provide();
    let back_up = BackUpAction::new();
    provide_context(back_up);
    focus_follows_the_page();
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <div class="shell">
            <SideBar/>
            <main id="main" class="page" tabindex="-1">
                <LiveNote/>
                <FormError error=back_up.error() fields=&["name", "description"]/>
                {children()}
                <footer class="foot">
                    <span>{concat!("Toygres ", env!("CARGO_PKG_VERSION"))}</span>
                    <span><PlatformName/></span>
                    <span>"exact times are UTC"</span>
                </footer>
            </main>
        </div>
        <ToastRegion/>
    }
    .into_any()
}

/// On the way to another page the focus goes to its content, as it does when a document is loaded.
fn focus_follows_the_page() {
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
    let frame = Resource::new(move || live.version(), |_| get_layout());
    view! {
        <header class="side">
            <a class="brand" href="/"><Mark/>"Toygres"</a>
            <Transition>{move || Suspend::new(async move { view! { <Side data=frame.await.ok()/> } })}</Transition>
        </header>
    }
    .into_any()
}

/// Says that the page is not live any more, and nothing else.
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
                                "The connection to the server is lost. What you see may be old; it is fetched again as soon as the server answers."
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
    let counts = data.as_ref().map(|data| (data.instances, data.images, data.needs_you)).unwrap_or_default();
    let running = data.as_ref().map(|data| data.running.clone()).unwrap_or_default();
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
        <Now running/>
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
                    view! {
                        <span class="n fail" title=format!("{needs} need you")>
                            {needs}
                            <span class="vh">" need you"</span>
                        </span>
                    }
                })}
        </A>
    }
    .into_any()
}

/// The live runs, on every page.
#[component]
fn Now(running: Vec<model::Run>) -> impl IntoView {
    let many = running.len();
    (many > 0).then(|| {
        let href =
            if many == 1 { format!("/runs/{}", running[0].id) } else { "/runs?active=true".to_owned() };
        view! {
            <section class="running-now" aria-labelledby="now-h">
                <h2 id="now-h">"Running now"</h2>
                <a class="chip btn small" href=href>
                    <StatusBadge style=status_badge::StatusStyle::new("run", "s-run", format!("{many} running"))/>
                </a>
                <ul>
                    {running
                        .into_iter()
                        .take(5)
                        .map(|run| view! { <NowRun run/> })
                        .collect_view()}
                </ul>
            </section>
        }
    })
}

#[component]
fn NowRun(run: model::Run) -> impl IntoView {
    let style = status_badge::run(run.state);
    let share = run.progress.as_ref().and_then(|p| format::fraction(p.bytes, p.bytes_total));
    let how = share.map_or_else(|| style.label.clone(), |share| format!("{:.0} %", share * 100.0));
    let label = format!("Step {} of {}, {}", run.position + 1, run.steps, style.label);
    let blocks = blocks_of_run(&run);
    view! {
        <li>
            <a href=format!("/runs/{}", run.id)>
                <span class="row">
                    <StatusBadge style=status_badge::StatusStyle { label: String::new(), ..style }/>
                    <span>{run.title}</span>
                    <span>{how}</span>
                </span>
                <StepStrip blocks label/>
            </a>
        </li>
    }
    .into_any()
}

/// Who is logged in, and the way out.
#[component]
fn Account(name: String, role: &'static str) -> impl IntoView {
    let label = format!("Account: {name}, {role}");
    view! {
        <div class="account">
            <Menu label button=move || view! { <Icon name="user"/><span>{format!("{name} · {role}")}</span> }>
                <li><a href="/password"><Icon name="lock"/>"Change password"</a></li>
                <li><a href="/settings"><Icon name="settings"/>"Light or dark"</a></li>
                <li>
                    <form method="post" action="/logout">
                        <button><Icon name="out"/>"Log out"</button>
                    </form>
                </li>
            </Menu>
        </div>
    }
}
