//! `tune watch`: what a running server is bound by, from its own numbers (`mntr`).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::cli::WatchArgs;
use crate::probe::Stop;
use crate::terminal::print;
use crate::text;

/// The longest that a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 1 << 20;
/// How often it is looked whether to end.
const POLL: Duration = Duration::from_millis(50);
/// Share of the time in commits from which the disk is what bounds a server.
const DISK_BOUND: f64 = 0.8;
/// Share of the time in commits up to which it is not.
const DISK_FREE: f64 = 0.5;
/// Requests waiting from which there is enough to do.
const WAITING: f64 = 32.0;
/// Records of a commit up to which groups are small.
const SMALL_GROUP: f64 = 2.0;
/// A slow commit takes this many times the median.
const SPIKE: f64 = 10.0;

/// Hundredths of a sync within which writes come where they come because others were answered.
const SOON: f64 = 50.0;
/// A sync that is long enough for a batching delay.
const LONG_SYNC_US: f64 = 1_000.0;

/// The numbers of a server at one moment.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct ServerCounters {
    of: BTreeMap<String, f64>,
    /// `ringkeeper.commit.target`, where it is known.
    target: Option<String>,
}

/// How groups are committed.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub(crate) struct Commits {
    pub(crate) target: String,
    /// The batching delay now, microseconds.
    pub(crate) wait_us: f64,
    /// What that brought when it was tried, in hundredths.
    pub(crate) gain_percent: f64,
    /// The mean sync, microseconds.
    pub(crate) sync_us: f64,
    /// Writes ordered and not durable, on average.
    pub(crate) under_way: f64,
    /// Where in a sync writes come, on average, in hundredths of it.
    pub(crate) arrival_percent: f64,
}

/// What happened between two looks.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub(crate) struct Interval {
    pub(crate) seconds: f64,
    pub(crate) commits_per_second: f64,
    pub(crate) records_per_second: f64,
    /// Records of a commit, on average.
    pub(crate) records_per_commit: f64,
    /// Bytes of a commit, on average since the start of the server.
    pub(crate) group_bytes: f64,
    /// The mean commit of the interval, microseconds; the server counts whole milliseconds.
    pub(crate) commit_mean_us: f64,
    /// Percentiles since the start of the server, microseconds.
    pub(crate) fsync_p50_us: f64,
    pub(crate) fsync_p99_us: f64,
    /// Share of the time in which a commit was under way.
    pub(crate) disk_share: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) outstanding: f64,
    /// How groups are committed; a release that does not say so has none.
    pub(crate) commits: Option<Commits>,
    pub(crate) advice: Vec<String>,
}

pub(crate) fn run(args: &WatchArgs) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let source = Source { server: &args.server, http: &args.http };
    let mut before = (fetch(&source)?, Instant::now());
    let mut lines = 0;
    loop {
        if !wait(Duration::from_secs(args.interval), &stop) {
            return Ok(ExitCode::SUCCESS);
        }
        let now = (fetch(&source)?, Instant::now());
        let interval = between(&before.0, &now.0, now.1.duration_since(before.1).as_secs_f64())?;
        if args.json {
            print(&format!("{}\n", serde_json::to_string(&interval)?));
        } else {
            if lines % 20 == 0 {
                print(HEAD);
            }
            print(&line(&interval));
        }
        if args.once {
            return Ok(ExitCode::SUCCESS);
        }
        lines += 1;
        before = now;
    }
}

/// Whether the whole time went by.
fn wait(time: Duration, stop: &Stop) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if stop.is_wanted() {
            return false;
        }
        std::thread::sleep(POLL.min(time.saturating_sub(begun.elapsed())));
    }
    !stop.is_wanted()
}

/// Where a server says its numbers.
struct Source<'a> {
    /// Its clients' port.
    server: &'a str,
    /// Its port for commands over HTTP; the host may be left out where it is the same.
    http: &'a str,
}

/// Asks a server for its numbers, and how it commits: `mntr` has no line for that. One without a
/// `zoo.cfg` does not allow the word, but has the same numbers over HTTP.
fn fetch(source: &Source<'_>) -> Result<ServerCounters> {
    let server = source.server;
    let numbers = match query(server, b"mntr") {
        Err(refused) if refused.is::<NotAllowed>() => {
            over_http(source).with_context(|| refused.to_string())?
        }
        numbers => numbers?,
    };
    if !numbers.is_ringkeeper() {
        return Ok(numbers);
    }
    // A release that does not know the word closes the connection.
    let Ok(pace) = query(server, b"pace") else { return Ok(numbers) };
    let mut of = numbers.of;
    of.extend(pace.of);
    Ok(ServerCounters { of, target: pace.target })
}

