//! Who has the last word, and the forms of a start.

use std::path::PathBuf;

use ringkeeper_server::cli::{self, Command};
use ringkeeper_server::config::{
    Listen, LogFormat, LogLevel, Origin, Purge, Settings, Shards, Weight,
};

use super::{Site, only, parse, start};

fn origin(settings: &Settings, key: &str) -> String {
    settings.origin(key).expect("every key has an origin").to_string()
}

#[test]
fn precedence_is_command_line_file_environment_default() {
    let site = Site::new("dataDir=@\nclientPort=2181\nsnapCount=30\nmaxClientCnxns=31\n");
    let variables = [
        ("SERVER_JVMFLAGS", "-Xmx1g -Dzookeeper.snapCount=20 -Dzookeeper.maxCnxns=21"),
        ("JVMFLAGS", "-Dzookeeper.maxCnxns=22"),
        ("ZOO_MAX_CLIENT_CNXNS", "40"),
        ("ZOO_TICK_TIME", "41"),
    ];
    let (settings, _) =
        site.load_with(&["zookeeper.snapCount=1", "snapCount=10"], &variables).unwrap();
    assert_eq!(settings.snap_count, 10);
    assert_eq!(origin(&settings, "snapCount"), "-D");
    assert_eq!(settings.max_cnxns, Some(22));
    assert_eq!(origin(&settings, "maxCnxns"), "JVMFLAGS");
    assert_eq!(settings.max_client_cnxns, Some(31));
    assert_eq!(site.short(&origin(&settings, "maxClientCnxns")), "zoo.cfg:4");
    assert_eq!(settings.tick_time_ms, 41);
    assert_eq!(origin(&settings, "tickTime"), "ZOO_TICK_TIME");
    assert_eq!(origin(&settings, "maxBatchSize"), "default");
    assert_eq!(origin(&settings, "minSessionTimeout"), "2 × tickTime");
    assert_eq!(settings.origin("nothing"), None);
    let (settings, said) = site.load_with(&[], &variables).unwrap();
    assert_eq!(settings.snap_count, 20);
    assert_eq!(
        said,
        [
            "zoo.cfg:3: snapCount: SERVER_JVMFLAGS wins over this line here; in ZooKeeper the line \
             would win",
            "ZOO_MAX_CLIENT_CNXNS: maxClientCnxns: it is not used: zoo.cfg:4 says 31",
            "ZOO_TICK_TIME: tickTime: it is used, for zoo.cfg says nothing of it",
        ]
    );
}

#[test]
fn start_without_configuration_listens_on_loopback() {
    for words in [&[][..], &["start"]] {
        let (settings, said) = start(words, &[]).unwrap();
        assert_eq!(said, [""; 0]);
        assert_eq!(settings.client_port.0.unwrap(), 2181);
        assert_eq!(settings.client_port_address, Listen::Host("127.0.0.1".to_owned()));
        assert_eq!(settings.data_dir, PathBuf::from("./ringkeeper-data"));
        assert_eq!(settings.origin("clientPort"), Some(&Origin::Bare));
    }
    let (settings, _) = start(&[], &[("STATE_DIRECTORY", "/var/lib/ringkeeper:/x")]).unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("/var/lib/ringkeeper"));
    let (settings, _) = start(&["start", "-Dringkeeper.shards=3", "-DclientPort=0"], &[]).unwrap();
    assert_eq!((settings.shards, settings.client_port.0.unwrap()), (Shards::Count(3), 0));
}

#[test]
fn positional_arguments_are_port_directory_tick_and_limit() {
    let (settings, said) = start(&["start", "2182", "/data"], &[]).unwrap();
    assert_eq!(said, [""; 0]);
    assert_eq!(
        (settings.client_port.0.unwrap(), settings.client_port_address),
        (2182, Listen::Any)
    );
    assert_eq!(settings.data_dir, PathBuf::from("/data"));
    assert_eq!(settings.tick_time_ms, 3000);
    let (settings, _) = start(&["start", "0", "/data", "500", "7"], &[]).unwrap();
    assert_eq!((settings.client_port.0.unwrap(), settings.tick_time_ms), (0, 500));
    assert_eq!(settings.max_client_cnxns, Some(7));
    assert_eq!(
        start(&["start", "x", "/data"], &[]).unwrap_err(),
        "command line: clientPort: \"x\" is not a port number; write clientPort=2181"
    );
    assert!(cli::parse_from(["r", "start", "1", "2", "3", "4", "5"].map(Into::into)).is_err());
}

