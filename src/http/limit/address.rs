//! Which machine a request comes from: the one at the other end of the connection, or the one that a trusted proxy says
//! was at the other end of its own.
//!
//! A header field is believed only from a trusted proxy, only the one field that is configured, and only as far back as
//! trusted proxies wrote it: what stands further left was written by whoever sent the request.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{FORWARDED, HeaderMap, X_FORWARDED_FOR};

use super::Machine;
use crate::config::{Networks, ProxyHeader};

/// How many steps back are looked at.
const MOST_STEPS: usize = 32;

/// Whom to believe.
#[derive(Debug, Clone)]
pub(in crate::http) struct Proxies {
    pub(in crate::http) trusted: Networks,
    pub(in crate::http) header: ProxyHeader,
    /// Whether everybody comes through a proxy.
    pub(in crate::http) is_behind_one: bool,
}

impl Proxies {
    /// The machine; `None`: it cannot be known, because a proxy that nobody named stands between.
    pub(in crate::http) fn machine(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<Machine> {
        let peer = peer?.ip().to_canonical();
        if !self.trusted.contain(peer) {
            // Behind a proxy, the machine at the other end is the proxy: everybody would share its quota.
            let is_unnamed_proxy = self.is_behind_one && self.trusted.is_empty();
            let is_unknown_proxy = headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
            return (!is_unnamed_proxy).then_some(Machine { address: peer, is_unknown_proxy });
        }
        let mut address = peer;
        for step in self.steps(headers) {
            // Not an address, such as `unknown`: what is known ends here.
            let Some(before) = step else { break };
            address = before;
            if !self.trusted.contain(address) {
                break;
            }
        }
        Some(Machine { address, is_unknown_proxy: false })
    }

    /// What the proxies wrote, the nearest first.
    fn steps(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ProxyHeader::XForwardedFor => (X_FORWARDED_FOR, node),
            ProxyHeader::Forwarded => (FORWARDED, element),
        };
        let mut steps = Vec::new();
        let lines: Vec<_> = headers.get_all(name).collect();
        for line in lines.into_iter().rev() {
            let Ok(line) = line.to_str() else {
                steps.push(None);
                break;
            };
            for part in line.rsplit(',') {
                steps.push(read(part.trim()));
                if steps.len() == MOST_STEPS {
                    return steps;
                }
            }
        }
        steps
    }
}

/// The `for` of an element of `Forwarded` (RFC 7239 §4).
fn element(text: &str) -> Option<IpAddr> {
    text.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| node(value.trim().trim_matches('"'))).flatten()
    })
}

/// An address, with or without a port.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.parse().ok();
    let bracketed = || text.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|at| at.ip());
    bare.or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Holder {
        at: Networks,
    }

    fn proxies(trusted: &str, header: ProxyHeader) -> Proxies {
        let trusted = toml::from_str::<Holder>(&format!("at = \"{trusted}\"")).unwrap().at;
        Proxies { trusted, header, is_behind_one: false }
    }

    fn seen(proxies: &Proxies, peer: &str, fields: &[(&'static str, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        proxies.machine(Some(peer), &headers).map(|machine| machine.address.to_string())
    }

    #[test]
    fn a_header_of_somebody_who_is_no_trusted_proxy_is_ignored() {
        let told = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.8")];
        for trusted in ["", "10.0.0.0/8"] {
            let proxies = proxies(trusted, ProxyHeader::XForwardedFor);
            assert_eq!(seen(&proxies, "192.0.2.1", &told).as_deref(), Some("192.0.2.1"), "{trusted}");
        }
        let machine = |told: &str| {
            let mut headers = HeaderMap::new();
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(told).unwrap());
            let local = proxies("", ProxyHeader::XForwardedFor);
            local.machine(Some("127.0.0.1:1".parse().unwrap()), &headers).unwrap()
        };
        // A proxy on this machine that nobody named is not one of our own programs.
        assert!(machine("198.51.100.7").is_unknown_proxy);
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_counts() {
        let proxies = proxies("10.0.0.0/8, 2001:db8:f::/48", ProxyHeader::XForwardedFor);
        for (line, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            // The client wrote the first one itself.
            ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("203.0.113.9, 198.51.100.7, 10.1.1.1", "198.51.100.7"),
            ("2001:db8:1::1, 2001:db8:f::9", "2001:db8:1::1"),
            ("198.51.100.7:5060, 10.1.1.1", "198.51.100.7"),
            ("[2001:db8:1::1]:443", "2001:db8:1::1"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            // Nothing readable: the last that is known.
            ("unknown", "10.0.0.1"),
            ("198.51.100.7, unknown, 10.1.1.1", "10.1.1.1"),
            ("", "10.0.0.1"),
            ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ] {
            assert_eq!(
                seen(&proxies, "10.0.0.1", &[("x-forwarded-for", line)]).as_deref(),
                Some(expected),
                "{line}"
            );
        }
        // Several lines are one list.
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7, 10.1.1.1")];
        assert_eq!(seen(&proxies, "10.0.0.1", &lines).as_deref(), Some("198.51.100.7"));
    }

    #[test]
    fn only_the_configured_field_is_read() {
        let told = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        let custom = proxies("10.0.0.0/8", ProxyHeader::XForwardedFor);
        assert_eq!(seen(&custom, "10.0.0.1", &told).as_deref(), Some("198.51.100.7"));
        let standard = proxies("10.0.0.0/8", ProxyHeader::Forwarded);
        for (line, expected) in [
            ("for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ("For=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=192.0.2.43, for=203.0.113.9", "203.0.113.9"),
            ("for=_hidden, for=10.0.0.9", "10.0.0.9"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(seen(&standard, "10.0.0.1", &[("forwarded", line)]).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn behind_a_proxy_that_nobody_named_the_machine_is_not_known() {
        let mut proxies = proxies("", ProxyHeader::XForwardedFor);
        proxies.is_behind_one = true;
        assert_eq!(seen(&proxies, "10.0.0.1", &[("x-forwarded-for", "198.51.100.7")]), None);
    }
}
