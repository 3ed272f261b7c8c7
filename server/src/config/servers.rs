//! The lines of `zoo.cfg` that name servers, as ZooKeeper 3.9 writes them.

use super::ensemble::{ClientAddress, PeerAddress, PeerRole};
use super::types::Listen;

/// A server of the ensemble, from a line such as `server.1=host:2888:3888;2181`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerLine {
    /// The number behind `server.`.
    pub(super) id: u64,
    /// The addresses between servers, as written; never empty.
    pub(super) addresses: Vec<PeerAddress>,
    /// Whether the server votes, by the last of its addresses that says so.
    pub(super) role: PeerRole,
    /// Another role that an address before says; ZooKeeper refuses such a line.
    pub(super) contradicted: Option<PeerRole>,
    /// Where the line says its clients connect, if it does.
    pub(super) client: Option<ClientAddress>,
}

const FORM: &str = "the form is server.1=host:2888:3888 and, if wanted, ;2181";

/// Reads a server line, or says what is wrong with it.
pub(super) fn parse(key: &str, text: &str) -> Result<ServerLine, String> {
    let number = key.strip_prefix("server.").unwrap_or(key);
    let Ok(id) = number.parse::<u64>() else {
        return Err(format!("\"{number}\" is not the number of a server; {FORM}"));
    };
    let mut parts = text.split(';');
    let servers = parts.next().unwrap_or_default();
    let client = parts.next();
    if parts.next().is_some_and(|secure| !secure.trim().is_empty()) {
        return Err(
            "a second ; is of a later ZooKeeper; write secureClientPort in its place".into()
        );
    }
    let mut roles = Vec::new();
    let mut addresses = Vec::new();
    for text in servers.split('|') {
        let (address, said) = quorum_address(text.trim())?;
        roles.extend(said);
        addresses.push(address);
    }
    let role = roles.last().copied().unwrap_or(PeerRole::Participant);
    let contradicted = roles.into_iter().find(|said| *said != role);
    let client = client.map_or(Ok(None), |text| client_address(text.trim()))?;
    Ok(ServerLine { id, addresses, role, contradicted, client })
}

fn quorum_address(text: &str) -> Result<(PeerAddress, Option<PeerRole>), String> {
    let (host, rest) = split_host(text)?;
    let mut parts = rest.split(':');
    let (Some(quorum), Some(election)) = (parts.next(), parts.next()) else {
        return Err(format!("\"{text}\" has not both ports between servers; {FORM}"));
    };
    let (quorum_port, election_port) = (port(quorum)?, port(election)?);
    if quorum_port == election_port {
        return Err(format!("both ports between servers are {quorum_port}; they must differ"));
    }
    let role = match parts.next() {
        None => None,
        Some(word) if word.eq_ignore_ascii_case("participant") => Some(PeerRole::Participant),
        Some(word) if word.eq_ignore_ascii_case("observer") => Some(PeerRole::Observer),
        Some(word) => {
            return Err(format!("\"{word}\" is neither participant nor observer; {FORM}"));
        }
    };
    if parts.next().is_some() {
        return Err(format!("\"{text}\" has too many parts; {FORM}"));
    }
    Ok((PeerAddress { host: host.to_owned(), quorum_port, election_port }, role))
}

/// `2181`, `host:2181` or `[address]:2181`.
fn client_address(text: &str) -> Result<Option<ClientAddress>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.contains(':') {
        return Ok(Some(ClientAddress { listen: Listen::Any, port: port(text)? }));
    }
    let (host, number) = split_host(text)?;
    let listen = match host {
        "*" | "" => Listen::Any,
        host => Listen::Host(host.to_owned()),
    };
    Ok(Some(ClientAddress { listen, port: port(number)? }))
}

/// Splits off the host, which is in brackets where it has colons itself.
fn split_host(text: &str) -> Result<(&str, &str), String> {
    let split = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    };
    split.ok_or_else(|| format!("\"{text}\" is not an address with a port; {FORM}"))
}

fn port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("\"{text}\" is not a port number from 0 to 65535; {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, quorum_port: u16, election_port: u16) -> PeerAddress {
        PeerAddress { host: host.to_owned(), quorum_port, election_port }
    }

    fn client(host: Option<&str>, port: u16) -> Option<ClientAddress> {
        let listen = host.map_or(Listen::Any, |host| Listen::Host(host.to_owned()));
        Some(ClientAddress { listen, port })
    }

    #[test]
    fn forms_of_a_server_line() {
        let plain = parse("server.1", "zoo1:2888:3888").unwrap();
        assert_eq!((plain.id, plain.role, plain.client), (1, PeerRole::Participant, None));
        assert_eq!(plain.addresses, [address("zoo1", 2888, 3888)]);
        let full = parse("server.2", "[::1]:2888:3888:observer;[fe80::1]:2181").unwrap();
        assert_eq!(full.addresses, [address("::1", 2888, 3888)]);
        assert_eq!(full.role, PeerRole::Observer);
        assert_eq!(full.client, client(Some("fe80::1"), 2181));
        let any = parse("server.3", "a:1:2|b:3:4:participant;*:2181").unwrap();
        assert_eq!(any.addresses, [address("a", 1, 2), address("b", 3, 4)]);
        assert_eq!((any.contradicted, any.client), (None, client(None, 2181)));
        assert_eq!(parse("server.4", "a:1:2;2181").unwrap().client, client(None, 2181));
        assert_eq!(parse("server.4", "a:1:2;").unwrap().client, None);
    }

    #[test]
    fn addresses_with_two_roles_leave_a_contradiction() {
        let line = parse("server.1", "a:1:2:observer|b:3:4:PARTICIPANT").unwrap();
        assert_eq!(line.role, PeerRole::Participant);
        assert_eq!(line.contradicted, Some(PeerRole::Observer));
    }

    #[test]
    fn mistakes_in_a_server_line() {
        let said = |key: &str, text: &str| parse(key, text).unwrap_err();
        assert!(said("server.x", "a:1:2").starts_with("\"x\" is not the number of a server"));
        assert!(said("server.1", "zoo1").contains("is not an address with a port"));
        assert!(said("server.1", "zoo1:2888").contains("not both ports"));
        assert!(said("server.1", "zoo1:2888:2888").contains("they must differ"));
        assert!(said("server.1", "zoo1:2888:99999").contains("not a port number"));
        assert!(said("server.1", "a:1:2:boss").contains("neither participant nor observer"));
        assert!(said("server.1", "a:1:2:observer:3").contains("too many parts"));
        assert!(said("server.1", "a:1:2;2181;2182").contains("secureClientPort"));
        assert!(said("server.1", "[::1:1:2").contains("is not an address with a port"));
        assert!(said("server.1", "a:1:2|").contains("is not an address with a port"));
    }
}
