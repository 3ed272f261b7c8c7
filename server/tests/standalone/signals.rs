//! Signals, and what a service manager is told.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;

use ringkeeper_engine::client::four_letter_word;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::tempdir;

use crate::host::{Host, PATIENCE, line_with, start};
use crate::program::ringkeeper;

#[test]
fn signals_without_a_meaning_are_named_and_end_nothing() {
    let home = tempdir().unwrap();
    let log = home.path().join("log.txt");
    let mut command = start(&home.path().join("data"), &[]);
    command.stderr(File::create(&log).unwrap());
    let host = Host::run(command);
    for (signal, number) in [(Signal::QUIT, 3), (Signal::USR1, 10), (Signal::USR2, 12)] {
        host.signal(signal);
        line_with(&log, &format!("signal={number}"));
        assert!(host.connect().exists("/").unwrap().is_some());
    }
    let (status, _) = host.terminate();
    assert!(status.success(), "{status}");
}

#[test]
fn hangup_reads_the_level_again_opens_the_audit_log_and_names_what_needs_a_restart() {
    let home = tempdir().unwrap();
    let (zoo_cfg, log) = (home.path().join("zoo.cfg"), home.path().join("log.txt"));
    let audit = home.path().join("audit.log");
    let write = |more: &str| {
        let home = home.path().display();
        let text = format!(
            "dataDir={home}/data\nadmin.enableServer=false\npreAllocSize=1024\n\
             clientPortAddress=127.0.0.1\naudit.enable=true\n\
             ringkeeper.audit.file={home}/audit.log\n{more}"
        );
        fs::write(&zoo_cfg, text).unwrap();
    };
    write("");
    let mut command = ringkeeper(&["start", zoo_cfg.to_str().unwrap(), "-DclientPort=0"]);
    command.stderr(File::create(&log).unwrap());
    let host = Host::run(command);
    let mut client = host.connect();
    client.create("/a", b"").unwrap();
    line_with(&audit, "znode=/a");
    fs::rename(&audit, home.path().join("audit.old")).unwrap();
    write("ringkeeper.log.level=debug\nsnapCount=777\n");
    host.signal(Signal::HUP);
    let line = line_with(&log, "these changes need a restart");
    assert!(line.contains("log.level=debug") && line.contains("snapCount"), "{line}");
    client.create("/b", b"").unwrap();
    line_with(&audit, "znode=/b");
    let old = fs::read_to_string(home.path().join("audit.old")).unwrap();
    assert!(old.contains("znode=/a") && !old.contains("znode=/b"), "{old}");
    write("snapCount=many\n");
    host.signal(Signal::HUP);
    line_with(&log, "SIGHUP: the configuration is not taken over");
    write("ringkeeper.log.level=warn\nmaxCnxns=100\n4lw.commands.whitelist=ruok\nsnapCount=9\n");
    let ruok = || four_letter_word(host.address, "ruok").expect("an answer");
    assert!(ruok().contains("not in the whitelist"));
    host.signal(Signal::HUP);
    let line = line_with(&log, "log.level=warn");
    assert!(line.contains("maxCnxns=100") && line.ends_with("need a restart: snapCount"), "{line}");
    assert_eq!(ruok(), "imok");
    let (status, _) = host.terminate();
    assert!(status.success(), "{status}");
    let said = fs::read_to_string(&log).unwrap();
    assert!(!said.contains("stopping"), "it is no warning: {said}");
}

fn received(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 512];
    let count = socket.recv(&mut bytes).expect("a message in time");
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[test]
fn supervisor_hears_when_the_server_is_ready_lives_and_stops() {
    let home = tempdir().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = start(&home.path().join("data"), &[]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let host = Host::run(command);
    assert_eq!(received(&socket), "READY=1");
    for _ in 0..3 {
        assert_eq!(received(&socket), "WATCHDOG=1");
    }
    host.signal(Signal::HUP);
    let mut heard = Vec::new();
    while !heard.iter().any(|text| text == "READY=1") {
        heard.push(received(&socket));
    }
    assert!(heard.iter().any(|text| text.starts_with("RELOADING=1\nMONOTONIC_USEC=")), "{heard:?}");
    let (status, _) = host.terminate();
    assert!(status.success(), "{status}");
    let mut last = received(&socket);
    while last == "WATCHDOG=1" {
        last = received(&socket);
    }
    assert_eq!(last, "STOPPING=1");
}

#[test]
fn start_is_an_event_in_json() {
    let home = tempdir().unwrap();
    let log = home.path().join("log.txt");
    let mut command = start(&home.path().join("data"), &[]);
    command.args(["--log-format", "json"]).stderr(File::create(&log).unwrap());
    let host = Host::run(command);
    host.connect().create("/a", b"").unwrap();
    let line = line_with(&log, "\"started\"");
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(event["clients"], host.address.to_string());
    assert_eq!(event["zxid"], "0x0");
    let data = home.path().join("data");
    assert_eq!(event["data_dir"], data.to_str().unwrap());
    assert!(event["ready_ms"].is_u64() || event["ready_ms"].is_i64(), "{line}");
    assert!(event["http"].as_str().is_some_and(|http| http.contains("http://")), "{line}");
}
