//! Connections that were lost, servers that were killed, and what became of it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::record::results::Event;
use crate::show::text::{grouped, latency};

/// What was lost and came back.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Outages {
    /// Connections that were lost.
    pub disconnects: u64,
    /// Sessions that were taken up again on another connection.
    pub reattached: u64,
    /// Times that the ephemeral node of such a session was looked for and was there.
    #[serde(default)]
    pub ephemerals_kept: u64,
    /// Requests that were in flight on a lost connection: nobody knows whether they were done.
    pub unknown: u64,
    /// Servers killed.
    pub kills: u64,
    /// Seconds from each kill to the first server that answers again as one that leads.
    pub down_s: Vec<f64>,
    /// Each kill.
    #[serde(default)]
    pub each: Vec<Kill>,
}

/// A server that was killed. What is not known did not happen before the load was over.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Kill {
    /// Seconds from the end of the warm-up.
    pub at_s: f64,
    /// The server.
    pub server: String,
    /// Its process.
    pub pid: Option<u32>,
    /// The server that led then.
    pub successor: Option<String>,
    /// Seconds until there was one.
    pub leader_s: Option<f64>,
    /// The longest time without an acknowledged write from here to the next kill; none where
    /// nothing is written.
    pub no_writes_s: Option<f64>,
    /// Seconds until the server itself served again.
    pub back_s: Option<f64>,
}

impl Kill {
    fn text(&self) -> String {
        let time = |seconds: f64| latency(seconds * 1e6);
        let leader = match (self.leader_s, &self.successor) {
            (Some(after), Some(server)) if *server != self.server => {
                format!("{server} led after {}", time(after))
            }
            (Some(after), _) => format!("it led again after {}", time(after)),
            (None, _) => "no server led again".to_string(),
        };
        let writes = self.no_writes_s.map(|pause| format!(", no write for {}", time(pause)));
        let back = self.back_s.map(|after| format!(", back after {}", time(after)));
        let (writes, back) = (writes.unwrap_or_default(), back.unwrap_or_default());
        format!("{:>7.1} s  {}: {leader}{writes}{back}", self.at_s, self.server)
    }

    /// What happened, for charts and lists.
    pub(crate) fn events(&self) -> Vec<Event> {
        let tenth = |at: f64| (at * 10.0).round() / 10.0;
        let event = |after: f64, kind: &str, text: String| {
            let at_s = tenth(self.at_s + after);
            Event { at_s, kind: kind.into(), text }
        };
        let time = |seconds: f64| latency(seconds * 1e6);
        let mut events = vec![event(0.0, "kill", format!("{} was killed", self.server))];
        if let Some((after, server)) = self.leader_s.zip(self.successor.as_ref()) {
            let text = format!("{server} led, {} after the kill", time(after));
            events.push(event(after, "leader", text));
        }
        if let Some(pause) = self.no_writes_s {
            let text = format!("writes were acknowledged again after {} without", time(pause));
            events.push(event(pause, "writes", text));
        }
        if let Some(after) = self.back_s.filter(|_| self.successor.as_ref() != Some(&self.server)) {
            let text = format!("{} was back, {} after the kill", self.server, time(after));
            events.push(event(after, "back", text));
        }
        events
    }
}

impl Outages {
    /// Adds what another thread saw.
    pub(crate) fn merge(&mut self, other: &Outages) {
        self.disconnects += other.disconnects;
        self.reattached += other.reattached;
        self.ephemerals_kept += other.ephemerals_kept;
        self.unknown += other.unknown;
        self.kills += other.kills;
        self.down_s.extend_from_slice(&other.down_s);
        self.each.extend_from_slice(&other.each);
    }

    /// For people: nothing if nothing was lost.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        if self.kills > 0 {
            let times = if self.kills == 1 { "once" } else { "times" };
            let count = if self.kills == 1 { String::new() } else { grouped(self.kills) + " " };
            let _ = writeln!(out, "killed   {count}{times}");
            for kill in &self.each {
                let _ = writeln!(out, "{}", kill.text());
            }
        }
        if self.disconnects > 0 {
            let (lost, again) = (grouped(self.disconnects), grouped(self.reattached));
            let _ =
                writeln!(out, "lost     {lost} connections; {again} sessions were taken up again");
        }
        if self.unknown > 0 {
            let unknown = grouped(self.unknown);
            let _ = writeln!(
                out,
                "unknown  {unknown} requests were in flight then, and may have been carried out or \
                 not"
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_with_what_it_cost() {
        let kill = Kill {
            at_s: 4.0,
            server: "h:3".into(),
            pid: Some(7),
            successor: Some("h:2".into()),
            leader_s: Some(1.03),
            no_writes_s: Some(1.2),
            back_s: Some(3.4),
        };
        let expected =
            "    4.0 s  h:3: h:2 led after 1.03 s, no write for 1.20 s, back after 3.40 s";
        assert_eq!(kill.text(), expected);
        let events = kill.events();
        let shape: Vec<_> = events.iter().map(|event| (event.at_s, &event.kind[..])).collect();
        assert_eq!(shape, [(4.0, "kill"), (5.0, "leader"), (5.2, "writes"), (7.4, "back")]);
        let alone = Kill { successor: Some("h:3".into()), no_writes_s: None, ..kill };
        assert!(alone.text().ends_with("it led again after 1.03 s, back after 3.40 s"));
        assert_eq!(alone.events().len(), 2, "{:?}", alone.events());
        assert_eq!(Outages::default().text(), "");
    }
}
