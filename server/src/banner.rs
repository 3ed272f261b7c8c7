//! What a start says on standard output.

use std::io::{self, Write};
use std::net::SocketAddr;

use ringkeeper_engine::Zxid;

use crate::config::{Paint, Settings};

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
        let paint = Paint::for_stdout();
        let io = self.io;
        let threads = if fused { "one thread serves and orders" } else { "sharded" };
        let mut out = out.lock();
        // A closed standard output is no reason to stop serving.
        let _ = writeln!(out, "{}", paint.bold(concat!("Ringkeeper ", env!("CARGO_PKG_VERSION"))));
        let _ = writeln!(out, "  data     {}", self.settings.data_dir.display());
        let _ = writeln!(out, "  zxid     {}", self.zxid);
        let _ = writeln!(out, "  log      {}", self.device);
        let _ = writeln!(out, "  sockets  {io}, {threads}");
        let _ = writeln!(out, "  clients  {}", self.address);
        if let Some(http) = self.http {
            let _ = writeln!(out, "  http     {http}");
        }
        let _ = writeln!(out, "{}", paint.bold(&format!("ready in {} ms", self.ready_ms)));
        let _ = out.flush();
    }
}
