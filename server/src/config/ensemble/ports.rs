//! No two ports of an ensemble may be the same port of the same host.

use std::collections::BTreeMap;

use ringkeeper_engine::session::ServerId;

use super::{Member, canonical};
use crate::config::origin::{Origin, Problem};
use crate::config::types::Listen;

/// A port of a member.
#[derive(Clone, Debug)]
struct Endpoint {
    id: ServerId,
    what: &'static str,
    origin: Origin,
}

/// Adds a reason for each member that has a port of another member, or one port twice.
pub(super) fn check(members: &[Member], problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<(String, u16), Endpoint> = BTreeMap::new();
    for member in members {
        let clash = endpoints(member).into_iter().find_map(|(host, port, what)| {
            let own = Endpoint { id: member.id, what, origin: member.origin.clone() };
            let other = taken.insert((host.clone(), port), own)?;
            Some(said(&host, port, what, &other, member.id))
        });
        if let Some(said) = clash {
            let text = format!("server.{}: {said}", member.id.0);
            problems.push(Problem { origin: member.origin.clone(), text });
        }
    }
}

fn said(host: &str, port: u16, what: &str, other: &Endpoint, id: ServerId) -> String {
    let at = format!("{}:{port}", super::bracketed(host));
    let advice = "give each a port of its own";
    if other.id == id {
        return format!("{at} is its {} and its {what}; {advice}", other.what);
    }
    format!(
        "its {what} {at} is the {} of server.{} at {} too; {advice}",
        other.what, other.id.0, other.origin
    )
}

/// The ports of a member with their hosts. One that clients use on every address of the host
/// is one of the names that the other servers know the host by.
fn endpoints(member: &Member) -> Vec<(String, u16, &'static str)> {
    let mut all = Vec::new();
    for address in &member.addresses {
        let host = canonical(&address.host);
        all.push((host.clone(), address.quorum_port, "quorum port"));
        all.push((host, address.election_port, "election port"));
    }
    let Some(client) = &member.client else { return all };
    let mut hosts: Vec<String> = member.addresses.iter().map(|a| canonical(&a.host)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if let Listen::Host(host) = &client.listen {
        let host = canonical(host);
        // An address that each host has is not the same on another host.
        let everywhere = ["127.0.0.1", "::1", "localhost"].contains(&host.as_str());
        if everywhere && !hosts.contains(&host) {
            hosts.clear();
        } else if !["0.0.0.0", "::"].contains(&host.as_str()) {
            hosts = vec![host];
        }
    }
    all.extend(hosts.into_iter().map(|host| (host, client.port, "client port")));
    all
}
