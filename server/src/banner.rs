//! What a start says on standard output.

use std::io::{self, Write};
use std::net::SocketAddr;

use ringkeeper_engine::Zxid;

use crate::config::{Ensemble, LogFormat, Paint, PeerAddress, PeerRole, Settings};

/// What a person sees when the server is ready.
pub(crate) struct Banner<'a> {
    /// What holds.
    pub(crate) settings: &'a Settings,
    /// Where clients connect without TLS.
    pub(crate) plain: Option<SocketAddr>,
    /// Where they connect with TLS alone.
    pub(crate) secure: Option<SocketAddr>,
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
    /// At most ten lines. To a terminal or a pipe alike, on standard output.
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
        if let Some(address) = self.plain {
            let _ = writeln!(out, "  clients  {address}");
        }
        if let Some(address) = self.secure {
            let _ = writeln!(out, "  tls      {address}");
        }
        if let Some(ensemble) = &self.settings.ensemble {
            let _ = writeln!(out, "  member   {}", member(ensemble));
        }
        if let Some(http) = self.http {
            let _ = writeln!(out, "  http     {http}");
        }
        let ready_ms = self.ready_ms;
        let last = match self.settings.ensemble {
            Some(_) => format!("started in {ready_ms} ms, looking for the leader"),
            None => format!("ready in {ready_ms} ms"),
        };
        let _ = writeln!(out, "{}", paint.bold(&last));
        let _ = out.flush();
    }

    /// The same as an event, for programs: people have the banner.
    pub(crate) fn log(&self, format: LogFormat) {
        let Banner { settings, plain, secure, http, zxid, device, io, ready_ms } = self;
        match format {
            LogFormat::Text => {}
            LogFormat::Json => tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                zxid = %zxid,
                clients = plain.map(tracing::field::display),
                tls = secure.map(tracing::field::display),
                http,
                data_dir = %settings.data_dir.display(),
                data_log_dir = %settings.data_log_dir.display(),
                log = device,
                sockets = io,
                member = settings.ensemble.as_ref().map(|ensemble| ensemble.id.0),
                ready_ms,
                "started"
            ),
        }
    }
}

/// What this server is in its ensemble, and which servers it will ask.
fn member(ensemble: &Ensemble) -> String {
    let others = ensemble.voters().filter(|voter| voter.id != ensemble.id);
    let asked = others.map(|voter| {
        let addresses: Vec<String> = voter.addresses.iter().map(PeerAddress::election).collect();
        format!("{} at {}", voter.id.0, addresses.join(" or "))
    });
    let asked: Vec<String> = asked.collect();
    let (id, role, asked) = (ensemble.id.0, ensemble.role.word(), asked.join(", "));
    match ensemble.role {
        PeerRole::Observer => format!("{id}, {role}; asks {asked} who leads"),
        PeerRole::Participant => format!("{id}, {role}; votes with {asked}"),
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::session::ServerId;

    use super::*;
    use crate::config::ensemble::tests::observer_of_three;

    #[test]
    fn member_names_its_role_and_whom_it_asks() {
        let text = "4, observer; asks 1 at 127.0.0.1:24031, 2 at 127.0.0.1:24032, 3 at \
                    127.0.0.1:24033 who leads";
        assert_eq!(member(&observer_of_three()), text);
        let voter =
            Ensemble { id: ServerId(2), role: PeerRole::Participant, ..observer_of_three() };
        let text = "2, participant; votes with 1 at 127.0.0.1:24031, 3 at 127.0.0.1:24033";
        assert_eq!(member(&voter), text);
    }
}
