//! An ensemble as `ringkeeper check` shows it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Ensemble, Member};
use crate::config::types::Listen;

/// Some lines of text: what this server is, and every member.
pub(in crate::config) fn text(ensemble: &Ensemble) -> String {
    let Ensemble { id, role, members, version, settings } = ensemble;
    let (id, role) = (id.0, role.word());
    let mut text = format!(
        "server {id} of {}, {role}; {} vote; version {version:x}; initLimit {} ms, \
         syncLimit {} ms\n",
        members.len(),
        ensemble.voters().count(),
        settings.init_limit.as_millis(),
        settings.sync_limit.as_millis(),
    );
    for member in members {
        let own = if member.id == ensemble.id { "  (this server)" } else { "" };
        writeln!(text, "{:>5}  {member}{own}", member.id.0).expect("a string takes all text");
    }
    text
}

/// The same for programs, with every setting.
pub(in crate::config) fn json(ensemble: &Ensemble) -> Value {
    let settings = ensemble.settings.described();
    let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), json!(value)));
    json!({
        "id": ensemble.id.0,
        "role": ensemble.role.word(),
        "version": format!("{:x}", ensemble.version),
        "members": ensemble.members.iter().map(member).collect::<Vec<_>>(),
        "settings": Value::Object(settings.collect()),
    })
}

fn member(member: &Member) -> Value {
    let addresses: Vec<Value> = member
        .addresses
        .iter()
        .map(|address| {
            json!({
                "host": address.host,
                "quorumPort": address.quorum_port,
                "electionPort": address.election_port,
            })
        })
        .collect();
    let client = member.client.as_ref().map(|client| {
        let host = match &client.listen {
            Listen::Any => None,
            Listen::Host(host) => Some(host),
        };
        json!({ "host": host, "port": client.port })
    });
    json!({
        "id": member.id.0,
        "role": member.role.word(),
        "addresses": addresses,
        "client": client,
        "origin": member.origin.to_string(),
    })
}