fn query(server: &str, word: &[u8; 4]) -> Result<ServerCounters> {
    match read_reply(connect(server)?, word) {
        Err(error) if !error.is::<NotAllowed>() => Err(error).with_context(|| server.to_owned()),
        numbers => numbers,
    }
}

fn connect(server: &str) -> Result<TcpStream> {
    let mut last = None;
    for address in server.to_socket_addrs().with_context(|| format!("{server} is no address"))? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("cannot reach {server}")),
        None => bail!("{server} has no address"),
    }
}

fn read_reply(mut stream: TcpStream, word: &[u8; 4]) -> Result<ServerCounters> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(word)?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("not in the whitelist") {
        return Err(NotAllowed.into());
    }
    let numbers = parse(&text);
    if numbers.of.is_empty() {
        bail!("it does not answer mntr with numbers");
    }
    Ok(numbers)
}

/// The word is not in the whitelist.
#[derive(Debug)]
struct NotAllowed;

impl std::error::Error for NotAllowed {}

impl std::fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "it does not answer mntr; write 4lw.commands.whitelist=srvr,mntr,pace into its \
             zoo.cfg, or name its port for commands over HTTP (--http HOST:PORT)",
        )
    }
}

/// The same numbers as `mntr` has, from the command `monitor`.
fn over_http(source: &Source<'_>) -> Result<ServerCounters> {
    let host = source.server.rsplit_once(':').map_or(source.server, |(host, _)| host);
    let address = match source.http.contains(':') {
        true => source.http.to_owned(),
        false => format!("{host}:{}", source.http),
    };
    let mut stream = connect(&address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /commands/monitor HTTP/1.0\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    monitored(body).with_context(|| format!("{address} does not answer /commands/monitor"))
}

/// Fields that are numbers, under the names of `mntr`.
fn monitored(body: &str) -> Result<ServerCounters> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(body)?;
    let numbers = fields.into_iter().filter_map(|(name, value)| {
        let value = value.as_f64()?;
        Some((format!("zk_{name}"), value))
    });
    Ok(ServerCounters { of: numbers.collect(), target: None })
}

/// Lines of a name, a tab and a value; what is no number is left out.
fn parse(text: &str) -> ServerCounters {
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    let numbers = pairs.filter_map(|(name, value)| {
        let value: f64 = value.trim().parse().ok()?;
        value.is_finite().then(|| (name.to_owned(), value))
    });
    let target = text.lines().find_map(|line| line.strip_prefix("commit_target\t"));
    ServerCounters { of: numbers.collect(), target: target.map(str::to_owned) }
}

impl ServerCounters {
    fn get(&self, name: &str) -> f64 {
        self.of.get(name).copied().unwrap_or(0.0)
    }

    fn is_ringkeeper(&self) -> bool {
        self.of.contains_key("zk_ringkeeper_fsync_p50_us")
    }

    fn commits(&self) -> Option<Commits> {
        Some(Commits {
            target: self.target.clone()?,
            wait_us: self.get("commit_wait_us"),
            gain_percent: self.get("commit_gain_percent"),
            sync_us: self.get("commit_sync_mean_us"),
            under_way: self.get("commit_writes_under_way"),
            arrival_percent: self.get("commit_arrival_percent"),
        })
    }
}

/// What happened between two looks.
fn between(before: &ServerCounters, now: &ServerCounters, seconds: f64) -> Result<Interval> {
    if !now.is_ringkeeper() {
        bail!("this is no Ringkeeper: it does not say how long its commits take");
    }
    let seconds = seconds.max(1e-3);
    // A server that was started anew counts from nothing.
    let grown = |name: &str| {
        let (then, now) = (before.get(name), now.get(name));
        if now >= then { now - then } else { now }
    };
    let commits = grown("zk_cnt_sync_processor_batch_size");
    let records = grown("zk_sum_sync_processor_batch_size");
    let commit_ms = grown("zk_sum_fsynctime");
    let mut interval = Interval {
        seconds,
        commits_per_second: commits / seconds,
        records_per_second: records / seconds,
        records_per_commit: records / commits.max(1.0),
        group_bytes: now.get("zk_ringkeeper_group_bytes_avg"),
        commit_mean_us: commit_ms * 1e3 / commits.max(1.0),
        fsync_p50_us: now.get("zk_ringkeeper_fsync_p50_us"),
        fsync_p99_us: now.get("zk_ringkeeper_fsync_p99_us"),
        disk_share: (commit_ms / 1e3 / seconds).min(1.0),
        requests_per_second: grown("zk_packets_received") / seconds,
        outstanding: now.get("zk_outstanding_requests"),
        commits: now.commits(),
        advice: Vec::new(),
    };
    interval.advice = advise(&interval);
    Ok(interval)
}

