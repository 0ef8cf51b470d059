//! Which addresses a host may have that a user typed. The check refuses a host at once; the job checks it again where it
//! connects, because a name may resolve differently there and later.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use model::{Failure, NetworkPolicy};

/// How long a name may take to resolve.
const LIMIT: Duration = Duration::from_secs(5);

/// The setting of the allowed networks, and where Toygres itself listens.
#[derive(Clone, Debug, Default)]
pub struct NetworkAccess {
    /// Networks that are allowed although they are denied by default.
    pub allowed: Vec<IpNet>,
    /// Host and port of the state database; none if it has a Unix socket only.
    pub state_database: Option<(String, u16)>,
    /// The address at which this process serves HTTP.
    pub listener: Option<SocketAddr>,
}

impl NetworkAccess {
    /// The policy for a job, with the present addresses of Toygres itself.
    pub(crate) async fn policy(&self) -> NetworkPolicy {
        let mut own: Vec<SocketAddr> = self.listener.into_iter().collect();
        if let Some((host, port)) = &self.state_database {
            own.extend(resolve(host, *port).await.into_iter().map(|ip| SocketAddr::new(ip, *port)));
        }
        NetworkPolicy { allowed: self.allowed.clone(), own }
    }

    /// Refuses a host whose addresses are all denied. A name that does not resolve here is left to the job.
    ///
    /// # Errors
    /// [`model::FailureCode::AddressNotAllowed`].
    pub(crate) async fn check(&self, host: &str, port: u16) -> Result<(), Failure> {
        let found = resolve(host, port).await;
        self.policy().await.select(host, Some(port), found).map(drop)
    }
}

/// The addresses of a host; none if it does not resolve in time.
async fn resolve(host: &str, port: u16) -> Vec<IpAddr> {
    match tokio::time::timeout(LIMIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