#[test]
fn variables_of_the_container_image_are_settings() {
    let variables = [
        ("ZOO_DATA_DIR", "/data"),
        ("ZOO_DATA_LOG_DIR", "/datalog"),
        ("ZOO_LOG_DIR", "/logs"),
        ("ZOO_TICK_TIME", "2000"),
        ("ZOO_INIT_LIMIT", "5"),
        ("ZOO_SYNC_LIMIT", "2"),
        ("ZOO_AUTOPURGE_PURGEINTERVAL", "1"),
        ("ZOO_AUTOPURGE_SNAPRETAINCOUNT", "5"),
        ("ZOO_MAX_CLIENT_CNXNS", "0"),
        ("ZOO_STANDALONE_ENABLED", "true"),
        ("ZOO_ADMINSERVER_ENABLED", "true"),
        ("ZOO_4LW_COMMANDS_WHITELIST", "srvr, mntr"),
        ("ZOO_SERVERS", "server.1=localhost:2888:3888;2182"),
        ("ZOO_CFG_EXTRA", "snapCount=7 maxCnxns=8\nserverCnxnFactry=x"),
        ("ZOO_MY_ID", "1"),
        ("ZOO_DATADIR_AUTOCREATE_DISABLE", "1"),
    ];
    let (settings, said) = start(&[], &variables).unwrap();
    assert_eq!(
        said,
        [
            "ZOO_LOG_DIR: it has no meaning here: messages go to standard error",
            "ZOO_INIT_LIMIT: initLimit: it has no meaning here: it is between servers, and this \
             release runs one server on its own",
            "ZOO_SYNC_LIMIT: syncLimit: it has no meaning here: it is between servers, and this \
             release runs one server on its own",
            "ZOO_CFG_EXTRA: serverCnxnFactry: nobody knows this setting; did you mean \
             serverCnxnFactory?",
        ]
    );
    assert_eq!(
        (settings.client_port.0.unwrap(), settings.client_port_address),
        (2182, Listen::Any)
    );
    assert_eq!(settings.data_dir, PathBuf::from("/data"));
    assert_eq!(settings.data_log_dir, PathBuf::from("/datalog"));
    assert_eq!(settings.tick_time_ms, 2000);
    assert_eq!(settings.autopurge_purge_interval, Purge::EveryHours(1));
    assert_eq!(settings.autopurge_snap_retain_count, 5);
    assert_eq!(settings.max_client_cnxns, None);
    assert_eq!(settings.four_letter_whitelist, only(&["mntr", "srvr"]));
    assert_eq!((settings.snap_count, settings.max_cnxns), (7, Some(8)));
    assert_eq!(settings.my_id, Some(1));
    assert!(!settings.data_dir_autocreate);
    let three = "server.1=a:1:2;2181 server.2=b:1:2;2181 server.3=c:1:2;2181";
    let (settings, _) = start(&[], &[("ZOO_SERVERS", three), ("ZOO_MY_ID", "2")]).unwrap();
    assert_eq!(settings.ensemble.map(|it| (it.id.0, it.members.len())), Some((2, 3)));
}

/// The image has 0 as its own default: whoever has not chosen it gets what keeps the disk from
/// filling up.
#[test]
fn purge_interval_zero_disables_purging_only_in_a_file() {
    let (settings, said) = start(&[], &[("ZOO_AUTOPURGE_PURGEINTERVAL", "0")]).unwrap();
    assert_eq!(settings.autopurge_purge_interval, Purge::AfterEachSnapshot);
    assert_eq!(origin(&settings, "autopurge.purgeInterval"), "after each snapshot");
    assert_eq!(said, [""; 0]);
    let extra = [("ZOO_CFG_EXTRA", "autopurge.purgeInterval=0")];
    let (settings, said) = start(&[], &extra).unwrap();
    assert_eq!(settings.autopurge_purge_interval, Purge::Never);
    assert!(said[0].contains("nothing is ever deleted"), "{said:?}");
}

