//! From the server lines and the other settings to an ensemble, or to all that is wrong with it.

use std::net::IpAddr;

use super::lines::Listed;
use super::members::Rules;
use super::{ClientAddress, Ensemble, EnsembleSettings, Member, PeerRole, canonical, ports};
use crate::config::my_id::{self, MyId};
use crate::config::origin::{Origin, Problem, Warning, Weight};
use crate::config::resolve::{Held, Values};
use crate::config::types::Listen;
use crate::config::value::Value;

/// Settings that only a leader looks at.
const OF_LEADERS: &[&str] = &[
    "leaderServes",
    "leader.nodelay",
    "leader.maxConcurrentSnapSyncs",
    "leader.maxConcurrentDiffSyncs",
    "commitLogCount",
];

/// What an ensemble is made of. There are two lines or more.
pub(in crate::config) struct Assembly<'a> {
    /// The lines that can be read, by the numbers of the servers.
    pub(in crate::config) lines: &'a [Listed],
    /// How many more lines there are.
    pub(in crate::config) unreadable: usize,
    pub(in crate::config) my_id: &'a MyId,
    pub(in crate::config) values: &'a mut Values,
    /// What a missing setting is blamed on.
    pub(in crate::config) whole: Origin,
    pub(in crate::config) warnings: &'a mut Vec<Warning>,
    pub(in crate::config) problems: &'a mut Vec<Problem>,
}

