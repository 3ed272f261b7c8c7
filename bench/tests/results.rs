//! What comes out of a run: files, figures that agree with each other, exit codes.

mod fake;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use fake::{Damage, Fake, Plan};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use ringkeeper_engine::wire::opcode::op;
use serde_json::Value;

/// Loads take turns: each of them keeps both a client and a server busy.
static TURN: Mutex<()> = Mutex::new(());

const GOOD: Plan = Plan { damage: Damage::None, op: 0, after: 0 };
const SMALL: &str = "--warmup 0 -c 4 -p 4 --keys 4 --quiet --grace 300ms";

fn bench(folder: &Path, arguments: &str) -> ExitCode {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let words = arguments.split_whitespace();
    let words = words.map(|word| word.replace('@', &folder.display().to_string()));
    ringkeeper_bench::run(words.map(OsString::from))
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn json(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&read(folder, name)).unwrap()
}

/// Operations of each tag of an interval log.
fn logged(text: &str, tag: &str) -> u64 {
    let mut all = Histogram::<u64>::new(3).unwrap();
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.unwrap()
            && interval.tag().unwrap().as_str() == tag
        {
            let bytes = base64_decode(interval.encoded_histogram());
            let one: Histogram<u64> = deserializer.deserialize(&mut &bytes[..]).unwrap();
            all.add(one).unwrap();
        }
    }
    all.len()
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn series_logs_and_reports_agree() {
    let (fake, folder) = (Fake::start(GOOD), tempfile::tempdir().unwrap());
    let files = "--json @/r.json --html @/r.html --hdr @/r.hlog --hgrm @/r.hgrm";
    for load in ["mix:0.5 -d 2200ms", "mix:0.5 -n 3000 -t 2", "get --rate 900 -d 1100ms"] {
        let server = fake.address();
        let code = bench(folder.path(), &format!("{load} {SMALL} --server {server} {files}"));
        assert_eq!(code, ExitCode::SUCCESS, "{load}");
        let document = json(folder.path(), "r.json");
        assert_eq!(document["schema"], "ringkeeper-bench/1");
        let run = &document["results"][0];
        let ops = run["total"]["ops"].as_u64().unwrap();
        let series = run["series"].as_array().unwrap();
        let sum: u64 = series.iter().map(|second| second["ops"].as_u64().unwrap()).sum();
        assert_eq!(sum, ops, "{load}: the seconds add up to the run");
        let log = read(folder.path(), "r.hlog");
        for one in run["ops"].as_array().unwrap() {
            let name = one["op"].as_str().unwrap();
            assert_eq!(logged(&log, name), one["ops"].as_u64().unwrap(), "{load}: {name}");
        }
        let distribution = read(folder.path(), "r.hgrm");
        assert!(distribution.contains(&format!("Total count    = {ops:>12}]")), "{distribution}");
        let page = read(folder.path(), "r.html");
        assert!(!page.contains("://"), "a page refers to nothing outside");
        assert!(page.contains("<svg") && page.ends_with("</html>\n"));
        assert_eq!(fake.paths(), ["/"]);
    }
}

#[test]
fn the_server_is_described() {
    let (fake, folder) = (Fake::start(GOOD), tempfile::tempdir().unwrap());
    let server = fake.address();
    let code =
        bench(folder.path(), &format!("set -n 500 {SMALL} --server {server} --json @/r.json"));
    assert_eq!(code, ExitCode::SUCCESS);
    let run = &json(folder.path(), "r.json")["results"][0];
    assert_eq!(run["version"], "0.0.1");
    let facts = &run["server_facts"];
    assert_eq!(facts["configuration"]["forceSync"], "yes");
    assert_eq!(facts["storage"]["mount_point"], "/");
    let syncs = facts["counters"]["syncs"].as_u64().unwrap();
    assert!(syncs >= 500, "every write of the fake is a sync: {syncs}");
    assert_eq!(facts["counters"]["sync_ms"], 2.0);
    assert_eq!(facts["counters"]["records_per_group"], 1.0);
}