/// A file rules: whatever a variable says beside it is told, and stops nothing.
#[test]
fn variable_beside_a_file_is_reported_and_never_stops_a_start() {
    let site = Site::new("dataDir=@\nclientPort=2183\ntickTime=3000\n");
    for (name, value, told) in [
        ("ZOO_TICK_TIME", "4000", "ZOO_TICK_TIME: tickTime: it is not used: zoo.cfg:3 says 3000"),
        ("ZOO_TICK_TIME", "soon", "ZOO_TICK_TIME: tickTime: it is not used: zoo.cfg:3 says 3000"),
        ("ZOO_MAX_CLIENT_CNXNS", "many", "it is not used, for zoo.cfg rules: \"many\" is not"),
        ("ZOO_CFG_EXTRA", "ssl.crl=true", "it is not used, for zoo.cfg rules: "),
        ("ZOO_CFG_EXTRA", "snapCount=77", "snapCount: it is used, for zoo.cfg says nothing of it"),
        ("ZOO_SERVERS", "server.1=a:1:2;2182", "zoo.cfg says which servers there are"),
    ] {
        let (settings, said) = site.load_with(&[], &[(name, value)]).unwrap();
        assert_eq!((settings.client_port.0.unwrap(), settings.tick_time_ms), (2183, 3000));
        let [said] = &said[..] else { panic!("{name}={value}: {said:?}") };
        assert!(said.contains(told), "{name}={value}: {said}");
    }
    let (_, said) = site.load_with(&[], &[("ZOO_TICK_TIME", "3000")]).unwrap();
    assert_eq!(said, [""; 0], "it says the same");
    let error = site.load_with(&[], &[("ZOO_TLS_CLIENT_ENABLE", "true")]).unwrap_err();
    assert!(error.contains("secureClientPort and ssl.keyStore.location"), "{error}");
    let error = start(&[], &[("ZOO_TICK_TIME", "soon")]).unwrap_err();
    assert!(error.contains("ZOO_TICK_TIME"), "without a file it rules: {error}");
}

#[test]
fn size_of_log_files_beyond_what_is_used_is_reported() {
    for (size, used) in [("4194304", 2_097_152), ("2097153", 2_097_152), ("1", 16)] {
        let site = Site::new(&format!("dataDir=@\nclientPort=1\npreAllocSize={size}\n"));
        let (_, said) = site.load().unwrap();
        let told = format!("write preAllocSize={used}");
        assert!(said.iter().any(|said| said.ends_with(&told)), "{said:?}");
    }
    for size in ["16", "65536", "2097152"] {
        let site = Site::new(&format!("dataDir=@\nclientPort=1\npreAllocSize={size}\n"));
        assert_eq!(site.load().unwrap().1, [""; 0], "{size}");
    }
}

#[test]
fn word_that_can_never_match_is_reported() {
    for (list, told) in [
        ("srvr mntr", "\"srvr mntr\" is no four-letter word, so it allows none; put commas"),
        ("\"*\"", "\"\"*\"\" is no four-letter word"),
        ("mntr, stta", "\"stta\" is no four-letter word, so it allows none; did you mean stat?"),
        ("'mntr'", "did you mean mntr?"),
    ] {
        let site = Site::new(&format!("dataDir=@\nclientPort=1\n4lw.commands.whitelist={list}\n"));
        let (_, said) = site.load().unwrap();
        assert!(said.iter().any(|said| said.contains(told)), "{list}: {said:?}");
    }
    let site = Site::new("dataDir=@\nclientPort=1\n4lw.commands.whitelist= stat ,ruok,hash, *\n");
    assert_eq!(site.load().unwrap().1, [""; 0]);
}

