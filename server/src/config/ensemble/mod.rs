//! The ensemble that a configuration describes: its servers, this one among them, and its limits.
//!
//! `lines` takes the server lines out of what was said, `members` and `ports` check each line and
//! all of them against each other, and `assemble` makes the [`Ensemble`]. Nothing here resolves a
//! name.

pub(super) mod assemble;
pub(super) mod lines;
mod members;
mod ports;
pub(super) mod report;
mod settings;
mod text;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ringkeeper_engine::session::ServerId;

use super::origin::Origin;
use super::types::Listen;
pub use settings::EnsembleSettings;
#[cfg(test)]
pub(super) use settings::FIELD_KEYS;
#[cfg(test)]
pub(super) use settings::FIELDS;
pub use text::NamedMembers;

/// An ensemble as its configuration describes it. It has been checked as a whole: this server is
/// one of its members, every member has a number, addresses and ports of its own, and one votes.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// The number of this server, from `myid`.
    pub id: ServerId,
    /// Whether this server votes. Its server line decides, not `peerType`.
    pub role: PeerRole,
    /// Every member, this server included, by their numbers.
    pub members: Vec<Member>,
    /// The version of the configuration: the hexadecimal number at the end of the name of
    /// `dynamicConfigFile`, or 0.
    pub version: u64,
    /// Limits and switches.
    pub settings: EnsembleSettings,
}

/// A server of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 1 to 255.
    pub id: ServerId,
    /// Whether it votes.
    pub role: PeerRole,
    /// Where other servers reach it; never empty, and more than one only with
    /// `multiAddress.enabled`.
    pub addresses: Vec<PeerAddress>,
    /// Where its clients connect, if its line says it.
    pub client: Option<ClientAddress>,
    /// The line it comes from.
    pub origin: Origin,
}

/// Whether a server votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRole {
    /// It votes.
    Participant,
    /// It applies what the others decide.
    Observer,
}

/// Where other servers reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// A name or an IP address without brackets, as written. A name is looked up when the server
    /// is dialled, each time anew, since it may not resolve yet and may change.
    pub host: String,
    /// Where a leader takes learners.
    pub quorum_port: u16,
    /// Where a server takes notifications of an election.
    pub election_port: u16,
}

/// Where a server line says that clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// On which addresses of the host.
    pub listen: Listen,
    /// On which port.
    pub port: u16,
}

impl Ensemble {
    /// This server.
    pub fn own(&self) -> &Member {
        let own = self.members.iter().find(|member| member.id == self.id);
        own.expect("this server is a member: that was checked")
    }

    /// The members that vote, by their numbers.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == PeerRole::Participant)
    }
}

impl PeerRole {
    /// The word of `zoo.cfg`.
    pub fn word(self) -> &'static str {
        match self {
            PeerRole::Participant => "participant",
            PeerRole::Observer => "observer",
        }
    }
}

impl PeerAddress {
    /// Where a leader takes learners, as `host:port`.
    pub fn quorum(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.quorum_port)
    }

    /// Where notifications of an election are taken, as `host:port`.
    pub fn election(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.election_port)
    }

    /// Whether it names every address of a host, which only the host itself can use.
    pub fn is_wildcard(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

/// As the configuration of a running ensemble is written: `host:2888:3888:observer;host:2181`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.addresses.iter().enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            write!(f, "{separator}{address}")?;
        }
        write!(f, ":{}", self.role.word())?;
        match &self.client {
            Some(client) => write!(f, ";{client}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PeerAddress { host, quorum_port, election_port } = self;
        write!(f, "{}:{quorum_port}:{election_port}", bracketed(host))
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match &self.listen {
            Listen::Any => "0.0.0.0".to_owned(),
            Listen::Host(host) => bracketed(host),
        };
        write!(f, "{host}:{}", self.port)
    }
}

/// A host as it stands before a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// One text for all forms of an address. Names that differ may still lead to the same host.
fn canonical(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => unmapped(address).to_string(),
        Ok(address) => address.to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

#[cfg(test)]
pub(crate) mod tests;