#[test]
fn fail_if_decides_exit_code() {
    let (fake, folder) = (Fake::start(GOOD), tempfile::tempdir().unwrap());
    let load = format!("get -n 400 {SMALL} --server {}", fake.address());
    let run = |more: &str| bench(folder.path(), &format!("{load} {more}"));
    assert_eq!(run("--json @/base.json --fail-if errors>0"), ExitCode::SUCCESS);
    assert_eq!(run("--fail-if errors>=0"), ExitCode::from(3));
    assert_eq!(run("--fail-if get.p99>1h"), ExitCode::from(2));
    assert_eq!(run("--fail-if set.p99>1s"), ExitCode::from(2));
    assert_eq!(run("--fail-if p99>+10%"), ExitCode::from(2));
    assert_eq!(run("--fail-if p99>-100% --baseline @/base.json"), ExitCode::from(3));
    assert_eq!(run("--fail-if p99>+1000000% --baseline @/base.json"), ExitCode::SUCCESS);
    assert_eq!(run("--baseline @/none.json"), ExitCode::from(2));
    assert_eq!(run("--json - --html -"), ExitCode::from(2));
}

#[test]
fn results_are_compared() {
    let (fake, folder) = (Fake::start(GOOD), tempfile::tempdir().unwrap());
    let server = fake.address();
    for (name, load) in [("a", "get --repeat 2"), ("b", "get --repeat 2"), ("c", "set")] {
        let file = format!("--json @/{name}.json --no-counters");
        let load = format!("{load} -n 300 {SMALL} --server {server} {file}");
        assert_eq!(bench(folder.path(), &load), ExitCode::SUCCESS);
    }
    assert_eq!(json(folder.path(), "a.json")["results"][1]["repeat"], 2);
    let compare = |words: &str| bench(folder.path(), &format!("compare {words}"));
    let files = "--json @/compared.json --html @/compared.html";
    assert_eq!(compare(&format!("@/a.json @/b.json {files}")), ExitCode::SUCCESS);
    let compared = json(folder.path(), "compared.json");
    assert_eq!(compared[0]["rows"][0]["verdict"], "too few runs to tell");
    assert_eq!(compared[0]["base"]["runs"], 2);
    assert!(read(folder.path(), "compared.html").contains("too few runs to tell"));
    let sides = "--base @/a.json @/b.json --new @/b.json @/a.json";
    assert_eq!(compare(&format!("{sides} --json @/compared.json")), ExitCode::SUCCESS);
    let compared = json(folder.path(), "compared.json");
    assert_eq!(compared[0]["rows"][0]["verdict"], "within noise", "both sides are the same runs");
    assert_eq!(compare("@/a.json @/c.json"), ExitCode::from(2), "other loads");
    assert_eq!(compare("@/a.json"), ExitCode::from(2), "one target only");
    assert_eq!(compare("@/a.json @/b.json --fail-if rate>-100%"), ExitCode::from(3));
}

#[test]
fn versus_targets_alternate() {
    let (one, two) = (Fake::start(GOOD), Fake::start(GOOD));
    let folder = tempfile::tempdir().unwrap();
    let servers = format!("--apache {} --ringkeeper {}", one.address(), two.address());
    let load = format!("versus get -n 200 --rounds 4 {SMALL} {servers}");
    let files = "--json @/v.json --html @/v.html --no-counters";
    assert_eq!(bench(folder.path(), &format!("{load} {files}")), ExitCode::SUCCESS);
    let document = json(folder.path(), "v.json");
    let results = document["results"].as_array().unwrap();
    let order: Vec<_> = results.iter().map(|run| run["target"].as_str().unwrap()).collect();
    let (a, r) = ("apache", "ringkeeper");
    assert_eq!(order, [a, r, r, a, a, r, r, a]);
    assert_eq!(document["versus"][0]["base"]["name"], "apache");
    assert!(read(folder.path(), "v.html").contains("Rate of each run"));
    let again = bench(folder.path(), "compare @/v.json --fail-if rate<1 --fail-if errors>0");
    assert_eq!(again, ExitCode::SUCCESS, "a file of several targets is compared with itself");
}

#[test]
fn check_fails_on_first_fault() {
    let fake = Fake::start(Plan { damage: Damage::ErrorCode, op: op::GET_DATA, after: 20 });
    let folder = tempfile::tempdir().unwrap();
    let words = format!("check --server {} -d 300ms --warmup 0 -q --json @/c.json", fake.address());
    assert_eq!(bench(folder.path(), &words), ExitCode::from(1));
    let run = &json(folder.path(), "c.json")["results"][0];
    assert_eq!((&run["connections"], &run["rate"]), (&50.into(), &1_000.0.into()));
    assert_eq!(run["faults"]["error codes"], 1);
}