impl Assembly<'_> {
    /// The ensemble, unless a member is missing from it. Whatever is wrong adds a reason not to
    /// start.
    pub(in crate::config) fn assemble(mut self) -> Option<Ensemble> {
        let last_id = my_id::last_id(self.values.get("extendedTypesEnabled"));
        let multi_address = self.values.get("multiAddress.enabled");
        let rules = Rules { last_id, multi_address, own: self.my_id.number() };
        let members = rules.members(self.lines, self.problems);
        ports::check(&members, self.problems);
        let complete = self.unreadable == 0 && members.len() == self.lines.len();
        if complete {
            self.check_voters(&members);
        }
        let own = self.own(&members, complete);
        if let Some(own) = own {
            self.check_role(own);
            self.check_leading(own);
            self.check_clients(own);
        }
        self.limits();
        let own = own.filter(|_| complete)?;
        let (id, role) = (own.id, own.role);
        let settings = EnsembleSettings::from_values(self.values);
        Some(Ensemble { id, role, version: self.version(), members, settings })
    }

    fn problem(&mut self, origin: Origin, text: String) {
        self.problems.push(Problem { origin, text });
    }

    fn warn(&mut self, origin: Origin, text: String) {
        self.warnings.push(Warning { weight: Weight::Warning, origin, text });
    }

    /// This server among the members.
    fn own<'m>(&mut self, members: &'m [Member], complete: bool) -> Option<&'m Member> {
        let (number, origin) = match self.my_id {
            MyId::Known(number, origin) => (*number, origin.clone()),
            MyId::Missing(file) => {
                let text = "it is missing, and a server of an ensemble needs it; write the number \
                            of this server into it, such as 1";
                self.problem(Origin::File(file.clone()), text.to_owned());
                return None;
            }
            MyId::Unknown => return None,
        };
        let own = members.iter().find(|member| u64::from(member.id.0) == number);
        let listed = self.lines.iter().any(|listed| listed.line.id == number);
        // Where a line cannot be read it may be the own one.
        if own.is_none() && !listed && complete {
            self.problem(origin, absent(number, members));
        }
        own
    }

    /// Without a voter there is no leader; with one ZooKeeper takes it for a server on its own.
    fn check_voters(&mut self, members: &[Member]) {
        let first = self.lines[0].origin.clone();
        let voters: Vec<&Member> =
            members.iter().filter(|member| member.role == PeerRole::Participant).collect();
        match voters.as_slice() {
            [] => {
                let text = "server.*: all servers listed are observers, so that none could lead \
                            them; list the servers that vote too";
                self.problem(first, text.to_owned());
            }
            [only] if self.values.get("standaloneEnabled") => {
                let text = format!(
                    "server.{}: it alone votes, and observers then need standaloneEnabled=false; \
                     write that, or list the other servers that vote",
                    only.id.0
                );
                self.problem(only.origin.clone(), text);
            }
            [_] => self.warn(first, "server.*: one server votes, and none may fail".to_owned()),
            [_, _] => {
                let text = "server.*: 2 servers vote, so that neither may fail; list a third one";
                self.warn(first, text.to_owned());
            }
            more if more.len() % 2 == 0 => {
                let (count, less) = (more.len(), more.len() - 1);
                let text = format!(
                    "server.*: {count} servers vote, and no more of them may fail than of {less}; \
                     an odd number is better"
                );
                self.warn(first, text);
            }
            _ => {}
        }
    }

    /// The line decides, as in ZooKeeper.
    fn check_role(&mut self, own: &Member) {
        let said: String = self.values.get("peerType");
        let origin = self.values.origin("peerType").clone();
        let role = own.role.word();
        if origin != Origin::Default && said != role {
            let (id, line) = (own.id.0, &own.origin);
            let text = format!(
                "peerType: it says {said}, but the role of server.{id} by {line} is {role}, and \
                 that holds, as in ZooKeeper; write the same at both"
            );
            self.warn(origin, text);
        }
    }

    /// What a leader does is a matter of those that may lead.
    fn check_leading(&mut self, own: &Member) {
        match own.role {
            PeerRole::Participant if self.values.get("leaderServes") => {}
            PeerRole::Participant => {
                let text = "leaderServes: a leader here serves clients as well as any other \
                            server; remove the line";
                self.problem(self.values.origin("leaderServes").clone(), text.to_owned());
            }
            PeerRole::Observer => {
                for key in OF_LEADERS {
                    let origin = self.values.origin(key).clone();
                    if origin != Origin::Default {
                        let text =
                            format!("{key}: it is for a leader, and an observer never leads");
                        self.warn(origin, text);
                    }
                }
            }
        }
    }

    /// The clients of this server need a port that is not one of those between servers, and an
    /// address that does not contradict its line.
    fn check_clients(&mut self, own: &Member) {
        match &own.client {
            Some(client) => self.check_address(own, client),
            None => self.check_port(own),
        }
    }

    fn check_port(&mut self, own: &Member) {
        let Some(port) = self.values.number("clientPort") else { return };
        let listen: Listen = self.values.get("clientPortAddress");
        let taken = own.addresses.iter().find_map(|address| {
            let same_host = match &listen {
                Listen::Any => true,
                Listen::Host(host) => canonical(host) == canonical(&address.host),
            };
            let quorum = (address.quorum_port, "quorum port");
            let election = (address.election_port, "election port");
            let same = |(number, _): &(u16, _)| same_host && i64::from(*number) == port;
            [quorum, election].into_iter().find(same)
        });
        if let Some((_, what)) = taken {
            let text = format!(
                "clientPort: {port} is the {what} of server.{} at {} too; give each a port of its \
                 own",
                own.id.0, own.origin
            );
            self.problem(self.values.origin("clientPort").clone(), text);
        }
    }

    /// As in ZooKeeper, a `clientPortAddress` beside the address of the line says the same, or it
    /// is every address of the host. Two names may lead to one address, which nobody knows here.
    fn check_address(&mut self, own: &Member, client: &ClientAddress) {
        let key = "clientPortAddress";
        let Listen::Host(said) = self.values.get(key) else { return };
        let any = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        let is_ip = |host: &str| host.parse::<IpAddr>().is_ok();
        let different = match &client.listen {
            Listen::Any => !any(&said),
            Listen::Host(host) if any(&said) => {
                let (value, origin) = (Value::Text(host.clone()), own.origin.clone());
                self.values.set(key, Held { value, text: host.clone(), origin });
                false
            }
            Listen::Host(host) if is_ip(host) && is_ip(&said) => {
                canonical(host) != canonical(&said)
            }
            Listen::Host(_) => false,
        };
        if different {
            let text = format!(
                "server.{}: its clients connect to {client}, but {} says {key}={said}; make them \
                 the same",
                own.id.0,
                self.values.origin(key)
            );
            self.problem(own.origin.clone(), text);
        }
    }

    /// ZooKeeper wants both limits, and multiplies with 32 bits.
    fn limits(&mut self) {
        let tick = self.values.number("tickTime").expect("it has a default");
        let most = i64::from(i32::MAX) / tick;
        for (key, preset) in
            [("initLimit", "10"), ("syncLimit", "5"), ("connectToLearnerMasterLimit", "0")]
        {
            let origin = self.values.origin(key).clone();
            let ticks = self.values.number(key).expect("it has a default");
            let needed = key != "connectToLearnerMasterLimit";
            if ticks > most {
                let text = format!(
                    "{key}: {ticks} ticks of {tick} ms are more than 24 days; write {key}={most}"
                );
                self.problem(origin, text);
            } else if needed && ticks == 0 {
                let text = format!("{key}: 0 ticks are no time at all; write {key}={preset}");
                self.problem(origin, text);
            } else if needed && origin == Origin::Default {
                let text = format!(
                    "{key}: it is not set, and counts as {preset}; ZooKeeper does not start \
                     without it"
                );
                self.warn(self.whole.clone(), text);
            }
        }
    }

    /// ZooKeeper keeps the version of a configuration in the name of its file.
    fn version(&self) -> u64 {
        let Value::Text(file) = &self.values.held("dynamicConfigFile").value else { return 0 };
        version_of(file)
    }
}

/// The hexadecimal number behind the last point of a name, or 0.
pub(super) fn version_of(file: &str) -> u64 {
    let end = file.rsplit_once('.').map_or("", |(_, end)| end);
    let number = i64::from_str_radix(end, 16).ok().filter(|_| !end.starts_with(['+', '-']));
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

fn absent(number: u64, members: &[Member]) -> String {
    let ids: Vec<String> = members.iter().map(|member| member.id.0.to_string()).collect();
    let (last, others) = ids.split_last().expect("there are two lines or more");
    format!(
        "this server has the number {number}, and the servers listed are {} and {last}; add the \
         line server.{number}=, or correct the number",
        others.join(", ")
    )
}
