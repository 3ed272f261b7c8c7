//! Lost connections and killed servers, in words.

use std::fmt::Write as _;

use crate::model::numbers::{grouped, latency};
use crate::model::outage::{Kill, Outages};
use crate::model::second::Event;

/// For people: nothing if nothing was lost.
pub(crate) fn text(outages: &Outages) -> String {
    let mut out = String::new();
    if outages.kills > 0 {
        let times = if outages.kills == 1 { "once" } else { "times" };
        let count = if outages.kills == 1 { String::new() } else { grouped(outages.kills) + " " };
        let _ = writeln!(out, "killed   {count}{times}");
        for kill in &outages.each {
            let _ = writeln!(out, "{}", kill_text(kill));
        }
    }
    if outages.disconnects > 0 {
        let (lost, again) = (grouped(outages.disconnects), grouped(outages.reattached));
        let _ = writeln!(out, "lost     {lost} connections; {again} sessions were re-attached");
    }
    if outages.unknown > 0 {
        let unknown = grouped(outages.unknown);
        let _ = writeln!(
            out,
            "unknown  {unknown} requests were in flight then: their outcome is unknown"
        );
    }
    out
}

fn kill_text(kill: &Kill) -> String {
    let time = |seconds: f64| latency(seconds * 1e6);
    let leader = match (kill.leader_s, &kill.successor) {
        (Some(after), Some(server)) if *server != kill.server => {
            format!("{server} led after {}", time(after))
        }
        (Some(after), _) => format!("it led again after {}", time(after)),
        (None, _) => "no server led again".to_string(),
    };
    let writes = kill.no_writes_s.map(|pause| format!(", no write for {}", time(pause)));
    let back = kill.back_s.map(|after| format!(", back after {}", time(after)));
    let (writes, back) = (writes.unwrap_or_default(), back.unwrap_or_default());
    format!("{:>7.1} s  {}: {leader}{writes}{back}", kill.at_s, kill.server)
}

/// What happened, for charts and lists.
pub(crate) fn events(kill: &Kill) -> Vec<Event> {
    let tenth = |at: f64| (at * 10.0).round() / 10.0;
    let event = |after: f64, kind: &str, text: String| {
        let at_s = tenth(kill.at_s + after);
        Event { at_s, kind: kind.into(), text }
    };
    let time = |seconds: f64| latency(seconds * 1e6);
    let mut events = vec![event(0.0, "kill", format!("{} was killed", kill.server))];
    if let Some((after, server)) = kill.leader_s.zip(kill.successor.as_ref()) {
        let text = format!("{server} led, {} after the kill", time(after));
        events.push(event(after, "leader", text));
    }
    if let Some(pause) = kill.no_writes_s {
        let text = format!("writes were acknowledged again after {} without", time(pause));
        events.push(event(pause, "writes", text));
    }
    if let Some(after) = kill.back_s.filter(|_| kill.successor.as_ref() != Some(&kill.server)) {
        let text = format!("{} was back, {} after the kill", kill.server, time(after));
        events.push(event(after, "back", text));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kill_text_has_its_outage() {
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
        assert_eq!(kill_text(&kill), expected);
        let found = events(&kill);
        let shape: Vec<_> = found.iter().map(|event| (event.at_s, &event.kind[..])).collect();
        assert_eq!(shape, [(4.0, "kill"), (5.0, "leader"), (5.2, "writes"), (7.4, "back")]);
        let alone = Kill { successor: Some("h:3".into()), no_writes_s: None, ..kill };
        assert!(kill_text(&alone).ends_with("it led again after 1.03 s, back after 3.40 s"));
        assert_eq!(events(&alone).len(), 2, "{:?}", events(&alone));
        assert_eq!(text(&Outages::default()), "");
    }
}
