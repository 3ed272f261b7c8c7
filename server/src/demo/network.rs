//! The addresses of an ensemble on this host, the relays between its servers, and the zoo.cfg of
//! each.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::relay::{Cuts, Relay};

/// What every server here has. Short ticks: silence is noticed after a second.
const SETTINGS: &str = "\
tickTime=200
initLimit=50
syncLimit=5
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=*
preAllocSize=4096
ringkeeper.reserveMb=8
";

/// Where one server listens.
#[derive(Clone, Copy)]
struct Ports {
    client: u16,
    quorum: u16,
    election: u16,
}

/// The network of a demonstration.
pub(super) struct Network {
    /// By the numbers of the servers, from 1 on.
    ports: Vec<Ports>,
    /// The `server.` lines of each.
    lines: Vec<String>,
    cuts: Arc<Cuts>,
}

impl Network {
    /// Chooses free ports, and starts the relays.
    pub(super) fn start(servers: u8) -> anyhow::Result<Network> {
        let ports = free_ports(servers).context("no free ports on 127.0.0.1")?;
        let cuts = Arc::<Cuts>::default();
        let mut relays = Vec::new();
        for from in 1..=servers {
            for to in (1..=servers).filter(|to| *to != from) {
                relays.push(((from, to), (free_port()?, free_port()?)));
            }
        }
        let relay_ports = |between: (u8, u8)| {
            let found = relays.iter().find(|(known, _)| *known == between);
            let (_, (quorum, election)) = found.expect("there is one for each pair");
            (port_of(quorum), port_of(election))
        };
        let line = |from: u8, to: u8| {
            let Ports { quorum, election, .. } = ports[usize::from(to) - 1];
            let own = (quorum, election);
            let (quorum, election) = if from == to { own } else { relay_ports((from, to)) };
            format!("server.{to}=127.0.0.1:{quorum}:{election}\n")
        };
        let lines = (1..=servers)
            .map(|from| (1..=servers).map(|to| line(from, to)).collect::<String>())
            .collect();
        let says: Vec<(String, String)> = relays
            .iter()
            .map(|((from, to), _)| {
                let own = ports[usize::from(*from) - 1].election;
                (format!("127.0.0.1:{own}"), format!("127.0.0.1:{}", relay_ports((*to, *from)).1))
            })
            .collect();
        for ((between, (quorum, election)), says) in relays.into_iter().zip(says) {
            let Ports { quorum: to_quorum, election: to_election, .. } =
                ports[usize::from(between.1) - 1];
            for (listener, to, says) in
                [(quorum, to_quorum, None), (election, to_election, Some(says))]
            {
                let (to, cuts) = (local(to), cuts.clone());
                Relay { between, listener, to, says, cuts }.start()?;
            }
        }
        Ok(Network { ports, lines, cuts })
    }

    /// Where clients reach a server.
    pub(super) fn client_address(&self, server: u8) -> SocketAddr {
        local(self.ports[usize::from(server) - 1].client)
    }

    /// The configuration of a server with its state in this directory.
    pub(super) fn zoo_cfg(&self, server: u8, data: &Path) -> String {
        let index = usize::from(server) - 1;
        let (client, lines) = (self.ports[index].client, &self.lines[index]);
        let mut text = format!("dataDir={}\nclientPort={client}\n", data.display());
        write!(text, "{SETTINGS}{lines}").expect("writing to a string cannot fail");
        text
    }

    /// Which servers are cut off.
    pub(super) fn cuts(&self) -> &Cuts {
        &self.cuts
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port of five digits: an address may be written over another one.
fn free_port() -> io::Result<TcpListener> {
    for _ in 0..1_000 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        if port_of(&listener) >= 10_000 {
            return Ok(listener);
        }
    }
    Err(io::ErrorKind::AddrNotAvailable.into())
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

/// Ports that are free now. They are held until all are chosen, so that they differ.
fn free_ports(servers: u8) -> io::Result<Vec<Ports>> {
    let mut held = Vec::new();
    for _ in 0..servers {
        held.push([free_port()?, free_port()?, free_port()?]);
    }
    let ports = |[client, quorum, election]: &[TcpListener; 3]| Ports {
        client: port_of(client),
        quorum: port_of(quorum),
        election: port_of(election),
    };
    Ok(held.iter().map(ports).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_has_its_own_address_for_itself_and_relays_for_the_others() {
        let network = Network::start(3).unwrap();
        for server in 1..=3_u8 {
            let text = network.zoo_cfg(server, Path::new("/data"));
            let own = network.ports[usize::from(server) - 1];
            let line = format!("server.{server}=127.0.0.1:{}:{}\n", own.quorum, own.election);
            assert!(text.contains(&line) && text.matches("\nserver.").count() == 3, "{text}");
            for other in (1..=3_u8).filter(|other| *other != server) {
                let other = network.ports[usize::from(other) - 1];
                assert!(!text.contains(&other.quorum.to_string()), "{text}");
                assert!(!text.contains(&other.election.to_string()), "{text}");
            }
        }
    }
}
