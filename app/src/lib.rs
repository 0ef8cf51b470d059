//! The dashboard: pages that are rendered on the server and hydrated in the browser. It contains no business logic: its
//! server functions call `control`.

pub mod api;
mod color_scheme;
pub mod components;
pub mod error;
pub mod format;
mod labels;
pub mod live;
pub mod pages;
#[cfg(all(test, feature = "ssr"))]
pub(crate) mod testing;
pub mod url;

use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::components::{ParentRoute, Route, Router, Routes};
use leptos_router::{SsrMode, path};

pub(crate) use color_scheme::scheme;
use components::icon::Sprite;
use components::layout::{AppLayout, Layout};
use components::time::Clock;
use components::toast::Toasts;
use live::Live;
use pages::{
    add_instance, errors, image, images, instance, instances, login, new_instance, overview, password,
    restore, run, runs, settings, sudo,
};

/// A warning for the top of every page, such as that passwords are sent unencrypted. The server provides it as context.
#[derive(Clone, Debug)]
pub struct Notice(pub String);

/// The HTML document around the app. Only the server renders it. Every script in it carries the nonce of the response.
#[must_use]
pub fn shell(options: LeptosOptions) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en" data-scheme=scheme()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=format!("/{}/{}.css", options.site_pkg_dir, options.output_name)/>
                <HydrationScripts options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
                <Sprite/>
                {use_context::<Notice>().map(|Notice(text)| view! { <p class="notice" role="note">{text}</p> })}
            </body>
        </html>
    }
}

/// The app: its contexts and routes.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(Clock::start());
    provide_context(Live::start());
    provide_context(Toasts::new());
    view! {
        <Title formatter=|title: String| if title.is_empty() { "Toygres".to_owned() } else { format!("{title} · Toygres") }/>
        <Router>
            <Routes fallback=|| view! { <Layout><errors::NotFound/></Layout> }>
                <ParentRoute path=path!("") view=AppLayout>
                    <Route path=path!("/") view=overview::Overview ssr=SsrMode::Async/>
                    <Route path=path!("/instances") view=instances::Instances ssr=SsrMode::Async/>
                    <Route path=path!("/instances/new") view=new_instance::NewInstance ssr=SsrMode::Async/>
                    <Route path=path!("/instances/add") view=add_instance::AddInstance ssr=SsrMode::Async/>
                    <Route path=path!("/instances/:name") view=instance::InstancePage ssr=SsrMode::Async/>
                    <Route path=path!("/images") view=images::Images ssr=SsrMode::Async/>
                    <Route path=path!("/images/:id") view=image::ImagePage ssr=SsrMode::Async/>
                    <Route path=path!("/images/:id/restore") view=restore::Restore ssr=SsrMode::Async/>
                    <Route path=path!("/runs") view=runs::Runs ssr=SsrMode::Async/>
                    <Route path=path!("/runs/:id") view=run::RunPage ssr=SsrMode::Async/>
                    <Route path=path!("/settings") view=settings::Settings ssr=SsrMode::Async/>
                    <Route path=path!("/password") view=password::Password ssr=SsrMode::Async/>
                </ParentRoute>
                <Route path=path!("/login") view=login::Login ssr=SsrMode::Async/>
                <Route path=path!("/sudo") view=sudo::Sudo ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}

/// Hydrates the page; its script calls this when the WebAssembly module is loaded.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    std::panic::set_hook(Box::new(|panic| leptos::logging::error!("{panic}")));
    leptos::mount::hydrate_body(App);
}
