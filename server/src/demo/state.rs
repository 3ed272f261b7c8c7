//! What a demonstration shows at one moment.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::monitor::View;
use super::process::ProcessState;
use super::writer::Written;

/// One server.
pub(super) struct ServerFrame {
    pub(super) id: u8,
    pub(super) process: ProcessState,
    pub(super) is_cut: bool,
    pub(super) view: View,
}

/// Everything at one moment.
pub(super) struct Frame {
    pub(super) servers: Vec<ServerFrame>,
    pub(super) written: Written,
    pub(super) writes_per_s: u64,
    /// The server that keys are about.
    pub(super) chosen: u8,
    /// When it was.
    pub(super) now: Instant,
}

impl ServerFrame {
    /// What it is to the others, in one word.
    fn does(&self) -> &str {
        match self.process {
            ProcessState::Ended => "ended",
            ProcessState::Stopped => "stopped",
            ProcessState::Ending => "ending",
            ProcessState::Running if self.view.role.is_empty() => "silent",
            ProcessState::Running if self.view.state == "election" => "looking",
            ProcessState::Running if self.view.state != "broadcast" => &self.view.state,
            ProcessState::Running => &self.view.role,
        }
    }

    fn colour(&self) -> &'static str {
        match self.does() {
            "leader" => "\x1b[1;32m",
            "follower" => "\x1b[32m",
            "ended" | "silent" => "\x1b[31m",
            _ => "\x1b[33m",
        }
    }
}

impl Frame {
    /// For a terminal.
    pub(super) fn table(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for server in &self.servers {
            let ServerFrame { id, is_cut, view, .. } = server;
            let mark = if *id == self.chosen { '>' } else { ' ' };
            let epoch = view.epoch.map(|epoch| format!("epoch {epoch}")).unwrap_or_default();
            let cut = if *is_cut { "\x1b[31mpartitioned\x1b[0m" } else { "" };
            lines.push(format!(
                "{mark} server {id}  {}{:<16}\x1b[0m {:<14} {epoch:<10} clients: {:<6} {cut}",
                server.colour(),
                server.does(),
                view.zxid,
                view.clients,
            ));
        }
        lines.push(String::new());
        lines.push(self.writes());
        lines
    }

    /// For a line.
    pub(super) fn line(&self) -> String {
        let servers = self.servers.iter().map(|server| {
            let cut = if server.is_cut { " partitioned" } else { "" };
            format!("{} {}{cut} {}", server.id, server.does(), server.view.zxid)
        });
        format!("{} | {}", servers.collect::<Vec<_>>().join(" | "), self.writes())
    }

    /// In the end.
    pub(super) fn summary(&self) -> String {
        let Written { sessions, moves, .. } = self.written;
        format!(
            "{}. The client began {sessions} session(s) and went on with one {moves} times at \
             another server.",
            self.counts()
        )
    }

    /// For programs.
    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|server| {
                let View { role, state, clients, epoch, zxid } = &server.view;
                json!({
                    "id": server.id, "process": server.process.word(), "does": server.does(),
                    "partitioned": server.is_cut, "role": role, "state": state,
                    "clients": clients, "epoch": epoch, "zxid": zxid,
                })
            })
            .collect();
        let Written { acknowledged, unknown, lost, sessions, moves, server, gap_max, .. } =
            self.written;
        let writes = json!({
            "acknowledged": acknowledged, "unknown": unknown, "lost": lost,
            "per_second": self.writes_per_s, "sessions": sessions, "moves": moves,
            "server": server, "gap_max_ms": ms(gap_max),
        });
        vec![("servers", servers.into()), ("writes", writes)]
    }

    fn writes(&self) -> String {
        let silent = self.written.last.map(|last| self.now.saturating_duration_since(last));
        let gap = match silent {
            Some(gap) if gap >= Duration::from_millis(200) => {
                format!(", none for {} ms", ms(gap))
            }
            Some(_) | None => String::new(),
        };
        format!("{} writes/s{gap}; {}", self.writes_per_s, self.counts())
    }

    fn counts(&self) -> String {
        let Written { acknowledged, unknown, lost, gap_max, .. } = self.written;
        format!(
            "{acknowledged} acknowledged, {unknown} unknown, {lost} lost, longest gap {} ms",
            ms(gap_max)
        )
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
