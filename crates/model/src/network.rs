//! Which addresses a host may have that a user named. It resolves no names and opens no connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureCode};

/// The metadata services of clouds outside of the link-local networks: Azure, Alibaba.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200)];
/// The same for IPv6: AWS, Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// The addresses that Toygres connects to when a user names the host.
///
/// Loopback, unspecified, link-local, multicast, reserved and metadata addresses are denied, and those of the machine that
/// applies the policy, also where an IPv6 address contains such an IPv4 address. Private networks (RFC 1918, RFC 4193) are allowed, because databases are there.
///
/// ```
/// use model::{FailureCode, NetworkPolicy};
///
/// let policy = NetworkPolicy::default();
/// let error = policy.select("db", Some(5432), vec!["::ffff:169.254.169.254".parse()?]).expect_err("denied");
/// assert_eq!(error.code, FailureCode::AddressNotAllowed);
/// assert!(policy.select("db", Some(5432), vec!["10.0.0.7".parse()?]).is_ok());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPolicy {
    /// Networks that are allowed although they are denied by default.
    #[serde(default, with = "as_text")]
    pub allowed: Vec<IpNet>,
    /// The services of Toygres itself, which are never allowed. An unspecified address stands for every address of the
    /// machine that applies the policy.
    #[serde(default)]
    pub own: Vec<SocketAddr>,
}

impl NetworkPolicy {
    /// The addresses of `host` that are allowed, out of those that it resolved to. The caller must connect to one of them
    /// and not resolve the name again. Without a port, the services of Toygres itself are not recognised.
    ///
    /// # Errors
    /// [`FailureCode::AddressNotAllowed`] if all of them are denied.
    pub fn select(&self, host: &str, port: Option<u16>, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Failure> {
        let denied = found.iter().find_map(|ip| Some((*ip, self.denial(*ip, port)?)));
        let allowed: Vec<IpAddr> = found.into_iter().filter(|ip| self.denial(*ip, port).is_none()).collect();
        match denied {
            Some((ip, kind)) if allowed.is_empty() => {
                let subject = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
                let detail = format!("the address {ip} is {kind}");
                Err(Failure::new(FailureCode::AddressNotAllowed, detail).on(subject))
            }
            _ => Ok(allowed),
        }
    }

    /// What kind of denied address it is; none if it is allowed.
    fn denial(&self, ip: IpAddr, port: Option<u16>) -> Option<&'static str> {
        let forms = [Some(ip.to_canonical()), embedded(ip).map(IpAddr::V4)];
        let forms = || forms.iter().flatten();
        if port.is_some_and(|port| forms().any(|ip| self.is_own(*ip, port))) {
            return Some("an address of Toygres itself");
        }
        if forms().any(|ip| self.allowed.iter().any(|network| network.contains(ip))) {
            return None;
        }
        let kind = forms().find_map(|ip| match ip {
            IpAddr::V4(ip) => kind_of_v4(*ip),
            IpAddr::V6(ip) => kind_of_v6(*ip),
        });
        kind.or_else(|| forms().any(|ip| is_of_this_machine(*ip)).then_some("an address of this machine"))
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        self.own.iter().filter(|own| own.port() == port).any(|own| {
            let own = own.ip().to_canonical();
            own == ip || (own.is_unspecified() && is_of_this_machine(ip))
        })
    }
}

/// Whether an interface of this machine has the address: only then can a socket be bound to it. Nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// The IPv4 address that an IPv6 address leads to through a translator or a tunnel.
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291, RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

fn kind_of_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("an unspecified address"),
        [127, ..] => Some("a loopback address"),
        [169, 254, ..] => Some("a link-local address"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved or broadcast address"),
        _ => METADATA_V4.contains(&ip).then_some("an address of a metadata service"),
    }
}

fn kind_of_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // The place of the IPv4 address in it depends on the translator (RFC 8215).
        [0x64, 0xff9b, 1, ..] => Some("an address of a translator"),
        _ => METADATA_V6.contains(&ip).then_some("an address of a metadata service"),
    }
}

