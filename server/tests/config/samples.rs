//! Configurations that are in use all over the world.

use std::path::PathBuf;

use ringkeeper_server::config::{Listen, Purge};

use super::{Site, only};

#[test]
fn sample_of_the_distribution_loads() {
    let site = Site::new(
        "# The length of a tick\ntickTime=2000\n# How long the first synchronisation may take\n\
         initLimit=10\n# How far behind is too far\nsyncLimit=5\n# Only an example, not for use\n\
         dataDir=/tmp/zookeeper\n# For the clients\nclientPort=2181\n\
         #maxClientCnxns=60\n#autopurge.snapRetainCount=3\n#autopurge.purgeInterval=1\n\
         #metricsProvider.httpPort=7000\n",
    );
    let (settings, said) = site.load().unwrap();
    assert_eq!(said, [""; 0]);
    assert_eq!(settings.tick_time_ms, 2000);
    assert_eq!((settings.min_session_timeout_ms, settings.max_session_timeout_ms), (4000, 40_000));
    assert_eq!(settings.data_dir, PathBuf::from("/tmp/zookeeper"));
    assert_eq!(settings.data_log_dir, settings.data_dir);
    assert_eq!(
        (settings.client_port.0.unwrap(), settings.client_port_address),
        (2181, Listen::Any)
    );
    assert_eq!(settings.max_client_cnxns, Some(60));
    assert_eq!(settings.autopurge_purge_interval, Purge::AfterEachSnapshot);
    assert_eq!(settings.four_letter_whitelist, only(&["srvr"]));
}

#[test]
fn configuration_of_the_container_image_loads() {
    let site = Site::new(
        "dataDir=/data\ndataLogDir=/datalog\ntickTime=2000\ninitLimit=5\nsyncLimit=2\n\
         autopurge.snapRetainCount=3\nautopurge.purgeInterval=0\nmaxClientCnxns=60\n\
         standaloneEnabled=true\nadmin.enableServer=true\nserver.1=localhost:2888:3888;2181\n",
    );
    let (settings, said) = site.load().unwrap();
    assert_eq!(settings.data_log_dir, PathBuf::from("/datalog"));
    assert_eq!(
        (settings.client_port.0.unwrap(), settings.client_port_address),
        (2181, Listen::Any)
    );
    assert_eq!(settings.autopurge_purge_interval, Purge::Never);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[2].starts_with("zoo.cfg:7: autopurge.purgeInterval: nothing is ever deleted"));
}

#[test]
fn configuration_of_kafka_loads() {
    let site = Site::new(
        "# A licence\n# where the snapshots are\ndataDir=/tmp/zookeeper\n\
         # where the clients connect\nclientPort=2181\n# no limit\n\
         maxClientCnxns=0\n# no conflict of ports\nadmin.enableServer=false\n\
         # admin.serverPort=8080\n",
    );
    let (settings, said) = site.load().unwrap();
    assert_eq!(said, [""; 0]);
    assert!(!settings.admin_enable_server);
    assert_eq!(settings.max_client_cnxns, None);
    assert_eq!(settings.tick_time_ms, 3000);
}

#[test]
fn configuration_of_solr_loads() {
    let site = Site::new(
        "tickTime=2000\ndataDir=/var/lib/zookeeper\nclientPort=2181\n\
         4lw.commands.whitelist=mntr,conf,ruok\nautopurge.snapRetainCount=3\n\
         autopurge.purgeInterval=1\njute.maxbuffer=0x1000000\n",
    );
    let (settings, said) = site.load().unwrap();
    assert_eq!(settings.four_letter_whitelist, only(&["conf", "mntr", "ruok", "srvr"]));
    assert_eq!(settings.autopurge_purge_interval, Purge::EveryHours(1));
    assert_eq!(settings.jute_maxbuffer, 16_777_216);
    assert_eq!(
        said,
        ["zoo.cfg:7: jute.maxbuffer: it is used, but ZooKeeper ignores this line: there it is \
          -Djute.maxbuffer=…"]
    );
}

/// As on a machine where a ZooKeeper was: its directory is named, and what lies there is not read.
#[test]
fn a_myid_outside_of_the_directory_of_a_test_is_not_read() {
    let foreign = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(foreign.path().join("myid"), "not a number").expect("a writable directory");
    let site = Site::new(&format!("dataDir={}\nclientPort=2181\n", foreign.path().display()));
    let (settings, said) = site.load().unwrap();
    assert_eq!((settings.my_id, said), (None, Vec::new()));
}

#[test]
fn configuration_of_clickhouse_loads() {
    let site = Site::new(
        "tickTime=2000\ninitLimit=300\nsyncLimit=10\nmaxClientCnxns=2000\n\
         maxSessionTimeout=60000000\ndataDir=/opt/zookeeper/data\ndataLogDir=/opt/zookeeper/logs\n\
         autopurge.snapRetainCount=10\nautopurge.purgeInterval=1\npreAllocSize=131072\n\
         snapCount=3000000\nleaderServes=yes\nclientPort=2181\n",
    );
    let (settings, said) = site.load().unwrap();
    assert_eq!(settings.max_session_timeout_ms, 60_000_000);
    assert_eq!((settings.snap_count, settings.pre_alloc_size_kb), (3_000_000, 131_072));
    assert_eq!(settings.autopurge_snap_retain_count, 10);
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("zoo.cfg:2: initLimit: it has no meaning here"), "{said:?}");
}

#[test]
fn configuration_of_bitnami_loads() {
    let site = Site::new(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=@/data\nclientPort=2181\n\
         maxClientCnxns=60\nmaxCnxns=0\nautopurge.purgeInterval=24\nautopurge.snapRetainCount=3\n\
         quorumListenOnAllIPs=false\n4lw.commands.whitelist=srvr, mntr\nadmin.serverPort=8080\n\
         admin.enableServer=true\npreAllocSize=65536\nsnapCount=100000\nmaxSessionTimeout=40000\n\
         reconfigEnabled=false\npeerType=participant\n",
    );
    let (settings, _) = site.load().unwrap();
    assert_eq!(settings.max_cnxns, None);
    assert_eq!(settings.four_letter_whitelist, only(&["mntr", "srvr"]));
    assert_eq!(settings.autopurge_purge_interval, Purge::EveryHours(24));
}

#[test]
fn dynamic_configuration_of_zookeeper_loads() {
    let site = Site::new(
        "dataDir=@\nreconfigEnabled=true\ndynamicConfigFile=@/zoo.cfg.dynamic.100000000\n",
    );
    site.write(
        "zoo.cfg.dynamic.100000000",
        "server.5=localhost:2888:3888:participant;[::1]:2185\n",
    );
    site.write("myid", "5\n");
    let (settings, said) = site.load().unwrap();
    assert_eq!(said, [""; 0]);
    assert_eq!((settings.client_port.0.unwrap(), settings.my_id), (2185, Some(5)));
    assert_eq!(settings.client_port_address, Listen::Host("::1".to_owned()));
    assert!(settings.reconfig_enabled);
}