/// What bounds the server, and what to do.
fn advise(interval: &Interval) -> Vec<String> {
    if interval.commits_per_second < 1.0 {
        return vec!["hardly any writes: there is nothing to say about the disk".to_owned()];
    }
    let mut advice = Vec::new();
    let share = interval.disk_share * 100.0;
    let waiting = interval.outstanding >= WAITING;
    if interval.disk_share >= DISK_BOUND {
        advice.push(format!(
            "disk-bound: a commit is under way {share:.0} % of the time; a faster disk, one of its \
             own (dataLogDir), or the strategy of `tune recommend` gives more"
        ));
        if interval.records_per_commit < SMALL_GROUP && !waiting {
            advice.push(format!(
                "the groups are small ({:.1} records) because clients wait for each write; more \
                 clients, or more requests in flight, share the same commits",
                interval.records_per_commit
            ));
        }
    } else if waiting && interval.disk_share < DISK_FREE {
        advice.push(format!(
            "CPU-bound: {:.0} requests wait, but a commit is under way only {share:.0} % of the \
             time; more processors, or clients on another host",
            interval.outstanding
        ));
    } else {
        advice.push(format!(
            "neither: a commit is under way {share:.0} % of the time and {:.0} requests wait; the \
             clients do not ask for more",
            interval.outstanding
        ));
    }
    if waiting && interval.records_per_commit < SMALL_GROUP {
        advice.push(format!(
            "the groups are too small: {:.0} requests wait, and a commit holds {:.1}; see \
             maxBatchSize",
            interval.outstanding, interval.records_per_commit
        ));
    }
    advice.extend(interval.commits.as_ref().map(Commits::sentence));
    if interval.fsync_p50_us > 0.0 && interval.fsync_p99_us > SPIKE * interval.fsync_p50_us {
        advice.push(format!(
            "fsync spikes: one commit in a hundred takes longer than {} (median {}); look for \
             others on the disk and on the processors, and see `tune check`",
            text::micros(interval.fsync_p99_us),
            text::micros(interval.fsync_p50_us)
        ));
    }
    advice
}

impl Commits {
    /// What is done, and, where the default could be worth a change, that.
    fn sentence(&self) -> String {
        let target = &self.target;
        if self.wait_us > 0.0 {
            let what = if target == "throughput" { "more writes" } else { "fewer syncs" };
            return format!(
                "commit target {target}: a group waits up to {} for more writes, which gave {:.0} % \
                 {what} when it was tried",
                text::micros(self.wait_us),
                self.gain_percent
            );
        }
        let comes_back = self.under_way >= 2.0 && self.arrival_percent < SOON;
        if target == "latency" && self.sync_us >= LONG_SYNC_US && comes_back {
            return format!(
                "commit target latency: no group waits; a sync takes {} and clients come back \
                 within it, so try ringkeeper.commit.target=throughput",
                text::micros(self.sync_us)
            );
        }
        format!("commit target {target}: no group waits for more writes")
    }
}

const HEAD: &str = "commits/s  writes/s  per commit  bytes  mean us  p50 us  p99 us  disk   \
                    requests/s  waiting\n";

