//! The ports of the HTTP side, taken while the server starts.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::Context;

use crate::config::Settings;

/// The class that stands for the exporter of metrics.
const PROMETHEUS: &str = "PrometheusMetricsProvider";

/// What was asked for and could be had.
#[derive(Default)]
pub struct Ports {
    /// Commands, metrics and health.
    pub(super) admin: Option<TcpListener>,
    /// Metrics only.
    pub(super) metrics: Option<TcpListener>,
}

impl Ports {
    /// Takes the ports. The one of the commands may be taken by another program: it is on by
    /// default, and a server that serves clients is worth more than none. The one of the metrics
    /// was asked for by name, so that a start without it would surprise.
    pub fn bind(settings: &Settings) -> anyhow::Result<Ports> {
        let mut ports = Ports::default();
        if settings.admin_enable_server {
            let (host, port) = (&settings.admin_server_address, settings.admin_server_port);
            match listen(host, port) {
                Ok(listener) => ports.admin = Some(listener),
                Err(error) => tracing::warn!(
                    "no commands over HTTP: cannot listen on {host}:{port} ({error}); name another \
                     port as admin.serverPort, or set admin.enableServer=false"
                ),
            }
        }
        if settings.metrics_class.ends_with(PROMETHEUS) {
            let (host, port) = (&settings.metrics_http_host, settings.metrics_http_port);
            ports.metrics = Some(listen(host, port).with_context(|| {
                format!(
                    "cannot listen on {host}:{port} for the metrics; name another port as \
                     metricsProvider.httpPort"
                )
            })?);
        }
        Ok(ports)
    }

    /// Whether there is one.
    pub(in crate::admin) fn any(&self) -> bool {
        self.admin.is_some() || self.metrics.is_some()
    }

    /// Where to find what, for people; nothing where there is nothing.
    pub fn addresses(&self, commands: &str) -> Option<String> {
        let admin = address(self.admin.as_ref()).map(|at| format!("http://{at}{commands}"));
        let metrics = address(self.metrics.as_ref()).map(|at| format!("http://{at}/metrics"));
        let all: Vec<String> = admin.into_iter().chain(metrics).collect();
        (!all.is_empty()).then(|| all.join("  "))
    }
}

fn address(listener: Option<&TcpListener>) -> Option<SocketAddr> {
    listener?.local_addr().ok()
}

/// Every address of version 4 means those of version 6 as well, as it does for Java.
fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let listener = if host == "0.0.0.0" {
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?
    } else {
        TcpListener::bind((host, port))?
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}
