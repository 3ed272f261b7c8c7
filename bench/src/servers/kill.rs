//! Servers that are killed under load, and started again.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::args::Load;
use crate::model::clock::seconds;
use crate::model::clock::{Nanos, SECOND};
use crate::model::error::error_text;
use crate::model::numbers::latency;
use crate::model::outage::{Kill, Outages};
use crate::servers::four_letter::ServerStatus;
use crate::servers::host;
use crate::servers::quorum;
use crate::servers::target::Supervisor;
use crate::servers::target::Target;
use crate::verify::acks::Acks;

/// How long a killed server is waited for, or one that can be spared.
const TIMEOUT: Nanos = 60 * SECOND;
/// How often servers are asked whether they serve again.
const POLL: Nanos = SECOND / 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Until the next kill.
    Serving,
    /// A server was killed and is not back yet.
    Down {
        server: SocketAddr,
        pid: Option<u32>,
        since: Nanos,
        /// Whether it was started again: before that its port has to be free.
        started: bool,
        /// Whether a server leads.
        led: bool,
    },
}

/// What has just happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KillEvent {
    pub text: String,
    /// Whether a server leads again, so that sessions can go on.
    pub serves: bool,
}

impl KillEvent {
    fn new(text: String) -> KillEvent {
        KillEvent { text, serves: false }
    }
}

/// Kills the server that leads, every so often.
pub(crate) struct Killer {
    supervisor: Supervisor,
    servers: Vec<SocketAddr>,
    every: Nanos,
    next: Nanos,
    /// When servers are asked next.
    next_poll: Nanos,
    /// Begin of the measured time.
    from: Nanos,
    state: State,
    /// When a server led again, until a write has been acknowledged since.
    without_writes: Option<Nanos>,
    /// Whether one was, since the last kill.
    resumed: bool,
    /// The servers that run a user's command started, and the shells of it.
    children: Vec<(SocketAddr, Child)>,
    /// What was done.
    outages: Outages,
    /// Why nothing else is killed.
    failure: Option<Error>,
}

impl Killer {
    /// A killer for a load that asks for one.
    pub(crate) fn new(target: &Target, load: &Load) -> Result<Option<Killer>> {
        let Some(every) = load.kill_leader_every else { return Ok(None) };
        match &target.supervisor {
            Supervisor::None => bail!(
                "--kill-leader-every kills servers that are started again: leave out --server, or \
                 say how with --restart-cmd (or --restart-cmd : where a supervisor does it)"
            ),
            Supervisor::Own(_) => {}
            Supervisor::Command(_) => {
                let missing = target.servers.iter().find(|s| host::listener(**s).is_none());
                if let Some(server) = missing {
                    bail!(
                        "--kill-leader-every: no process of this host that we may look at listens \
                         on {server}"
                    );
                }
            }
        }
        let Some(leader) = quorum::leader(&target.servers, ServerStatus::of) else {
            bail!(
                "--kill-leader-every: no server says that it leads (to the word srvr; see \
                 4lw.commands.whitelist)"
            );
        };
        if let Err(reason) = quorum::can_lose(leader, &target.servers) {
            bail!("--kill-leader-every: {leader} cannot be killed: {reason}");
        }
        Ok(Some(Killer {
            supervisor: target.supervisor.clone(),
            servers: target.servers.clone(),
            every,
            next: 0,
            next_poll: 0,
            from: 0,
            state: State::Serving,
            without_writes: None,
            resumed: false,
            children: Vec::new(),
            outages: Outages::default(),
            failure: None,
        }))
    }

    /// The load has begun; its measured time begins at `from`.
    pub(crate) fn begin(&mut self, from: Nanos) {
        self.from = from;
        self.next = from.saturating_add(self.every);
    }

    /// Whether a server is down that is worth waiting for.
    pub(crate) fn is_busy(&self) -> bool {
        match self.state {
            State::Serving => false,
            // Where a restart has failed, another server may still take over.
            State::Down { led, .. } => self.failure.is_none() || (!led && self.servers.len() > 1),
        }
    }

    /// Whether sessions cannot go on yet.
    pub(crate) fn has_no_leader(&self) -> bool {
        matches!(self.state, State::Down { led: false, .. })
    }

    /// Does what is due, and returns what has happened.
    pub(crate) fn look(&mut self, now: Nanos, may_kill: bool, acks: &Acks) -> Option<KillEvent> {
        if let Some(news) = self.check_writes(acks) {
            return Some(news);
        }
        if now < self.next_poll {
            return None;
        }
        self.next_poll = now + POLL;
        let may_kill = may_kill && self.failure.is_none() && now >= self.next;
        let looked = match self.state {
            State::Serving if may_kill => self.kill(now, acks),
            State::Serving => Ok(None),
            State::Down { .. } => self.check_commands().and_then(|()| self.check_servers(now)),
        };
        looked.unwrap_or_else(|failure| {
            let text = format!("{}; nothing else is killed", error_text(&failure));
            self.failure.get_or_insert(failure);
            Some(KillEvent::new(text))
        })
    }

    /// The load is over: what was done, and why it ended early.
    pub(crate) fn finish(mut self, acks: &Acks) -> (Outages, Option<Error>) {
        self.sum_up(acks);
        let idle = self.outages.kills == 0 && self.failure.is_none();
        let failure = idle.then(|| anyhow!("no server was killed: the load was over before"));
        (self.outages, self.failure.or(failure))
    }

