//! A host on which other programs have left variables, files and listeners.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};

/// What a ZooKeeper, its start scripts, a container or a user may have set.
const VARIABLES: &[(&str, &str)] = &[
    ("ZOO_MY_ID", "9"),
    ("ZOO_SERVERS", "server.1=a:2888:3888;2181 server.2=b:2888:3888;2181"),
    ("ZOO_TICK_TIME", "1"),
    ("ZOO_STANDALONE_ENABLED", "false"),
    ("ZOO_CFG_EXTRA", "clientPort=2181 secureClientPort=2281 snapCount=2"),
    ("ZOO_DATA_DIR", "/nowhere/data"),
    ("ZOO_CONF_DIR", "."),
    ("ZOOCFGDIR", "."),
    ("SERVER_JVMFLAGS", "-Dzookeeper.snapCount=2 -DclientPort=2181"),
    ("JVMFLAGS", "-Dzookeeper.tickTime=1 -Dzookeeper.admin.serverPort=8080"),
    ("STATE_DIRECTORY", "/nowhere/state"),
    ("UPDATE", "yes"),
    ("CLICOLOR_FORCE", "1"),
    ("TERM", "dumb"),
    ("TZ", "Asia/Kolkata"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("HOME", "/nowhere"),
    ("USER", "nobody"),
    ("http_proxy", "http://127.0.0.1:1"),
    ("ALL_PROXY", "http://127.0.0.1:1"),
    // A switch of the golden scripts: a few of them are enough.
    ("RINGKEEPER_GOLDEN_ONLY", "words_"),
];

/// Files of a working directory in which somebody tried a server.
const FILES: &[(&str, &str)] = &[
    ("zoo.cfg", "dataDir=/nowhere\nclientPort=2181\nserver.1=a:1:2\nserver.2=b:1:2\n"),
    ("ringkeeper-data/myid", "not a number"),
    ("ringkeeper-data/version-2/log.1", "not a log"),
];

/// Ports that other servers use.
const PORTS: &[u16] = &[2181, 2281, 2888, 3888, 7000, 8080];

/// Runs tests of this binary again on such a host: those whose names contain one of the texts, or
/// all without any. The one that calls this has a name that ends with `on_a_polluted_host`.
pub(crate) fn run_again(tests: &[&str]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in FILES {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("it is made");
        fs::write(path, text).expect("a writable directory");
    }
    // Where one of them is taken, somebody else does what this is for.
    let bind = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).ok();
    let listeners: Vec<TcpListener> = PORTS.iter().filter_map(bind).collect();
    let this = env::current_exe().expect("this program has a path");
    let mut command = Command::new(this);
    command.args(tests).args(["--skip", "on_a_polluted_host"]).stdin(Stdio::null());
    command.envs(VARIABLES.iter().copied()).current_dir(directory.path());
    let output = command.output().expect("it runs once more");
    drop(listeners);
    let said = String::from_utf8_lossy(&output.stdout);
    let none = said.contains("running 0 tests");
    assert!(output.status.success() && !none, "{said}{}", String::from_utf8_lossy(&output.stderr));
}
