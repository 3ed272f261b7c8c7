//! Whether a certificate is that of a host.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, ServerName};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Whether a certificate names a host, as clients of ZooKeeper verify it.
///
/// A DNS name is looked for among the DNS names of the subjectAltName, an address among its IP
/// addresses. Only in a certificate without that extension the last common name counts. `*` stands for
/// one whole label at the beginning of a name that has two more. Case and a dot at the end do not
/// matter. What cannot be read names no host.
pub fn names_host(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let address = match host {
        ServerName::IpAddress(address) => Some(IpAddr::from(*address)),
        ServerName::DnsName(_) => None,
        _ => return false,
    };
    let host = host.to_str();
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().any(|name| match (name, address) {
            (GeneralName::DNSName(pattern), None) => matches(pattern, &host),
            (GeneralName::IPAddress(octets), Some(address)) => is_address(octets, address),
            (_, _) => false,
        }),
        Ok(None) => {
            let name = certificate.subject().iter_common_name().last();
            let name = name.and_then(|name| name.as_str().ok());
            name.is_some_and(|name| match address {
                None => matches(name, &host),
                Some(address) => name.parse() == Ok(address),
            })
        }
        Err(_) => false,
    }
}

fn is_address(octets: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => octets == address.octets(),
        IpAddr::V6(address) => octets == address.octets(),
    }
}

fn matches(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (without_dot(pattern), without_dot(host));
    let Some(domain) = pattern.strip_prefix("*.") else {
        return !pattern.is_empty() && pattern.eq_ignore_ascii_case(host);
    };
    let Some((label, rest)) = host.split_once('.') else { return false };
    !label.is_empty() && domain.contains('.') && domain.eq_ignore_ascii_case(rest)
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[&str], common: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let key = KeyPair::generate().expect("there is randomness");
        params.self_signed(&key).expect("it can be signed").der().clone()
    }

    fn names(certificate: &CertificateDer<'_>, host: &str) -> bool {
        names_host(certificate, &ServerName::try_from(host).expect("it is a host"))
    }

    #[test]
    fn dns_names_match_whole_and_by_one_label() {
        let made = certificate(&["zk1.example.com", "*.zk.example.com", "*.com"], &["cn.test"]);
        for good in ["zk1.example.com", "ZK1.Example.com", "zk1.example.com.", "a.zk.example.com"] {
            assert!(names(&made, good), "{good}");
        }
        for bad in ["zk2.example.com", "a.b.zk.example.com", "zk.example.com", "x.com", "cn.test"] {
            assert!(!names(&made, bad), "{bad}");
        }
    }

    #[test]
    fn addresses_match_addresses_only() {
        let made = certificate(&["10.0.0.1", "::1", "localhost"], &["10.0.0.2"]);
        assert!(names(&made, "10.0.0.1") && names(&made, "::1") && names(&made, "localhost"));
        assert!(!names(&made, "10.0.0.2"));
        let as_name = certificate(&[], &["10.0.0.2"]);
        assert!(names(&as_name, "10.0.0.2"));
        assert!(!names(&as_name, "10.0.0.3"));
    }

    #[test]
    fn the_common_name_counts_only_without_alternative_names() {
        assert!(names(&certificate(&[], &["host.test"]), "host.test"));
        assert!(!names(&certificate(&["other.test"], &["host.test"]), "host.test"));
        assert!(!names(&certificate(&["10.0.0.1"], &["host.test"]), "host.test"));
    }

    #[test]
    fn a_name_with_nul_or_a_partial_wildcard_matches_no_host() {
        assert!(!names(&certificate(&[], &["host.test\0.evil.test"]), "host.test"));
        assert!(!names(&certificate(&[], &["h*.test.example"]), "host.test.example"));
        assert!(!names(&certificate(&[], &["*"]), "host"));
        assert!(!names(&certificate(&[], &[""]), "host"));
        assert!(!names(&CertificateDer::from(vec![0x30, 0]), "host"));
    }
}