fn line(interval: &Interval) -> String {
    let mut out = format!(
        "{:>9} {:>9} {:>11.1} {:>6.0} {:>8.0} {:>7.0} {:>7.0} {:>4.0}% {:>12} {:>8.0}\n",
        text::count(interval.commits_per_second),
        text::count(interval.records_per_second),
        interval.records_per_commit,
        interval.group_bytes,
        interval.commit_mean_us,
        interval.fsync_p50_us,
        interval.fsync_p99_us,
        interval.disk_share * 100.0,
        text::count(interval.requests_per_second),
        interval.outstanding
    );
    for sentence in &interval.advice {
        out.push_str(&text::wrap(sentence, 90, 2));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(
        commits: u32,
        records: u32,
        fsync_ms: u32,
        waiting: u32,
        p99: u32,
    ) -> ServerCounters {
        parse(&format!(
            "zk_version\t3.9.5-x\nzk_cnt_sync_processor_batch_size\t{commits}\n\
             zk_sum_sync_processor_batch_size\t{records}\nzk_sum_fsynctime\t{fsync_ms}\n\
             zk_outstanding_requests\t{waiting}\nzk_ringkeeper_fsync_p50_us\t100\n\
             zk_ringkeeper_fsync_p99_us\t{p99}\nzk_ringkeeper_group_bytes_avg\t512\nbroken line\n"
        ))
    }

    fn said(after: &ServerCounters, seconds: f64) -> String {
        between(&numbers(0, 0, 0, 0, 0), after, seconds).unwrap().advice.join(" | ")
    }

    #[test]
    fn advice_names_the_bound() {
        assert!(said(&numbers(9_000, 9_100, 950, 1, 300), 1.0).starts_with("disk-bound"));
        assert!(said(&numbers(9_000, 9_100, 950, 1, 300), 1.0).contains("groups are small"));
        assert!(said(&numbers(900, 90_000, 100, 500, 300), 1.0).starts_with("CPU-bound"));
        assert!(said(&numbers(9_000, 9_000, 300, 500, 300), 1.0).contains("too small"));
        assert!(said(&numbers(900, 9_000, 600, 3, 5_000), 1.0).contains("fsync spikes"));
        assert!(said(&numbers(900, 9_000, 300, 3, 300), 1.0).starts_with("neither"));
        assert!(said(&numbers(0, 0, 0, 0, 0), 1.0).starts_with("hardly any"));
    }

    #[test]
    fn rates_survive_server_restart() {
        let interval =
            between(&numbers(100, 400, 10, 0, 0), &numbers(300, 1_400, 30, 7, 0), 2.0).unwrap();
        assert_eq!((interval.commits_per_second, interval.records_per_commit), (100.0, 5.0));
        assert_eq!((interval.commit_mean_us, interval.disk_share), (100.0, 0.01));
        let anew = between(&numbers(100, 400, 10, 0, 0), &numbers(50, 50, 5, 0, 0), 1.0).unwrap();
        assert_eq!(anew.commits_per_second, 50.0);
    }

    /// A server that answers `mntr` with one text, and then `pace` with the other, if it has one.
    fn answering(mntr: &'static str, pace: Option<&'static str>) -> Result<ServerCounters> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            for (expected, text) in [(b"mntr", Some(mntr)), (b"pace", pace)] {
                let Some(text) = text else { break };
                let (mut stream, _) = listener.accept().unwrap();
                let mut word = [0; 4];
                stream.read_exact(&mut word).unwrap();
                assert_eq!(&word, expected);
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        let read_reply = fetch(&Source { server: &address, http: "" });
        server.join().unwrap();
        read_reply
    }

    #[test]
    fn mntr_refusal_names_the_setting() {
        let alone = |text| answering(text, None);
        let refused = alone("mntr is not executed because it is not in the whitelist.\n");
        assert!(format!("{:#}", refused.unwrap_err()).contains("4lw.commands.whitelist"));
        assert!(format!("{:#}", alone("").unwrap_err()).contains("does not answer"));
        assert_eq!(alone("zk_a\t7\nzk_b\tNaN\n").unwrap().of.len(), 1);
    }

    #[test]
    fn commit_target_is_explained() {
        let own = "zk_ringkeeper_fsync_p50_us\t1200\n";
        let said = |pace| answering(own, Some(pace)).unwrap().commits().unwrap().sentence();
        let waits = "commit_target\tthroughput\ncommit_wait_us\t640\ncommit_gain_percent\t52\n";
        assert!(said(waits).contains("up to 640 us for more writes, which gave 52 % more writes"));
        let long = "commit_target\tlatency\ncommit_wait_us\t0\ncommit_sync_mean_us\t1300\n\
                    commit_writes_under_way\t8\ncommit_arrival_percent\t20\n";
        assert!(said(long).contains("try ringkeeper.commit.target=throughput"));
        let short = "commit_target\tlatency\ncommit_wait_us\t0\ncommit_sync_mean_us\t90\n";
        assert_eq!(said(short), "commit target latency: no group waits for more writes");
        assert_eq!(answering(own, Some("")).unwrap().commits(), None);
    }

    #[test]
    fn other_server_is_rejected() {
        let other = parse("zk_version\t3.9.5\nzk_znode_count\t5\n");
        assert!(between(&other, &other, 1.0).unwrap_err().to_string().contains("no Ringkeeper"));
    }
}