/// Networks as texts such as `10.0.0.0/8`.
mod as_text {
    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(networks.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    use super::*;

    fn is_allowed(policy: &NetworkPolicy, ip: &str) -> bool {
        let selected = policy.select("host", Some(5432), vec![ip.parse().expect("an address")]);
        assert!(selected.as_ref().err().is_none_or(|error| error.code == FailureCode::AddressNotAllowed));
        selected.is_ok()
    }

    #[test]
    fn addresses_of_this_machine_are_denied_unless_they_are_allowed() {
        // Nothing is sent: the system chooses the address from which it would.
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.connect("198.51.100.1:9").expect("the machine has an address");
        let own = socket.local_addr().expect("an address").ip();
        let denied = NetworkPolicy::default().select("db", Some(5432), vec![own]).expect_err("denied");
        assert_eq!(denied.code, FailureCode::AddressNotAllowed);
        let policy = NetworkPolicy { allowed: vec![IpNet::from(own)], own: Vec::new() };
        assert!(policy.select("db", Some(5432), vec![own]).is_ok());
    }

    #[test]
    fn special_addresses_are_denied_in_every_form() {
        let policy = NetworkPolicy::default();
        for denied in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            // IPv4-mapped, IPv4-compatible, IPv4-translated, NAT64, 6to4.
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(!is_allowed(&policy, denied), "{denied}");
        }
        for allowed in [
            "10.0.0.7",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.2.10",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.0.0.7",
            "64:ff9b::192.0.2.10",
        ] {
            assert!(is_allowed(&policy, allowed), "{allowed}");
        }
    }

    #[test]
    fn spellings_of_the_resolver_are_denied() {
        let policy = NetworkPolicy::default();
        // What the C library makes an address of.
        for spelling in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost"] {
            let found: Vec<IpAddr> =
                (spelling, 5432).to_socket_addrs().expect(spelling).map(|found| found.ip()).collect();
            assert!(!found.is_empty(), "{spelling}");
            let error = policy.select(spelling, Some(5432), found).expect_err(spelling);
            assert_eq!(error.code, FailureCode::AddressNotAllowed);
        }
    }

    #[test]
    fn only_allowed_addresses_of_a_name_are_selected() {
        let policy = NetworkPolicy::default();
        let found =
            || ["127.0.0.1", "10.0.0.7", "fe80::1"].map(|ip| ip.parse().expect("an address")).to_vec();
        assert_eq!(policy.select("db", Some(5432), found()), Ok(vec![Ipv4Addr::new(10, 0, 0, 7).into()]));
    }

    #[test]
    fn setting_allows_a_network_in_every_form_and_no_other() {
        let loopback = "127.0.0.0/8".parse().expect("a network");
        let policy = NetworkPolicy { allowed: vec![loopback], own: Vec::new() };
        for allowed in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"] {
            assert!(is_allowed(&policy, allowed), "{allowed}");
        }
        for denied in ["::1", "169.254.169.254"] {
            assert!(!is_allowed(&policy, denied), "{denied}");
        }
    }

    #[test]
    fn own_services_are_denied_in_allowed_networks_too() {
        let everything = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network")).to_vec();
        let own = ["192.0.2.10:5432", "0.0.0.0:8080"].map(|own| own.parse().expect("an address")).to_vec();
        let policy = NetworkPolicy { allowed: everything, own };
        let denied = |ip: &str, port| policy.select("h", Some(port), vec![ip.parse().expect(ip)]).is_err();
        assert!(denied("192.0.2.10", 5432) && denied("::ffff:192.0.2.10", 5432));
        assert!(!denied("192.0.2.10", 5433) && !denied("192.0.2.11", 5432));
        // The listener has every address of this machine.
        assert!(denied("127.0.0.1", 8080) && !denied("127.0.0.1", 8081) && !denied("192.0.2.11", 8080));
    }

    #[test]
    fn policy_survives_json() {
        let policy = NetworkPolicy {
            allowed: vec!["127.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")],
            own: vec!["[::1]:5432".parse().expect("an address")],
        };
        let json = serde_json::to_string(&policy).expect("JSON");
        assert_eq!(serde_json::from_str::<NetworkPolicy>(&json).expect("a policy"), policy);
    }
}
