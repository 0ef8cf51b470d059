//! Where instances live, for every page: fetched once a visit, for it does not change while a server runs.

use leptos::prelude::*;
use model::Place;

use crate::api::place::get_place;
use crate::error::Result;

/// Where instances live.
#[derive(Clone, Copy)]
pub struct PlatformContext(Resource<Result<Place>>);

impl PlatformContext {
    /// Begins to find out, for everything inside.
    pub fn provide() {
        provide_context(Self(Resource::new(|| (), |()| get_place())));
    }

    /// Where that is, inside `Suspend`.
    ///
    /// # Errors
    /// Nobody is logged in.
    pub async fn place(self) -> Result<Place> {
        self.0.await
    }

    /// Whether it is a cluster: no, if that is not known.
    pub async fn is_kubernetes(self) -> bool {
        self.0.await.is_ok_and(|place| place.is_kubernetes())
    }
}

/// Where instances live.
///
/// # Panics
/// Outside of the frame.
#[must_use]
pub fn use_platform() -> PlatformContext {
    expect_context()
}

/// Its name, where it is known.
#[component]
pub fn PlatformName() -> impl IntoView {
    let here = use_platform();
    view! {
        <Suspense>
            {move || Suspend::new(async move { here.place().await.ok().map(|place| place.words()) })}
        </Suspense>
    }
}
