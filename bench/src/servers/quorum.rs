//! Which server of an ensemble leads, and whether the others could go on without it.

use std::net::SocketAddr;

use crate::servers::four_letter::{self, ServerStatus};
use crate::servers::monitor::CounterSample;

/// The server that orders writes, by what each says when `status` asks it.
pub(crate) fn leader(
    servers: &[SocketAddr],
    status: fn(SocketAddr) -> ServerStatus,
) -> Option<SocketAddr> {
    servers.iter().copied().find(|server| status(*server).leads())
}

/// Whether enough others would be left to elect another leader; the reason if not. A server on its
/// own has no others.
pub(crate) fn can_lose(leader: SocketAddr, servers: &[SocketAddr]) -> Result<(), String> {
    if ServerStatus::of(leader).role.as_deref() == Some("standalone") {
        return Ok(());
    }
    let answer = four_letter::query(leader, "mntr").unwrap_or_default();
    let sample = CounterSample::parse(0, &answer);
    let (left, voters) = sample.as_ref().and_then(voters).unwrap_or_else(|| by_status(servers));
    enough(left, voters)
}

/// Followers that are in step, and voters in all, as the leader says.
fn voters(sample: &CounterSample) -> Option<(u64, u64)> {
    let value = |name: &str| sample.values.get(name).map(|value| *value as u64);
    let silent = value("synced_non_voting_followers").unwrap_or(0);
    Some((value("synced_followers")?.saturating_sub(silent), value("quorum_size")?))
}

/// The same of the servers that are known, where the leader does not answer `mntr`.
fn by_status(servers: &[SocketAddr]) -> (u64, u64) {
    let follows =
        |server: &&SocketAddr| ServerStatus::of(**server).role.as_deref() == Some("follower");
    (servers.iter().filter(follows).count() as u64, servers.len() as u64)
}

fn enough(left: u64, voters: u64) -> Result<(), String> {
    let needed = voters / 2 + 1;
    if left >= needed {
        return Ok(());
    }
    Err(format!("{left} of {voters} voters would be left, and {needed} have to agree"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_can_be_killed_if_quorum_remains() {
        let said = |followers: u32, silent: u32, size: u32| {
            let answer = format!(
                "zk_synced_followers\t{followers}\nzk_synced_non_voting_followers\t{silent}\n\
                 zk_quorum_size\t{size}\n"
            );
            let (left, voters) = voters(&CounterSample::parse(0, &answer).unwrap()).unwrap();
            enough(left, voters)
        };
        assert_eq!(said(2, 0, 3), Ok(()));
        assert!(said(2, 1, 3).unwrap_err().starts_with("1 of 3 voters would be left, and 2"));
        assert!(said(2, 0, 5).is_err() && said(3, 0, 5).is_ok() && said(1, 0, 2).is_err());
        assert_eq!(voters(&CounterSample::parse(0, "zk_uptime\t1\n").unwrap()), None);
    }
}
