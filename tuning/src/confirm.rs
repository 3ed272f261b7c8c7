//! A prediction beside the truth: a real server with the recommended settings, under real load.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use ringkeeper_engine::device::die_with_parent;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde_json::Value;

use crate::model::{Clients, MANY, ONE};
use crate::probe::Stop;
use crate::probe::scratch::Scratch;

/// The longest that a start, a load or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(20);

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
    let server = Server::start(&scratch, settings)?;
    eprintln!("A server with these settings runs on {}; loading it.", server.address);
    let one = server.load(&scratch, ONE, stop)?;
    let many = server.load(&scratch, MANY, stop)?;
    Ok(Outcome { one_p50_us: one.0, one_per_second: one.1, many_per_second: many.1 })
}

/// A process that ends with the value.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if wait(&mut self.child, &Stop::default(), PATIENCE / 6).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Server {
    fn start(scratch: &Scratch, settings: &str) -> Result<Server> {
        let config = scratch.file("zoo.cfg");
        let data = scratch.file("data");
        std::fs::write(scratch.file("tune.cfg"), settings)?;
        std::fs::write(
            &config,
            format!(
                "dataDir={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
                 ringkeeper.include=tune.cfg\n",
                data.display()
            ),
        )?;
        let messages = File::create(scratch.file("messages"))?;
        let mut child = own(&["start"])?
            .arg(&config)
            .arg("-DclientPort=0")
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .context("cannot start a server")?;
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let (found, address) = mpsc::channel();
        // The thread ends with the process, whose output it reads to the end: a full pipe would
        // stop the server.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(address) = line.trim().strip_prefix("clients ") {
                    let _ = found.send(address.trim().to_owned());
                }
            }
        });
        let mut server = Server { child, address: String::new() };
        server.address = address.recv_timeout(PATIENCE).map_err(|_| {
            let said = std::fs::read_to_string(scratch.file("messages")).unwrap_or_default();
            anyhow!("the server did not start: {}", said.trim())
        })?;
        Ok(server)
    }

    /// The median latency in microseconds, and operations per second.
    fn load(&self, scratch: &Scratch, clients: Clients, stop: &Stop) -> Result<(f64, f64)> {
        let result = scratch.file("load.json");
        let mut child = own(&["bench", "--quiet", "--warmup", "500ms", "--duration", "3s"])?
            .args(["--server", &self.address])
            .args(["--connections", &clients.connections.to_string()])
            .args(["--pipeline", &clients.pipeline.to_string()])
            .arg("--json")
            .arg(&result)
            .arg("set")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the load")?;
        let ended = wait(&mut child, stop, PATIENCE);
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        ended?;
        let text = std::fs::read_to_string(&result).context("the load left no result")?;
        let value: Value = serde_json::from_str(&text).context("the load's result")?;
        of_set(&value).context("the load's result has no line for set")
    }
}

/// This very program, under another command.
fn own(args: &[&str]) -> Result<Command> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    die_with_parent(&mut command);
    Ok(command)
}

fn wait(child: &mut Child, stop: &Stop, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { Err(anyhow!("it ended with {status}")) };
        }
        if stop.is_wanted() {
            bail!("interrupted");
        }
        std::thread::sleep(LOOK);
    }
    bail!("it took longer than {} s", patience.as_secs())
}

/// The line of `set`, wherever it is.
fn of_set(value: &Value) -> Option<(f64, f64)> {
    if value.get("op").and_then(Value::as_str) == Some("set") {
        let p50 = value.get("latency_us")?.get("p50")?.as_f64()?;
        return Some((p50, value.get("ops_per_s")?.as_f64()?));
    }
    match value {
        Value::Array(values) => values.iter().find_map(of_set),
        Value::Object(fields) => fields.values().find_map(of_set),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_wherever_it_is() {
        let line = serde_json::json!({ "op": "set", "ops_per_s": 7.5, "latency_us": {"p50": 3} });
        let total = serde_json::json!({ "op": "total", "ops_per_s": 1 });
        let value = serde_json::json!({ "results": [{ "ops": [total, line] }] });
        assert_eq!(of_set(&value), Some((3.0, 7.5)));
        assert_eq!(of_set(&serde_json::json!({ "op": "set" })), None);
    }
}
