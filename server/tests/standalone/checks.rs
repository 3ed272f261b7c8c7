//! `ringkeeper check` and `ringkeeper start` say the same, with the same exit code.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use tempfile::{TempDir, tempdir};

use crate::host::{Host, finish};
use crate::program::ringkeeper;

/// A configuration of its own in a temporary directory.
struct Site {
    home: TempDir,
}

impl Site {
    /// `@` stands for the directory.
    fn new(lines: &str) -> Site {
        let home = tempdir().unwrap();
        // In a file port 0 is none.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = lines.replace('@', home.path().to_str().unwrap());
        let text = text.replace("PORT", &free.to_string());
        fs::write(home.path().join("zoo.cfg"), text).unwrap();
        Site { home }
    }

    fn usual(more: &str) -> Site {
        Site::new(&format!(
            "dataDir=@/data\nclientPort=PORT\nclientPortAddress=127.0.0.1\n\
             admin.enableServer=false\npreAllocSize=64\n{more}"
        ))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, command: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = ringkeeper(&[command, self.path("zoo.cfg").to_str().unwrap()]);
        let output = finish({
            command.envs(variables.iter().copied());
            command
        });
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// Both refuse; what start says at its end is in what check says, and check changes nothing.
    fn both_refuse(&self, sentence: &str, code: i32) {
        let before = contents(self.home.path());
        let (checked, report) = self.run("check", &[]);
        assert_eq!(contents(self.home.path()), before, "{sentence}: check changed something");
        self.start_refuses(sentence, code, (checked, report));
    }

    /// The same where a server runs, which changes its files.
    fn both_refuse_what_is_in_use(&self, sentence: &str, code: i32) {
        self.start_refuses(sentence, code, self.run("check", &[]));
    }

    fn start_refuses(&self, sentence: &str, code: i32, (checked, report): (Option<i32>, String)) {
        assert!(report.contains(sentence), "{sentence}: {report}");
        let (started, said) = self.run("start", &[]);
        assert!(said.contains(sentence), "{sentence}: {said}");
        assert_eq!((checked, started), (Some(code), Some(code)), "{sentence}: {report}");
        // What is wrong with a line stands below that line.
        let last = said.lines().last().filter(|_| code == 1).unwrap_or("");
        let last = last.strip_prefix("ringkeeper: ").unwrap_or(last);
        assert!(report.contains(last), "start: {last}\ncheck: {report}");
    }

    fn server(&self) -> Host {
        Host::run({
            let mut command = ringkeeper(&["start", self.path("zoo.cfg").to_str().unwrap()]);
            command.arg("-DclientPort=0");
            command
        })
    }

    fn write_some(&self) {
        let host = self.server();
        let mut client = host.connect();
        for at in 0..400 {
            client.create(&format!("/{at}"), &[7; 500]).unwrap();
        }
        let (status, _) = host.terminate();
        assert!(status.success());
    }
}

/// Names, lengths and bytes of all files below.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.to_str().unwrap().to_owned();
        if path.is_dir() {
            found.push((name, Vec::new()));
            found.extend(contents(&path));
        } else {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn check_of_what_starts_says_so_and_makes_nothing() {
    let site = Site::usual("");
    let (code, said) = site.run("check", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!site.path("data").exists());
    site.write_some();
    let before = contents(site.home.path());
    let (code, said) = site.run("check", &[]);
    assert!(code == Some(0) && said.contains("A server would start with this."), "{said}");
    assert_eq!(contents(site.home.path()), before);
}

#[test]
fn check_and_start_refuse_directories_that_are_not_their_own() {
    for directory in ["data", "log"] {
        let site = Site::usual("dataLogDir=@/log\n");
        fs::create_dir_all(site.path(directory).join("version-2")).unwrap();
        site.both_refuse("holds data of Apache ZooKeeper", 1);
    }
    let site = Site::usual("");
    fs::write(site.path("data"), "").unwrap();
    site.both_refuse("there is a file of that name", 1);
    let site = Site::usual("dataLogDir=@/data/x/y\n");
    fs::create_dir(site.path("data")).unwrap();
    fs::write(site.path("data/x"), "").unwrap();
    site.both_refuse("cannot use", 1);
    let site = Site::usual("zookeeper.datadir.autocreate=false\n");
    site.both_refuse("datadir.autocreate=false forbids to create it", 1);
    let site = Site::usual("zookeeper.db.autocreate=false\n");
    fs::create_dir(site.path("data")).unwrap();
    site.both_refuse("db.autocreate=false forbids to start empty", 1);
    let site = Site::usual("");
    let host = site.server();
    let process = format!("is in use by another Ringkeeper (process {})", host.pid());
    site.both_refuse_what_is_in_use(&process, 1);
}

#[test]
fn check_and_start_refuse_an_identity_or_a_log_that_cannot_be_used() {
    let site = Site::usual("dataLogDir=@/log\n");
    site.write_some();
    let meta = fs::read(site.path("data/ringkeeper.meta")).unwrap();
    fs::write(site.path("data/ringkeeper.meta"), [&meta[..20], b"?", &meta[21..]].concat())
        .unwrap();
    site.both_refuse("ringkeeper.meta", 1);
    fs::write(site.path("data/ringkeeper.meta"), &meta).unwrap();
    let logs = contents(&site.path("log"));
    let segments = logs.iter().filter(|(name, _)| name.contains("/log.")).count();
    assert!(segments >= 3, "{segments}");
    let newest = |(name, _): &&(String, Vec<u8>)| {
        let zxid = name.rsplit_once("log.").map(|(_, zxid)| zxid);
        zxid.and_then(|zxid| u64::from_str_radix(zxid, 16).ok()).unwrap_or(0)
    };
    let (newest, bytes) = logs.iter().max_by_key(newest).unwrap();
    fs::remove_file(newest).unwrap();
    site.both_refuse("transactions are missing", 1);
    let zeros = [&bytes[..9_000], &vec![0; bytes.len() - 9_000][..]].concat();
    fs::write(newest, zeros).unwrap();
    site.both_refuse("acknowledged transactions are lost there", 1);
    fs::write(newest, bytes).unwrap();
    assert_eq!(site.run("check", &[]).0, Some(0));
    fs::rename(site.path("log"), site.path("elsewhere")).unwrap();
    site.both_refuse("there is no log in it", 1);
}

#[test]
fn check_and_start_refuse_addresses_and_ports_that_cannot_be_had() {
    let site = Site::new(
        "dataDir=@/data\nclientPort=2181\nclientPortAddress=no.such.host.invalid\n\
         admin.enableServer=false\n",
    );
    site.both_refuse("clientPortAddress=no.such.host.invalid is no address of this host", 1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let lines = |more: &str| {
        format!(
            "dataDir=@/data\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n{more}\n\
             preAllocSize=64\n"
        )
    };
    let site = Site::new(&lines(&format!("clientPort={port}")));
    site.both_refuse("cannot listen on", 1);
    let metrics = format!(
        "clientPort=PORT\nmetricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort={port}\n\
         metricsProvider.className=org.apache.zookeeper.metrics.prometheus.\
         PrometheusMetricsProvider"
    );
    Site::new(&lines(&metrics)).both_refuse("for the metrics", 1);
}

#[test]
fn check_and_start_refuse_a_configuration_with_the_code_of_the_start() {
    let site = Site::usual("tickTime=fast\n");
    site.both_refuse("\"fast\" is not a number of milliseconds", 2);
    let site = Site::usual("");
    fs::create_dir(site.path("data")).unwrap();
    fs::write(site.path("data/myid"), "me").unwrap();
    site.both_refuse("is not the number of a server", 2);
}

#[test]
fn variables_of_another_image_that_ask_for_safety_stop_check_and_start() {
    let site = Site::usual("");
    for (name, value) in [
        ("ZOO_TLS_CLIENT_ENABLE", "true"),
        ("ZOO_ENABLE_AUTH", "yes"),
        ("ZOO_ENABLE_QUORUM_AUTH", "yes"),
    ] {
        for command in ["check", "start"] {
            let (code, said) = site.run(command, &[(name, value)]);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(name) && said.contains("asks for what is not there"), "{said}");
        }
        assert_eq!(site.run("check", &[(name, "no")]).0, Some(0), "{name}");
    }
    let (code, said) = site.run("check", &[("ZOO_SNAPCOUNT", "7"), ("ZOO_NEVER_HEARD", "x")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ZOO_SNAPCOUNT: it is not read; here it is"), "{said}");
    assert!(said.contains("ZOO_NEVER_HEARD: it is not known, and not read"), "{said}");
}
