//! The addresses of a store whose host a user typed: names are resolved and checked here, and the client connects to the
//! checked addresses. Ports are not checked, and azcopy resolves names itself.

use std::net::IpAddr;

use model::NetworkPolicy;
use object_store::client::{DnsFuture, DnsResolver};

use crate::error::{Error, Result};

/// Host and port of a URL; none if it has none. An address is returned in its usual form, however it is written.
#[must_use]
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), url.port_or_known_default()?))
}

/// Refuses a URL with an address that is not allowed. The resolver is not asked for an address.
pub(super) fn check_address(policy: &NetworkPolicy, url: &str) -> Result<()> {
    let Some((host, port)) = host_and_port(url) else { return Ok(()) };
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok(policy.select(&host, Some(port), vec![ip]).map(drop)?),
        Err(_) => Ok(()),
    }
}

/// Resolves a name to the addresses that are allowed.
#[derive(Debug)]
pub(super) struct CheckedResolver(pub(super) NetworkPolicy);

impl DnsResolver for CheckedResolver {
    fn resolve(&self, host: &str) -> DnsFuture {
        let (policy, host) = (self.0.clone(), host.to_owned());
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let found = found.map(|address| address.ip()).collect();
            Ok(policy.select(&host, None, found).map_err(Error::from)?)
        })
    }
}