/// The image writes a file of its variables only where there is none.
#[test]
fn configuration_file_of_the_image_wins_over_its_variables() {
    let site = Site::new("dataDir=@\nclientPort=2183\nserver.9=a:1:2\n");
    let directory = site.directory.path().to_str().unwrap();
    let servers = ("ZOO_SERVERS", "server.1=a:1:2;2181 server.2=b:1:2;2181");
    let (settings, said) = start(&[], &[("ZOO_CONF_DIR", directory), servers]).unwrap();
    let [said] = &said[..] else { panic!("{said:?}") };
    assert!(site.short(said).starts_with("ZOO_SERVERS: it is not used: zoo.cfg says"), "{said}");
    assert_eq!(settings.ensemble, None);
    assert_eq!(
        (settings.client_port.0.unwrap(), settings.client_port_address),
        (2183, Listen::Any)
    );
    let (settings, _) = start(&[], &[("ZOOCFGDIR", directory), ("ZOOCFG", "zoo.cfg")]).unwrap();
    assert_eq!(settings.client_port.0.unwrap(), 2183);
    let (settings, _) = start(&[], &[("ZOO_CONF_DIR", "/nowhere")]).unwrap();
    assert_eq!(
        (settings.client_port.0.unwrap(), settings.client_port_address),
        (2181, Listen::Any)
    );
}

#[test]
fn property_names_are_accepted_with_a_warning_where_zookeeper_differs() {
    let site = Site::new("dataDir=@\nclientPort=2181\n");
    let definitions = [
        "jute.maxbuffer=2000000",
        "readonlymode.enabled=true",
        "zookeeper.4lw.commands.whitelist=ruok",
        "fsync.warningthresholdms=5",
        "java.net.preferIPv4Stack=true",
        "com.sun.management.jmxremote=",
        "zookeeper.log.dir=/var/log",
        "zookeeper.tickTime=100",
        "snapCount=50",
        "zookeeper.snapCont=60",
    ];
    let (settings, said) = site.load_with(&definitions, &[]).unwrap();
    assert_eq!(settings.jute_maxbuffer, 2_000_000);
    assert_eq!(settings.four_letter_whitelist, only(&["isro", "ruok", "srvr"]));
    assert_eq!(settings.fsync_warning_threshold_ms, 5);
    assert_eq!((settings.tick_time_ms, settings.snap_count), (100, 50));
    assert_eq!(
        said,
        [
            "-D: zookeeper.snapCont: nobody knows this setting; did you mean snapCount?",
            "-D: snapCount: it is used, but ZooKeeper reads -Dzookeeper.snapCount=… only",
            "-D: zookeeper.tickTime: it is used, but ZooKeeper reads it from zoo.cfg only",
            "-D: zookeeper.log.dir: it has no meaning here: messages go to standard error; see \
             ringkeeper.log.level and .format",
            "-D: com.sun.management.jmxremote: it has no meaning here: there is no Java virtual \
             machine here",
            "-D: java.net.preferIPv4Stack: it has no meaning here: there is no Java virtual \
             machine here",
        ]
    );
    let error = site.load_with(&["zookeeper.skipACL=true"], &[]).unwrap_err();
    assert_eq!(
        error,
        "-D: zookeeper.skipACL: \"true\" is neither yes nor no; write zookeeper.skipACL=yes"
    );
    let error = site.load_with(&["java.security.auth.login.config=/jaas"], &[]).unwrap_err();
    assert!(error.contains("/jaas cannot be read"), "{error}");
}