    /// The first write that is acknowledged under a new leader ends the pause.
    fn check_writes(&mut self, acks: &Acks) -> Option<KillEvent> {
        let since = self.without_writes?;
        acks.last().filter(|last| *last > since)?;
        (self.without_writes, self.resumed) = (None, true);
        let pause = latency(seconds(acks.longest()) * 1e6);
        Some(KillEvent::new(format!("writes are acknowledged again, after {pause} without")))
    }

    fn check_commands(&mut self) -> Result<()> {
        for (server, child) in &mut self.children {
            if let Ok(Some(status)) = child.try_wait()
                && status.code().is_some_and(|code| code != 0)
            {
                let server = *server;
                self.children.clear();
                bail!("the --restart-cmd for {server} ended with {status}");
            }
        }
        self.children.retain_mut(|(_, child)| matches!(child.try_wait(), Ok(None)));
        Ok(())
    }

    fn check_servers(&mut self, now: Nanos) -> Result<Option<KillEvent>> {
        let State::Down { server, pid, since, started, led } = self.state else { return Ok(None) };
        let after = seconds(now.saturating_sub(since));
        if now.saturating_sub(since) > TIMEOUT {
            let what = if led { format!("{server} is not back") } else { "no server leads".into() };
            self.state = State::Serving;
            bail!("{what} a minute after {server} was killed");
        }
        if !started {
            let holder = host::listener(server);
            if holder.is_none() || holder != pid {
                self.state = State::Down { server, pid, since, started: true, led };
                self.start(server, pid)?;
            }
        } else if !led {
            if let Some(leader) = quorum::leader(&self.servers, ServerStatus::with_short_timeout) {
                self.state = State::Down { server, pid, since, started, led: true };
                self.outages.down_s.push(after);
                self.last().leader_s = Some(after);
                self.last().successor = Some(leader.to_string());
                self.without_writes = Some(now);
                let text = format!("{leader} leads, {} after the kill", latency(after * 1e6));
                return Ok(Some(KillEvent { text, serves: true }));
            }
        } else if ServerStatus::with_short_timeout(server).role.is_some() {
            self.state = State::Serving;
            self.next = now.saturating_add(self.every);
            self.last().back_s = Some(after);
            if self.servers.len() > 1 {
                let text = format!("{server} is back, {} after the kill", latency(after * 1e6));
                return Ok(Some(KillEvent::new(text)));
            }
        }
        Ok(None)
    }

    fn last(&mut self) -> &mut Kill {
        self.outages.each.last_mut().expect("what is down was killed")
    }

    fn kill(&mut self, now: Nanos, acks: &Acks) -> Result<Option<KillEvent>> {
        let spared = match quorum::leader(&self.servers, ServerStatus::of) {
            None => Err("no server leads".to_string()),
            Some(leader) => quorum::can_lose(leader, &self.servers).map(|()| leader),
        };
        let server = match spared {
            Ok(server) => server,
            Err(reason) if now.saturating_sub(self.next) > TIMEOUT => {
                bail!("a kill has been due for a minute: {reason}");
            }
            Err(_) => return Ok(None),
        };
        self.sum_up(acks);
        acks.watch();
        let pid = match &self.supervisor {
            Supervisor::None => unreachable!("there is no killer of these"),
            Supervisor::Own(own) => {
                Some(own.borrow_mut().kill().context("cannot kill the server")?)
            }
            Supervisor::Command(_) => {
                let found = host::listener(server);
                let pid = found.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
                let pid = pid.with_context(|| format!("no process listens on {server}"))?;
                kill_process(pid, Signal::KILL)
                    .with_context(|| format!("cannot kill the server on {server}"))?;
                found
            }
        };
        let at_s = seconds(now.saturating_sub(self.from));
        let server_name = server.to_string();
        self.outages.kills += 1;
        self.outages.each.push(Kill { at_s, server: server_name, pid, ..Kill::default() });
        (self.without_writes, self.resumed) = (None, false);
        self.state = State::Down { server, pid, since: now, started: false, led: false };
        let process = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        Ok(Some(KillEvent::new(format!("killed the leader, {server}{process}"))))
    }

    /// Notes for how long nothing was written because of the last kill.
    fn sum_up(&mut self, acks: &Acks) {
        // The load may have ended before a look at the first write.
        let _ = self.check_writes(acks);
        if self.resumed
            && let Some(kill) = self.outages.each.last_mut()
        {
            kill.no_writes_s = Some(seconds(acks.longest()));
        }
    }

    fn start(&mut self, server: SocketAddr, pid: Option<u32>) -> Result<()> {
        match &self.supervisor {
            Supervisor::None => unreachable!("there is no killer of these"),
            Supervisor::Own(own) => own.borrow_mut().restart(),
            Supervisor::Command(command) => {
                let command = command.replace("{server}", &server.to_string());
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(&command).process_group(0);
                shell.env("KILLED_SERVER", server.to_string());
                shell.env("KILLED_HOST", server.ip().to_string());
                shell.env("KILLED_PORT", server.port().to_string());
                shell.env("KILLED_PID", pid.map(|pid| pid.to_string()).unwrap_or_default());
                shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let child = shell.spawn().with_context(|| format!("cannot run {command:?}"))?;
                self.children.push((server, child));
                Ok(())
            }
        }
    }
}
