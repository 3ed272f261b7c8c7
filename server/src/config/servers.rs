//! The lines of `zoo.cfg` that name servers, and why this release takes at most one of them.

use super::types::Listen;

/// A server of the ensemble, from a line such as `server.1=host:2888:3888;2181`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerLine {
    /// The number behind `server.`.
    pub(super) id: u64,
    /// The addresses between servers, as written.
    pub(super) addresses: Vec<String>,
    /// Whether the server votes.
    pub(super) role: Role,
    /// Where the line says its clients connect.
    pub(super) client: Client,
}

/// Whether a server votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It votes.
    Participant,
    /// It only listens.
    Observer,
}

/// Where a server line says its clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It does not say.
    Unsaid,
    /// To this address and port.
    At(Listen, u16),
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
        return Err("a second ; gives a TLS port, and this release has no TLS; remove it".into());
    }
    let mut role = Role::Participant;
    let mut addresses = Vec::new();
    for address in servers.split('|') {
        let (host, said) = quorum_address(address.trim())?;
        role = said.unwrap_or(role);
        addresses.push(host);
    }
    let client = client.map_or(Ok(Client::Unsaid), |text| client_address(text.trim()))?;
    Ok(ServerLine { id, addresses, role, client })
}

fn quorum_address(text: &str) -> Result<(String, Option<Role>), String> {
    let (host, rest) = split_host(text)?;
    let mut parts = rest.split(':');
    let (Some(quorum), Some(election)) = (parts.next(), parts.next()) else {
        return Err(format!("\"{text}\" has not both ports between servers; {FORM}"));
    };
    let (quorum, election) = (port(quorum)?, port(election)?);
    if quorum == election {
        return Err(format!("both ports between servers are {quorum}; they must differ"));
    }
    let role = match parts.next() {
        None => None,
        Some(word) if word.eq_ignore_ascii_case("participant") => Some(Role::Participant),
        Some(word) if word.eq_ignore_ascii_case("observer") => Some(Role::Observer),
        Some(word) => {
            return Err(format!("\"{word}\" is neither participant nor observer; {FORM}"));
        }
    };
    if parts.next().is_some() {
        return Err(format!("\"{text}\" has too many parts; {FORM}"));
    }
    Ok((host.to_owned(), role))
}

/// `2181`, `host:2181` or `[address]:2181`.
fn client_address(text: &str) -> Result<Client, String> {
    if text.is_empty() {
        return Ok(Client::Unsaid);
    }
    if !text.contains(':') {
        return Ok(Client::At(Listen::Any, port(text)?));
    }
    let (host, number) = split_host(text)?;
    let listen = match host {
        "*" | "" => Listen::Any,
        host => Listen::Host(host.to_owned()),
    };
    Ok(Client::At(listen, port(number)?))
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

    #[test]
    fn forms_of_a_server_line() {
        let plain = parse("server.1", "zoo1:2888:3888").unwrap();
        assert_eq!((plain.id, plain.role, plain.client), (1, Role::Participant, Client::Unsaid));
        let full = parse("server.2", "[::1]:2888:3888:observer;[fe80::1]:2181").unwrap();
        assert_eq!(full.addresses, ["::1"]);
        assert_eq!(full.role, Role::Observer);
        assert_eq!(full.client, Client::At(Listen::Host("fe80::1".into()), 2181));
        let any = parse("server.3", "a:1:2|b:3:4:participant;*:2181").unwrap();
        assert_eq!(any.addresses, ["a", "b"]);
        assert_eq!(any.client, Client::At(Listen::Any, 2181));
        assert_eq!(parse("server.4", "a:1:2;2181").unwrap().client, Client::At(Listen::Any, 2181));
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
        assert!(said("server.1", "a:1:2;2181;2182").contains("TLS"));
    }
}
