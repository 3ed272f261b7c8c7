//! The servers of a target as processes of this host: what each of them uses, also when a killed
//! one is replaced by another.

use std::net::SocketAddr;

use crate::model::server::Member;
use crate::servers::host;

/// What one process has used so far, or the processes of one server.
#[derive(Clone, Debug)]
struct Used {
    server: Option<SocketAddr>,
    pid: Option<u32>,
    /// Processor time of the process, as it was last seen.
    cpu_ns: u64,
    /// That of the processes before it, and of this one before it was found.
    before_ns: i128,
}

impl Used {
    fn new(server: Option<SocketAddr>, pid: Option<u32>) -> Used {
        let cpu_ns = pid.and_then(host::cpu_ns).unwrap_or(0);
        Used { server, pid, cpu_ns, before_ns: -i128::from(cpu_ns) }
    }

    /// Looks again; a process that is gone may have a successor on its port.
    fn look(&mut self) {
        let Some(pid) = self.pid else { return };
        if let Some(cpu_ns) = host::cpu_ns(pid) {
            self.cpu_ns = cpu_ns;
            return;
        }
        let successor = self.server.and_then(host::listener).filter(|found| *found != pid);
        if let Some(successor) = successor {
            self.before_ns += i128::from(self.cpu_ns);
            self.cpu_ns = host::cpu_ns(successor).unwrap_or(0);
            self.pid = Some(successor);
        }
    }

    fn total_ns(&self) -> u64 {
        u64::try_from(self.before_ns + i128::from(self.cpu_ns)).unwrap_or(0)
    }
}

/// The servers of a target as processes of this host.
#[derive(Clone, Debug)]
pub(crate) struct ServerProcesses {
    each: Vec<Used>,
    servers: usize,
}

/// What was used up to an instant: all together, and each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usages {
    each: Vec<u64>,
}

impl ServerProcesses {
    /// Finds the processes of servers, unless they are named.
    pub(crate) fn find(servers: &[SocketAddr], pids: &[u32]) -> ServerProcesses {
        let given = pids.iter().map(|pid| Used::new(None, Some(*pid)));
        let found = servers.iter().map(|s| Used::new(Some(*s), host::listener(*s)));
        let each = if pids.is_empty() { found.collect() } else { given.collect() };
        ServerProcesses { each, servers: servers.len() }
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.each.iter().filter_map(|used| used.pid).collect()
    }

    /// The process of one server, or the only one that was named.
    pub(crate) fn pid_of(&self, server: SocketAddr) -> Option<u32> {
        let own = self.each.iter().find(|used| used.server == Some(server));
        own.or(self.each.first().filter(|used| used.server.is_none())).and_then(|used| used.pid)
    }

    /// Processor time that all of them have used since they were found.
    pub(crate) fn cpu_ns(&mut self) -> Option<u64> {
        self.usages().map(|usages| usages.each.iter().sum())
    }

    /// What each has used since it was found; none if no process is known.
    pub(crate) fn usages(&mut self) -> Option<Usages> {
        self.each.iter_mut().for_each(Used::look);
        let known = self.each.iter().any(|used| used.pid.is_some());
        known.then(|| Usages { each: self.each.iter().map(Used::total_ns).collect() })
    }

    /// Memory of those that run: now, and the most they ever held.
    pub(crate) fn rss_bytes(&self) -> Option<(u64, u64)> {
        let each = self.each.iter().filter_map(|used| host::rss_bytes(used.pid?));
        each.reduce(|(rss, peak), (r, p)| (rss + r, peak + p))
    }

    /// Servers whose process is not known, so that sums lack them.
    pub(crate) fn unknown(&self) -> usize {
        let known = self.pids().len();
        let named = self.each.iter().any(|used| used.server.is_none());
        if named { 0 } else { self.servers - known }
    }

    /// Each of several, for reports; a single one is in the sums already.
    pub(crate) fn describe(&self, begin: &Usages, end: &Usages, elapsed_ns: u64) -> Vec<Member> {
        let used = |at: usize| {
            let of = |usages: &Usages| usages.each.get(at).copied().unwrap_or(0);
            of(end).saturating_sub(of(begin)) as f64 / elapsed_ns.max(1) as f64
        };
        let member = |(at, one): (usize, &Used)| {
            let rss = one.pid.and_then(host::rss_bytes);
            let said =
                one.server.map(crate::servers::four_letter::ServerStatus::of).unwrap_or_default();
            Member {
                server: one.server.map(|server| server.to_string()),
                version: said.version,
                role: said.role,
                pid: one.pid,
                cpus: one.pid.map(|_| used(at)),
                rss_bytes: rss.map(|(rss, _)| rss),
                rss_peak_bytes: rss.map(|(_, peak)| peak),
            }
        };
        self.each.iter().enumerate().map(member).collect()
    }
}

impl Usages {
    pub(crate) fn sum(&self) -> u64 {
        self.each.iter().sum()
    }
}

#[cfg(test)]
impl ServerProcesses {
    pub(crate) fn of_pid(pid: u32) -> ServerProcesses {
        ServerProcesses { each: vec![Used::new(None, Some(pid))], servers: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn successor_process_adds_to_cpu_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let gone = Used { pid: Some(u32::MAX), ..Used::new(Some(server), None) };
        let mut members = ServerProcesses { each: vec![gone], servers: 1 };
        (members.each[0].cpu_ns, members.each[0].before_ns) = (70, -20);
        assert!(members.cpu_ns().unwrap() >= 50);
        assert_eq!(members.pids(), [std::process::id()]);
        assert_eq!(members.each[0].before_ns, 50);
        drop(listener);
        members.each[0].pid = Some(u32::MAX);
        members.cpu_ns();
        assert_eq!(members.pids(), [u32::MAX], "it has no successor yet");
    }

    #[test]
    fn unknown_processes_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let servers = [listener.local_addr().unwrap(), ([127, 0, 0, 1], 0).into()];
        let mut members = ServerProcesses::find(&servers, &[]);
        assert_eq!((members.pids().len(), members.unknown()), (1, 1));
        let usages = members.usages().unwrap();
        let each = members.describe(&usages, &usages, 1);
        assert!(each[0].rss_bytes > Some(100_000) && each[0].cpus == Some(0.0), "{each:?}");
        assert!(each[1].pid.is_none() && each[1].cpus.is_none(), "{each:?}");
        assert_eq!(ServerProcesses::find(&servers, &[std::process::id()]).unknown(), 0);
    }
}
