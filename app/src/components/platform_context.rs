//! The platform on which instances run, for every page. It is fetched once a visit, because it does not change while the
//! server runs.

use leptos::prelude::*;
use model::PlatformInfo;

use crate::api::platform::get_platform;
use crate::error::Result;

/// The platform on which instances run.
#[derive(Clone, Copy)]
pub struct PlatformContext(Resource<Result<PlatformInfo>>);

impl PlatformContext {
    /// Fetches the platform and provides it as context.
    pub fn provide() {
        provide_context(Self(Resource::new(|| (), |()| get_platform())));
    }

    /// The platform; for use inside of `Suspend`.
    ///
    /// # Errors
    /// The user is not logged in.
    pub async fn info(self) -> Result<PlatformInfo> {
        self.0.await
    }

    /// Whether the platform is Kubernetes; false if it is not known.
    pub async fn is_kubernetes(self) -> bool {
        self.0.await.is_ok_and(|info| info.is_kubernetes())
    }
}

/// The platform on which instances run.
///
/// # Panics
/// Outside of the layout.
#[must_use]
pub fn use_platform() -> PlatformContext {
    expect_context()
}

/// The platform's name.
#[component]
pub fn PlatformName() -> impl IntoView {
    let platform = use_platform();
    view! {
        <Suspense>
            {move || Suspend::new(async move { platform.info().await.ok().map(|info| info.label()) })}
        </Suspense>
    }
}
