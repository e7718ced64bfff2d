//! Where a message may go: not to this machine or its network unless allowed, and never to where a cloud keeps its secrets.
//!
//! A name is looked up anew for each connection, every address is judged, and the connection is made to the judged address
//! itself. A name that changes between the judgement and the connection (rebinding) gains nothing by it (SE-11).

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use url::Host;

/// Looking a name up ends within this.
const LOOK_UP_MAX: Duration = Duration::from_secs(3);

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On the internet.
    Public,
    /// This machine, its network, or nobody's.
    Private,
    /// Where clouds hand out credentials.
    Metadata,
}

/// Names that clouds give their metadata service.
const METADATA_NAMES: [&str; 5] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Addresses of the metadata services of the large clouds: AWS, GCP, Azure and others on the first; AWS containers; Azure's
/// wire server; Alibaba; Oracle.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The same of AWS, over IPv6.
const METADATA_V6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

/// What an address is; an IPv4 address in the clothes of IPv6 is what it is underneath.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => match underneath(v6) {
            Some(v4) => reach_v4(v4),
            None => reach_v6(v6),
        },
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&address) {
        return Reach::Metadata;
    }
    let [a, b, c, _] = address.octets();
    let is_private = match (a, b, c) {
        // This network, private, carrier-grade NAT, loopback, link-local (IANA special-purpose registry).
        (0 | 10 | 127, ..) | (169, 254, _) | (192, 168, _) => true,
        (100, 64..=127, _) | (172, 16..=31, _) => true,
        // Protocol assignments, documentation, relays, benchmarks.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    if is_private { Reach::Private } else { Reach::Public }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if METADATA_V6.contains(&address) {
        return Reach::Metadata;
    }
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is handed out; within it, protocol assignments and documentation are nobody's.
    let is_global = first & 0xe000 == 0x2000;
    let is_nobodys =
        first == 0x2001 && (second < 0x0200 || second == 0x0db8) || first == 0x3fff && second < 0x1000;
    if is_global && !is_nobodys {
        Reach::Public
    } else {
        Reach::Private
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, through NAT64, through 6to4.
fn underneath(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(w, x, y, z)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0xffff, 0) => Some(v4(g, h)),
        (0, 0, 0, 0, 0, 0) if g != 0 => Some(v4(g, h)),
        (0x2002, ..) => Some(v4(b, c)),
        _ => None,
    }
}

/// Whether messages may go to an address.
///
/// # Errors
///
/// Why not.
pub fn allow(address: IpAddr, allow_private: bool) -> Result<(), String> {
    match reach(address) {
        Reach::Public => Ok(()),
        Reach::Private if allow_private => Ok(()),
        Reach::Private => Err(format!(
            "{address} is on this machine or its network; allow_private = true would allow it"
        )),
        Reach::Metadata => Err(format!("{address} is where a cloud keeps its secrets")),
    }
}

/// Whether messages may go to a host as it is written; a name is judged by its addresses as well, when they are known.
///
/// # Errors
///
/// Why not.
pub fn allow_host(host: &Host<&str>, allow_private: bool) -> Result<(), String> {
    match host {
        Host::Ipv4(address) => allow(IpAddr::V4(*address), allow_private),
        Host::Ipv6(address) => allow(IpAddr::V6(*address), allow_private),
        Host::Domain(name) => allow_name(name, allow_private),
    }
}

fn allow_name(name: &str, allow_private: bool) -> Result<(), String> {
    let name = name.trim_end_matches('.').to_lowercase();
    if METADATA_NAMES.contains(&name.as_str()) {
        return Err(format!("{name} is where a cloud keeps its secrets"));
    }
    let is_here = name == "localhost" || name.ends_with(".localhost");
    if is_here && !allow_private {
        return Err(format!(
            "{name} is this machine; allow_private = true would allow it"
        ));
    }
    Ok(())
}

/// The addresses of a host that messages may go to; at least one.
///
/// # Errors
///
/// When the name has none, or when any of them may not be reached: a name that also leads astray is not trusted.
pub async fn look_up(host: &str, port: u16, allow_private: bool) -> io::Result<Vec<SocketAddr>> {
    let refused = |why: String| io::Error::new(io::ErrorKind::PermissionDenied, why);
    allow_name(host, allow_private).map_err(refused)?;
    let found = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the name could not be resolved in time"))??;
    let found: Vec<SocketAddr> = found.collect();
    for address in &found {
        allow(address.ip(), allow_private).map_err(refused)?;
    }
    match found.is_empty() {
        true => Err(io::Error::other("the name has no address")),
        false => Ok(found),
    }
}

/// The resolver of the HTTP channels: what it does not give cannot be connected to.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub allow_private: bool,
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            // The port is the connector's to fill in.
            let found = look_up(name.as_str(), 0, allow_private).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_11_an_address_is_what_it_leads_to() {
        for (text, expected) in [
            ("8.8.8.8", Reach::Public),
            ("172.15.0.1", Reach::Public),
            ("100.63.0.1", Reach::Public),
            ("100.128.0.1", Reach::Public),
            ("2606:4700::1111", Reach::Public),
            ("2001:4860:4860::8888", Reach::Public),
            ("::ffff:8.8.8.8", Reach::Public),
            ("127.0.0.1", Reach::Private),
            ("127.255.0.3", Reach::Private),
            ("0.0.0.0", Reach::Private),
            ("10.1.2.3", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("169.254.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.127.255.255", Reach::Private),
            ("198.19.0.1", Reach::Private),
            ("224.0.0.1", Reach::Private),
            ("255.255.255.255", Reach::Private),
            ("::1", Reach::Private),
            ("::", Reach::Private),
            ("fe80::1", Reach::Private),
            ("fc00::1", Reach::Private),
            ("fd12:3456::1", Reach::Private),
            ("ff02::1", Reach::Private),
            ("2001:db8::1", Reach::Private),
            ("::ffff:127.0.0.1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("::127.0.0.1", Reach::Private),
            ("64:ff9b::a00:1", Reach::Private),
            ("2002:7f00:1::", Reach::Private),
            ("169.254.169.254", Reach::Metadata),
            ("::ffff:169.254.169.254", Reach::Metadata),
            ("64:ff9b::a9fe:a9fe", Reach::Metadata),
            ("fd00:ec2::254", Reach::Metadata),
            ("100.100.100.200", Reach::Metadata),
        ] {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn se_11_metadata_is_refused_even_where_private_addresses_are_allowed() {
        for (host, private, public) in [
            ("127.0.0.1", true, false),
            ("[::1]", true, false),
            ("[::ffff:7f00:1]", true, false),
            ("localhost", true, false),
            ("app.localhost", true, false),
            ("example.com", true, true),
            ("169.254.169.254", false, false),
            ("[fd00:ec2::254]", false, false),
            ("metadata.google.internal", false, false),
            ("Metadata.Google.Internal.", false, false),
        ] {
            let url = format!("http://{host}/");
            let url = url::Url::parse(&url).unwrap();
            let host = url.host().unwrap();
            assert_eq!(allow_host(&host, true).is_ok(), private, "{host}");
            assert_eq!(allow_host(&host, false).is_ok(), public, "{host}");
        }
    }

    #[tokio::test]
    async fn se_11_a_name_that_leads_to_this_machine_is_refused_when_it_is_looked_up() {
        // The name itself is not on any list: what counts is where it leads.
        let refused = look_up("127.0.0.1", 80, false).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(look_up("127.0.0.1", 80, true).await.unwrap().len(), 1);
        assert!(look_up("169.254.169.254", 80, true).await.is_err());
    }
}
