//! What a start says on standard output.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use ringkeeper_engine::Zxid;

use crate::config::Settings;

/// What a person sees when the server is ready.
pub(crate) struct Banner<'a> {
    /// What holds.
    pub(crate) settings: &'a Settings,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Where commands and metrics are found over HTTP, if anywhere.
    pub(crate) http: Option<&'a str>,
    /// The last transaction.
    pub(crate) zxid: Zxid,
    /// How the log reaches the device.
    pub(crate) device: &'a str,
    /// How sockets are driven.
    pub(crate) io: &'a str,
    /// What the start took.
    pub(crate) ready_ms: i64,
}

impl Banner<'_> {
    /// At most eight lines. To a terminal or a pipe alike, on standard output.
    pub(crate) fn print(&self, fused: bool) {
        let out = io::stdout();
        let bold = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let io = self.io;
        let threads = if fused { "one thread serves and orders" } else { "sharded" };
        let mut out = out.lock();
        // A closed standard output is no reason to stop serving.
        let _ = writeln!(out, "{on}Ringkeeper {}{off}", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(out, "  data     {}", self.settings.data_dir.display());
        let _ = writeln!(out, "  zxid     {}", self.zxid);
        let _ = writeln!(out, "  log      {}", self.device);
        let _ = writeln!(out, "  sockets  {io}, {threads}");
        let _ = writeln!(out, "  clients  {}", self.address);
        if let Some(http) = self.http {
            let _ = writeln!(out, "  http     {http}");
        }
        let _ = writeln!(out, "{on}ready in {} ms{off}", self.ready_ms);
        let _ = out.flush();
    }
}
