//! A prediction beside the truth: a real server with the recommended settings, under real load.

use std::path::Path;
use std::process::Child;

use anyhow::{Result, bail};
use ringkeeper_bench::measure_sets;
use ringkeeper_bench::servers::ephemeral::{own, started};
use serde::Serialize;

use crate::model::{Clients, MANY, ONE};
use crate::probe::Stop;
use crate::probe::scratch::Scratch;

/// What the server did.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) one_p50_us: f64,
    pub(crate) one_per_second: f64,
    pub(crate) many_per_second: f64,
}

/// Starts a server with its state in a directory of its own on the same disk, loads it, stops it.
pub(crate) fn run(directory: &Path, settings: &str, stop: &Stop) -> Result<Outcome> {
    let scratch = Scratch::make(directory)?;
    let (config, data) = (scratch.file("zoo.cfg"), scratch.file("data"));
    std::fs::write(scratch.file("tune.cfg"), settings)?;
    let lines = format!(
        "dataDir={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nringkeeper.include=tune.cfg\n",
        data.display()
    );
    std::fs::write(&config, lines)?;
    let mut command = own("start", scratch.path())?;
    let (child, ports) = started(command.arg(&config).arg("-DclientPort=0"), scratch.path())?;
    let _server = Server(child);
    eprintln!("A server with these settings runs on {}; loading it.", ports.clients);
    let load = |clients: Clients| {
        let measured = measure_sets(ports.clients, clients.connections, clients.pipeline)?;
        if stop.is_wanted() {
            bail!("interrupted");
        }
        Ok(measured)
    };
    let ((one_p50_us, one_per_second), (_, many_per_second)) = (load(ONE)?, load(MANY)?);
    Ok(Outcome { one_p50_us, one_per_second, many_per_second })
}

/// A process that ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Its state goes with it, so there is nothing to wait for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
