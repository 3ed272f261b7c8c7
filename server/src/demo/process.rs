//! One server of a demonstration: a process of this program, which ends with it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use anyhow::{Context, bail};
use ringkeeper_bench::servers::ephemeral;
use rustix::process::{Pid, Signal, kill_process};

use super::event::DemoEvent;

/// What its process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProcessState {
    /// It runs.
    Running,
    /// It stands still.
    Stopped,
    /// It has been told to end, and is started again then.
    Ending,
    /// There is none.
    Ended,
}

impl ProcessState {
    /// One word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            ProcessState::Running => "running",
            ProcessState::Stopped => "stopped",
            ProcessState::Ending => "ending",
            ProcessState::Ended => "ended",
        }
    }
}

/// A server.
pub(super) struct Server {
    id: u8,
    home: PathBuf,
    child: Option<Child>,
    state: ProcessState,
    events: Sender<DemoEvent>,
}

impl Server {
    /// Writes the configuration of a server below its directory, and starts it.
    pub(super) fn start(
        id: u8,
        home: PathBuf,
        config: impl FnOnce(&Path) -> String,
        events: Sender<DemoEvent>,
    ) -> anyhow::Result<Server> {
        let data = home.join("data");
        fs::create_dir_all(&data)
            .with_context(|| format!("cannot make a directory at {}", data.display()))?;
        fs::write(data.join("myid"), id.to_string()).context("cannot write myid")?;
        fs::write(home.join("zoo.cfg"), config(&data)).context("cannot write zoo.cfg")?;
        let mut server = Server { id, home, child: None, state: ProcessState::Ended, events };
        server.launch()?;
        Ok(server)
    }

    /// What its process is doing.
    pub(super) fn state(&self) -> ProcessState {
        self.state
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { bail!("server {} has ended", self.id) };
        child.kill()?;
        child.wait()?;
        self.state = ProcessState::Ended;
        Ok(())
    }

    /// SIGSTOP.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.state = ProcessState::Stopped;
        Ok(())
    }

    /// SIGCONT.
    pub(super) fn go_on(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.state = ProcessState::Running;
        Ok(())
    }

    /// Starts it again; one that runs is ended by SIGTERM first.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        match self.state {
            ProcessState::Ended => return self.launch(),
            ProcessState::Stopped => self.go_on()?,
            ProcessState::Running | ProcessState::Ending => {}
        }
        self.signal(Signal::TERM)?;
        self.state = ProcessState::Ending;
        Ok(())
    }

    /// Looks whether its process has ended, and starts it again where that was wanted.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        self.child = None;
        let is_wanted = self.state == ProcessState::Ending;
        self.state = ProcessState::Ended;
        if is_wanted {
            return self.launch();
        }
        let text = format!("server {} has ended by itself: {status}", self.id);
        let _ = self.events.send(DemoEvent::Happened(text));
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(child) = &self.child else { bail!("server {} has ended", self.id) };
        kill_process(Pid::from_child(child), signal)
            .with_context(|| format!("cannot signal server {}", self.id))
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = ephemeral::own("start", &self.home)?;
        command.arg(self.home.join("zoo.cfg")).args(["--log-format", "json"]).env_clear();
        // Ctrl-C is for this process, which ends the servers.
        command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().context("cannot start a server")?;
        let errors = child.stderr.take().expect("it was just piped");
        let (id, events) = (self.id, self.events.clone());
        thread::spawn(move || report_lines(id, errors, &events));
        (self.child, self.state) = (Some(child), ProcessState::Running);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Hands on what the log of a server says of elections, and everything that it warns of.
fn report_lines(id: u8, errors: impl Read, events: &Sender<DemoEvent>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if let Some(text) = election_line(&line)
            && events.send(DemoEvent::Happened(format!("server {id}: {text}"))).is_err()
        {
            return;
        }
    }
}

/// A line of the log as one sentence; nothing where it is about something else.
fn election_line(line: &str) -> Option<String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) else {
        // What is no line of the log is why a server does not start.
        return Some(line.to_owned());
    };
    let message = fields.get("message")?.as_str()?;
    let is_warning = fields.get("level").and_then(|level| level.as_str()) != Some("INFO");
    let of_elections = ["lead", "synchronized", "link of server", "link to server"];
    if !is_warning && !of_elections.iter().any(|part| message.contains(part)) {
        return None;
    }
    let shown = ["election_ms", "sync_ms", "epoch", "zxid", "reason", "clients"];
    let details: Vec<String> = shown
        .iter()
        .filter_map(|name| Some((name, fields.get(*name)?)))
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        })
        .collect();
    let details =
        if details.is_empty() { String::new() } else { format!(" ({})", details.join(" ")) };
    Some(format!("{message}{details}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_the_log_is_shown_where_it_is_about_elections_or_warns() {
        let line = r#"{"level":"INFO","message":"chosen to lead","round":3,"election_ms":21}"#;
        assert_eq!(election_line(line).as_deref(), Some("chosen to lead (election_ms=21)"));
        let line = r#"{"level":"INFO","message":"the disk of the log was measured"}"#;
        assert_eq!(election_line(line), None);
        let line = r#"{"level":"WARN","message":"a client was cut off","reason":"moved"}"#;
        assert_eq!(election_line(line).as_deref(), Some("a client was cut off (reason=moved)"));
        assert_eq!(election_line("no such file").as_deref(), Some("no such file"));
    }
}