#[test]
fn command_line_options_override_definitions() {
    let (settings, _) = start(&["--log-format", "json", "--log-level=debug"], &[]).unwrap();
    assert_eq!((settings.log_format, settings.log_level), (LogFormat::Json, LogLevel::Debug));
    let (settings, _) = start(&["start", "-Dringkeeper.log.level=trace"], &[]).unwrap();
    assert_eq!((settings.log_format, settings.log_level), (LogFormat::Text, LogLevel::Trace));
    let words = ["start", "--log-level", "warn", "-Dringkeeper.log.level=trace"];
    assert_eq!(start(&words, &[]).unwrap().0.log_level, LogLevel::Warn);
    let Command::Bench { args } = parse(&["bench", "--rate", "5", "-h", "host:1"]) else {
        panic!("bench is a command")
    };
    assert_eq!(args, ["--rate", "5", "-h", "host:1"]);
    let linked = cli::parse_from(["/usr/bin/ringkeeper-bench", "--rate"].map(Into::into)).unwrap();
    assert!(matches!(linked.command, Command::Bench { args } if args == ["--rate"]));
    let words = ["r", "start", "zoo.cfg", "-Dzookeeper.x=y=z", "-Dq", "-D", "a=b"];
    let Command::Start(args) = cli::parse_from(words.map(Into::into)).unwrap().command else {
        panic!("start is a command")
    };
    assert_eq!(args.definitions, ["zookeeper.x=y=z", "q", "a=b"]);
    assert_eq!(args.config, ["zoo.cfg"]);
}

#[test]
fn setting_without_effect_is_a_note_and_an_unknown_one_a_warning() {
    let site = Site::new("dataDir=@\nclientPort=2181\nnio.numWorkerThreads=1\ntickTme=1\n");
    let env = ringkeeper_server::config::Env::default();
    let (_, said) = Settings::load(&site.args(&[]), &env).unwrap();
    let weights: Vec<Weight> = said.iter().map(|warning| warning.weight).collect();
    assert_eq!(weights, [Weight::Note, Weight::Warning]);
}

#[test]
fn included_file_loses_to_the_file_that_includes_it() {
    let site = Site::new(
        "dataDir=@\nclientPort=2181\nringkeeper.include=conf/tune.cfg\npreAllocSize=32768\n",
    );
    std::fs::create_dir(site.path("conf")).unwrap();
    site.write("conf/tune.cfg", "ringkeeper.log.device=pwrite\nsnapCount=77\nflushDelay=5\n");
    let variables = [("ZOO_TICK_TIME", "41")];
    let (settings, said) = site.load_with(&["zookeeper.snapCount=10"], &variables).unwrap();
    assert_eq!(settings.snap_count, 10);
    assert_eq!((settings.flush_delay_ms, settings.tick_time_ms), (5, 41));
    assert_eq!(site.short(&origin(&settings, "flushDelay")), "conf/tune.cfg:3");
    assert!(said[0].starts_with("conf/tune.cfg:2: snapCount: -D wins"), "{said:?}");
    site.write("conf/tune.cfg", "preAllocSize=65536\n");
    let (_, said) = site.load_with(&[], &[]).unwrap();
    assert!(
        said.iter().any(|text| text.contains("zoo.cfg:4 sets it too and wins")),
        "the line that wins is named: {said:?}"
    );
}

#[test]
fn missing_or_nested_include_is_refused() {
    let site = Site::new("dataDir=@\nclientPort=2181\nringkeeper.include=tune.cfg\n");
    assert!(site.error().starts_with("tune.cfg: it cannot be read"), "{}", site.error());
    std::fs::create_dir(site.path("tune.cfg")).unwrap();
    assert!(site.error().contains("it is no regular file"), "{}", site.error());
    std::fs::remove_dir(site.path("tune.cfg")).unwrap();
    std::os::unix::net::UnixListener::bind(site.path("tune.cfg")).unwrap();
    assert!(site.error().contains("it is no regular file"), "{}", site.error());
    std::fs::remove_file(site.path("tune.cfg")).unwrap();
    let devices = Site::new("dataDir=@\nclientPort=2181\nringkeeper.include=/dev/zero\n");
    assert!(devices.error().contains("it is no regular file"), "{}", devices.error());
    site.write("tune.cfg", "\nringkeeper.include=other.cfg\n");
    assert_eq!(
        site.error(),
        "tune.cfg:2: ringkeeper.include: a file that is included includes no other; name one"
    );
}
