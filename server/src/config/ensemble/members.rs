//! What each server line needs to be a member of an ensemble.

use ringkeeper_engine::session::ServerId;

use super::lines::{Listed, same_number};
use super::{Member, PeerAddress};
use crate::config::my_id;
use crate::config::origin::Problem;

/// What holds for all lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The largest number that a server may have.
    pub(super) last_id: u8,
    /// Whether a line may have several addresses.
    pub(super) multi_address: bool,
    /// The number of this server, where it is known.
    pub(super) own: Option<u64>,
}

impl Rules {
    /// The members that the lines describe; a line that cannot be one adds its reason.
    pub(super) fn members(self, lines: &[Listed], problems: &mut Vec<Problem>) -> Vec<Member> {
        let mut members = Vec::with_capacity(lines.len());
        for (index, listed) in lines.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| &lines[before]);
            if let Some(other) = before.filter(|other| other.line.id == listed.line.id) {
                problems.push(listed.problem(&same_number(&other.origin)));
                continue;
            }
            match self.member(listed) {
                Ok(member) => members.push(member),
                Err(text) => problems.push(listed.problem(&text)),
            }
        }
        members
    }

    /// The number as one that a server may have.
    pub(super) fn id(self, id: u64) -> Result<ServerId, String> {
        my_id::checked(i64::try_from(id).unwrap_or(i64::MAX), self.last_id).map(ServerId)
    }

    fn member(self, listed: &Listed) -> Result<Member, String> {
        let line = &listed.line;
        let id = self.id(line.id)?;
        if line.addresses.len() > 1 && !self.multi_address {
            return Err(
                "several addresses need multiAddress.enabled=true; write that, or keep one \
                        address"
                    .to_owned(),
            );
        }
        if let Some(other) = line.contradicted {
            let (other, role) = (other.word(), line.role.word());
            return Err(format!(
                "one address says {other} and another {role}; say the same at all"
            ));
        }
        for address in &line.addresses {
            self.check_address(line.id, address)?;
        }
        if line.client.as_ref().is_some_and(|client| client.port == 0) {
            return Err("its client port is 0, which is no port; write ;2181".to_owned());
        }
        Ok(Member {
            id,
            role: line.role,
            addresses: line.addresses.clone(),
            client: line.client.clone(),
            origin: listed.origin.clone(),
        })
    }

    fn check_address(self, id: u64, address: &PeerAddress) -> Result<(), String> {
        let host = &address.host;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/,[]@\"".contains(c);
        if host.is_empty() || host.contains(odd) {
            return Err(format!(
                "\"{host}\" is neither a host name nor an IP address; write it as \
                 zoo{id}:2888:3888"
            ));
        }
        if address.quorum_port == 0 || address.election_port == 0 {
            return Err(format!(
                "port 0 cannot be dialled; write both ports as in {host}:2888:3888"
            ));
        }
        if address.is_wildcard() && self.own.is_some_and(|own| own != id) {
            return Err(format!(
                "{host} is no address that another server can be reached at; write its host name"
            ));
        }
        Ok(())
    }
}
