//! `ringkeeper status --would-stop`: whether a server may be stopped, for a check before it is.
//!
//! A member may go when a majority of the voters is left. A leader knows which of them have its
//! history. A follower knows whom it can speak to, and asks its leader, which is taken to serve
//! clients on the port that the follower does.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::status::{MemberLines, query};
use crate::cli::StatusArgs;

/// What becomes of the ensemble without the server.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Verdict {
    /// It serves on: one sentence.
    GoesOn(String),
    /// It does not, or that is not known: one sentence.
    Breaks(String),
}

impl Verdict {
    fn may_stop(&self) -> bool {
        match self {
            Verdict::GoesOn(_) => true,
            Verdict::Breaks(_) => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::GoesOn(why) => write!(f, "may be stopped: {why}"),
            Verdict::Breaks(why) => write!(f, "must not be stopped: {why}"),
        }
    }
}

/// Writes the sentence. Whether the server may be stopped is the answer.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> io::Result<bool> {
    let server = &args.server;
    let verdict = verdict(server, Duration::from_millis(args.timeout_ms));
    if args.json {
        let fields = json!({
            "server": server,
            "may_stop": verdict.may_stop(),
            "reason": verdict.to_string(),
        });
        writeln!(out, "{fields}")?;
    } else {
        writeln!(out, "{server} {verdict}")?;
    }
    Ok(verdict.may_stop())
}

fn verdict(server: &str, patience: Duration) -> Verdict {
    let since = Instant::now();
    let role = |server: &str| query(server, b"role", patience.saturating_sub(since.elapsed()));
    let own = match role(server) {
        Ok(text) if text.starts_with("role\tstandalone") => {
            return Verdict::Breaks("it is the only server".to_owned());
        }
        Ok(text) => MemberLines::read(&text),
        Err(error) => return Verdict::Breaks(format!("it does not answer: {error}")),
    };
    let Some(own) = own else {
        return Verdict::Breaks("it does not say what it is to others".to_owned());
    };
    let leader = || leaders_address(server, &own).and_then(|leader| role(&leader).ok());
    let is_leader = |lines: &MemberLines| {
        let id = |lines: &MemberLines, name| lines.value(name).map(str::to_owned);
        lines.value("role") == Some("leader") && id(lines, "id") == id(&own, "leader")
    };
    match own.value("role") {
        Some("leader") => judge(&own, Some(&own)),
        _ => {
            let leader = leader().and_then(|text| MemberLines::read(&text)).filter(is_leader);
            judge(&own, leader.as_ref())
        }
    }
}

/// Where the leader of a follower is likely to serve its clients.
fn leaders_address(server: &str, own: &MemberLines) -> Option<String> {
    let (_, port) = server.rsplit_once(':')?;
    let (host, _) = own.value("leader_address")?.rsplit_once(':')?;
    Some(format!("{host}:{port}"))
}

/// Judges by what a member says of itself, and its leader, if that has answered.
fn judge(own: &MemberLines, leader: Option<&MemberLines>) -> Verdict {
    let number = |lines: &MemberLines, name| lines.value(name)?.parse::<usize>().ok();
    if own.value("role") == Some("observer") {
        return Verdict::GoesOn("it has no vote".to_owned());
    }
    let Some(voters) = number(own, "voters") else {
        return Verdict::Breaks("it does not say how many servers vote".to_owned());
    };
    let needed = voters / 2 + 1;
    let serves = own.value("clients") == Some("all");
    // With the leader, which is synchronized with itself, and without this one.
    let synced = leader.and_then(|leader| number(leader, "synced_followers"));
    let synced = synced.map(|followers| (followers + 1).saturating_sub(usize::from(serves)));
    let (left, what) = match (synced, number(own, "linked_voters")) {
        (Some(left), _) => (left, "are synchronized"),
        _ if !serves => {
            let why = format!("there is no leader that it knows of: {}", doing(own));
            return Verdict::Breaks(why);
        }
        (None, Some(left)) => (left, "can be spoken to; its leader was not reached"),
        (None, None) => {
            return Verdict::Breaks("its leader was not reached".to_owned());
        }
    };
    let counts = format!("without it {left} of {voters} voters {what}, and {needed} are needed");
    if left >= needed { Verdict::GoesOn(counts) } else { Verdict::Breaks(counts) }
}

fn doing(own: &MemberLines) -> &str {
    own.value("doing").unwrap_or("it does not say what it is doing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(role: &str, clients: &str, rest: &str) -> MemberLines {
        let text = format!("role\t{role}\nid\t1\nclients\t{clients}\n{rest}doing\tsomething\n");
        MemberLines::read(&text).expect("it has them")
    }

    fn leader(synced: usize) -> MemberLines {
        lines("leader", "all", &format!("voters\t3\nsynced_followers\t{synced}\n"))
    }

    #[test]
    fn leader_may_go_when_a_majority_of_the_others_is_synchronized() {
        for (synced, may_stop) in [(2, true), (1, false), (0, false)] {
            let verdict = judge(&leader(synced), Some(&leader(synced)));
            assert_eq!(verdict.may_stop(), may_stop, "{verdict}");
        }
    }

    #[test]
    fn follower_counts_what_its_leader_has_without_it() {
        let follower = lines("follower", "all", "voters\t3\nlinked_voters\t2\n");
        for (synced, may_stop) in [(2, true), (1, false)] {
            let verdict = judge(&follower, Some(&leader(synced)));
            assert_eq!(verdict.may_stop(), may_stop, "{verdict}");
        }
        // Not synchronized itself: without it there is what there is with it.
        let behind = lines("follower", "none", "voters\t3\nlinked_voters\t2\n");
        assert!(judge(&behind, Some(&leader(1))).may_stop());
    }

    #[test]
    fn follower_whose_leader_is_not_reached_goes_by_whom_it_can_speak_to() {
        for (linked, may_stop) in [(2, true), (1, false)] {
            let rest = format!("voters\t3\nlinked_voters\t{linked}\n");
            let verdict = judge(&lines("follower", "all", &rest), None);
            assert_eq!(verdict.may_stop(), may_stop, "{verdict}");
        }
        let looking = lines("looking", "reads", "voters\t3\nlinked_voters\t2\n");
        assert!(!judge(&looking, None).may_stop(), "there is no quorum to be kept");
    }

    #[test]
    fn observer_may_always_go_and_one_that_says_nothing_may_not() {
        assert!(judge(&lines("observer", "none", ""), None).may_stop());
        assert!(!judge(&lines("follower", "all", ""), None).may_stop());
    }
}
