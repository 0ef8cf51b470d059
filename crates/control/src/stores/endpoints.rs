//! The hosts that a user typed for a store. Those of the environment are chosen by the operator of the machine or cluster.

use model::{StoreAccess, StoreAuth};

use crate::error::{Error, Result};
use crate::services::Services;

/// The typed URLs, each with its field.
pub(super) fn typed(access: &StoreAccess) -> impl Iterator<Item = (&'static str, &str)> {
    let identity = match &access.auth {
        StoreAuth::AzureIdentity { authority_host, .. } => ("authority_host", authority_host.as_deref()),
        StoreAuth::AwsIdentity { sts_endpoint, .. } => ("sts_endpoint", sts_endpoint.as_deref()),
        StoreAuth::Environment | StoreAuth::Secret { .. } | StoreAuth::Sealed => ("", None),
    };
    let typed = [("endpoint", access.endpoint.as_deref()), identity];
    typed.into_iter().filter_map(|(field, url)| Some((field, url?)))
}

/// Refuses hosts whose addresses are not allowed.
///
/// # Errors
/// The field is named.
pub(crate) async fn check(services: &Services, access: &StoreAccess) -> Result<()> {
    for (field, url) in typed(access) {
        if let Some((host, port)) = image::host_and_port(url) {
            let checked = services.network().check(&host, port).await;
            checked.map_err(|failure| Error::at_field(field, &failure))?;
        }
    }
    Ok(())
}
