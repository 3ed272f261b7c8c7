//! `ringkeeper check`, `ringkeeper settings`, and the page that is made from the table.

use std::path::Path;

use ringkeeper_server::cli::{CheckArgs, Command};
use ringkeeper_server::config::check::{self, Checked};
use ringkeeper_server::config::{Paint, Settings, page};
use serde_json::Value;

use super::{Site, parse};

fn checked(site: &Site, json: bool) -> (Checked, String) {
    let args = CheckArgs { start: site.args(&["zookeeper.maxCnxns=5"]), json };
    let env = site.env(&[("ZOO_TICK_TIME", "3000"), ("ZOO_TICKTIME", "3000")]);
    let mut out = Vec::new();
    let checked = check::run(&args, (&env, &|_| Ok(())), Paint::Plain, &mut out).unwrap();
    (checked, site.short(&String::from_utf8(out).unwrap()))
}

const GOOD: &str = "dataDir=/data\ntickTime=2000\nclientPort=2181\nsyncLimit=5\nmaxCnxns=1\n\
                    admin.restore.enabled=false\nleaderServes=no\nclinetPort=1\nserver.1=a:1:2\n\
                    tickTime=2500\n";

#[test]
fn every_line_is_explained() {
    let (checked, text) = checked(&Site::new(GOOD), false);
    assert_eq!(checked, Checked::Starts);
    assert_eq!(
        text,
        "\
zoo.cfg
    1  used        dataDir=/data
    3  used        clientPort=2181
    4  default     syncLimit=5
    5  overridden  maxCnxns=1
                   -D has the last word
    6  not yet     admin.restore.enabled=false
                   a running server is not restored here; see ringkeeper snapshot restore
    7  no meaning  leaderServes=no
                   one server on its own has to serve the clients
    8  unknown     clinetPort=1
                   did you mean clientPort?
    9  used        server.1=a:1:2
   10  used        tickTime=2500
command line
   -D  used        zookeeper.maxCnxns=5
environment
ZOO_TICK_TIME  overridden  tickTime=3000
                   zoo.cfg:10 has the last word
warning: zoo.cfg:2: tickTime: line 10 sets it again and wins; remove one of them
warning: ZOO_TICKTIME: it is not known, and not read; did you mean ZOO_TICK_TIME?
warning: ZOO_TICK_TIME: tickTime: it is not used: zoo.cfg:10 says 2500
A server would start with this. It would serve port 2181 and keep its state in /data.
"
    );
}

#[test]
fn every_reason_against_a_start_is_listed() {
    let site = Site::new("clientPort=2181\nserver.1=a:1:2\nserver.2=b:1:2\ntickTime=fast\n");
    let (checked, text) = checked(&site, false);
    assert_eq!(checked, Checked::BadConfiguration);
    assert_eq!(
        text,
        "\
zoo.cfg
    1  used        clientPort=2181
    2  used        server.1=a:1:2
    3  used        server.2=b:1:2
    4  bad value   tickTime=fast
                   \"fast\" is not a number of milliseconds; write tickTime=3000
command line
   -D  used        zookeeper.maxCnxns=5
environment
ZOO_TICK_TIME  overridden  tickTime=3000
                   zoo.cfg:4 has the last word
warning: ZOO_TICKTIME: it is not known, and not read; did you mean ZOO_TICK_TIME?
warning: zoo.cfg:2: server.*: 2 servers vote, so that neither may fail; list a third one
warning: zoo.cfg: initLimit: it is not set, and counts as 10; ZooKeeper does not start without it
warning: zoo.cfg: syncLimit: it is not set, and counts as 5; ZooKeeper does not start without it
A server would not start with this, for 1 reason.
"
    );
}

#[test]
fn obstacle_beside_a_good_configuration_is_a_reason_of_its_own() {
    let site = Site::new(GOOD);
    for json in [false, true] {
        let args = CheckArgs { start: site.args(&[]), json };
        let mut out = Vec::new();
        let look =
            |settings: &Settings| Err(format!("port {} is taken", settings.client_port.0.unwrap()));
        let checked = check::run(&args, (&site.env(&[]), &look), Paint::Plain, &mut out).unwrap();
        assert_eq!(checked, Checked::DoesNotStart);
        let text = String::from_utf8(out).unwrap();
        if json {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&value["starts"], &value["problems"][0]),
                (&false.into(), &"port 2181 is taken".into())
            );
        } else {
            let end =
                "error: port 2181 is taken\nA server would not start with this, here and now.\n";
            assert!(text.ends_with(end), "{text}");
        }
    }
}

#[test]
fn json_report_has_every_entry_and_setting() {
    let (_, text) = checked(&Site::new(GOOD), true);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["starts"], true);
    assert_eq!(value["entries"][0]["key"], "dataDir");
    assert_eq!(value["entries"][0]["line"], 1);
    assert_eq!(value["entries"][6]["verdict"], "unknown");
    assert_eq!(value["entries"][6]["key"], Value::Null);
    assert_eq!(value["settings"]["tickTime"]["value"], "2500");
    assert_eq!(value["settings"]["tickTime"]["origin"], "zoo.cfg:10");
    assert_eq!(value["settings"]["maxSessionTimeout"]["value"], "50000");
    assert_eq!(value["problems"].as_array().map(Vec::len), Some(0));
    let (_, text) = checked(&Site::new("dataDir=@\n"), true);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["starts"], false);
    assert_eq!(value["settings"], Value::Null);
    assert_eq!(value["problems"][0], "zoo.cfg: clientPort: it is not set; write clientPort=2181");
}

fn listed(words: &[&str]) -> String {
    let Command::Settings(args) = parse(words) else { panic!("settings is a command") };
    let mut out = Vec::new();
    page::run(&args, Paint::Plain, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn settings_can_be_listed() {
    assert_eq!(
        listed(&["settings", "backlog"]),
        "\
Clients
  clientPortListenBacklog  a number, from -1, default 4096; ZooKeeper: -1 (50) (a queue of 50 \
drops clients when all of them reconnect at once)
      How many new connections may wait to be accepted; -1 means the default.
"
    );
    let value: Value = serde_json::from_str(&listed(&["settings", "--json"])).unwrap();
    assert!(value.as_array().is_some_and(|rows| rows.len() > 150));
    assert_eq!(value[0]["key"], "clientPort");
}

#[test]
fn the_page_of_settings_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/settings.md");
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, page::markdown()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page::markdown(),
        "docs/operate/settings.md is stale: UPDATE=1 cargo test -p ringkeeper --test config"
    );
}
