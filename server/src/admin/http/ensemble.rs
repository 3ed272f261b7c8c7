//! The commands about an ensemble: who leads, who votes, and how this server takes part.

use ringkeeper_engine::Zxid;

use super::answers::list;
use super::fields::{Fields, Json};
use super::input::CommandInput;
use crate::admin::state::ServerState;
use crate::config::{ClientAddress, Member, PeerAddress, PeerRole};
use crate::peers::status::{ClientService, MemberReport};

pub(super) fn leader(input: &CommandInput<'_>) -> Fields {
    match input.state.member() {
        Some(report) => leader_of(&report, input.state.sources.facts.server_id),
        None => Fields::new().with("error", "server is not initialized"),
    }
}

/// The address without its port; -1 and nothing where there is no leader.
fn leader_of(report: &MemberReport, own: u64) -> Fields {
    let leader = report.leader.as_ref();
    let host = leader.map_or("", |leader| {
        let (host, _) = leader.address.rsplit_once(':').unwrap_or((&leader.address, ""));
        host.trim_matches(['[', ']'])
    });
    Fields::new()
        .with("is_leader", leader.is_some_and(|leader| u64::from(leader.id.0) == own))
        .with("leader_id", leader.map_or(-1, |leader| i64::from(leader.id.0)))
        .with("leader_ip", host)
}

pub(super) fn voting_view(input: &CommandInput<'_>) -> Fields {
    let voters = input.state.voters();
    let view = voters.iter().map(|voter| (voter.id.0.to_string(), member(voter).into()));
    Fields::new().with("current_config", view.collect::<Fields>())
}

fn member(member: &Member) -> Fields {
    let client = member.client.as_ref().map(ClientAddress::to_string).unwrap_or_default();
    Fields::new()
        .with("server_addresses", list(member.addresses.iter().map(PeerAddress::quorum)))
        .with("election_addresses", list(member.addresses.iter().map(PeerAddress::election)))
        .with("client_address", client)
        .with("learner_type", member.role.word())
}

/// Without the addresses where there is no ensemble, or clients are not served.
pub(super) fn zab_state(input: &CommandInput<'_>) -> Fields {
    let report = input.state.member().filter(|report| report.clients != ClientService::None);
    match report {
        Some(report) => zab_state_of(input.state, &report),
        None => Fields::new().with("voting", false).with("zabstate", ""),
    }
}

fn zab_state_of(state: &ServerState, report: &MemberReport) -> Fields {
    let facts = &state.sources.facts;
    let own = facts.ensemble.iter().flat_map(|ensemble| &ensemble.own().addresses);
    let own: Vec<&PeerAddress> = own.collect();
    let quorum = own.iter().map(|address| (address.quorum(), address.quorum_port, *address));
    let election = own.iter().map(|address| (address.election(), address.election_port, *address));
    let listen = facts.client_address.clone();
    let client = ClientAddress { listen, port: state.client_port() };
    let Zxid(zxid) = state.database_size().applied;
    Fields::new()
        .with("myid", facts.server_id)
        .with(
            "is_leader",
            report.leader.as_ref().is_some_and(|l| u64::from(l.id.0) == facts.server_id),
        )
        .with("quorum_address", addresses(quorum.collect()))
        .with("election_address", addresses(election.collect()))
        .with("client_address", client.to_string())
        .with("voting", report.role == PeerRole::Participant)
        .with("last_zxid", Zxid(zxid).to_string())
        .with("zab_epoch", zxid >> 32)
        .with("zab_counter", zxid & 0xffff_ffff)
        .with("zabstate", report.zab.to_string())
}

/// ZooKeeper tries which addresses can be reached, for as long as that takes. These are its own
/// addresses, so that all count as reachable here.
fn addresses(all: Vec<(String, u16, &PeerAddress)>) -> Fields {
    let texts = || list(all.iter().map(|(text, _, _)| text.as_str()));
    let first = || all.first().map_or(Json::Null, |(text, _, _)| text.as_str().into());
    Fields::new()
        .with("empty", all.is_empty())
        .with("all_addresses", texts())
        .with("wildcard_addresses", list(all.iter().map(|(_, port, _)| format!("0.0.0.0:{port}"))))
        .with("all_ports", list(all.iter().map(|(_, port, _)| *port)))
        .with("all_host_strings", list(all.iter().map(|(_, _, address)| address.host.as_str())))
        .with("reachable_address", first())
        .with("all_reachable_addresses", texts())
        .with("all_reachable_addresses_or_all", texts())
        .with("reachable_or_one", first())
        .with("one", first())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::admin::http::answers::Lookup;
    use crate::admin::http::configuration::Configuration;
    use crate::admin::tests::state_of_observer;

    fn answer(lookup: Lookup, state: &ServerState) -> String {
        let configuration = Configuration { text: String::new(), properties: BTreeMap::new() };
        let input = CommandInput { state, configuration: &configuration, query: &Vec::new() };
        serde_json::to_string(&lookup(&input)).unwrap()
    }

    /// An address as ZooKeeper 3.9.5 shows it.
    fn shown(port: u16) -> String {
        let (text, wild) = (format!("\"127.0.0.1:{port}\""), format!("\"0.0.0.0:{port}\""));
        format!(
            "{{\"empty\":false,\"all_addresses\":[{text}],\"wildcard_addresses\":[{wild}],\
             \"all_ports\":[{port}],\"all_host_strings\":[\"127.0.0.1\"],\
             \"reachable_address\":{text},\"all_reachable_addresses\":[{text}],\
             \"all_reachable_addresses_or_all\":[{text}],\"reachable_or_one\":{text},\
             \"one\":{text}}}"
        )
    }

    #[test]
    fn observer_answers_what_was_recorded_of_zookeepers() {
        let (state, _) = state_of_observer();
        let leads = r#"{"is_leader":false,"leader_id":3,"leader_ip":"127.0.0.1"}"#;
        assert_eq!(answer(leader, &state), leads);
        let voter = |id: u16| {
            format!(
                "\"{id}\":{{\"server_addresses\":[\"127.0.0.1:{}\"],\
                 \"election_addresses\":[\"127.0.0.1:{}\"],\"client_address\":\"\",\
                 \"learner_type\":\"participant\"}}",
                24_020 + id,
                24_030 + id
            )
        };
        let view = format!("{{\"current_config\":{{{},{},{}}}}}", voter(1), voter(2), voter(3));
        assert_eq!(answer(voting_view, &state), view);
        let zab = format!(
            "{{\"myid\":4,\"is_leader\":false,\"quorum_address\":{},\"election_address\":{},\
             \"client_address\":\"127.0.0.1:24004\",\"voting\":false,\"last_zxid\":\"0x0\",\
             \"zab_epoch\":0,\"zab_counter\":0,\"zabstate\":\"broadcast\"}}",
            shown(24_024),
            shown(24_034)
        );
        assert_eq!(answer(zab_state, &state), zab);
    }

    #[test]
    fn without_a_leader_there_is_none_and_without_clients_no_state() {
        let (state, member) = state_of_observer();
        member.update(|report| (report.leader, report.clients) = (None, ClientService::None));
        let none = r#"{"is_leader":false,"leader_id":-1,"leader_ip":""}"#;
        assert_eq!(answer(leader, &state), none);
        assert_eq!(answer(zab_state, &state), r#"{"voting":false,"zabstate":""}"#);
    }
}
