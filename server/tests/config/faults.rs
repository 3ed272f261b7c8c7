//! What is refused, what is only remarked on, and in which words.

use super::{Site, start};

#[test]
fn an_ensemble_without_the_number_of_this_server_is_refused() {
    let site = Site::new(
        "dataDir=@\nclientPort=2181\nserver.1=zoo1:2888:3888\nserver.2=zoo2:2888:3888\n\
         server.3=zoo3:2888:3888\n",
    );
    assert_eq!(
        site.error(),
        "myid: it is missing, and a server of an ensemble needs it; write the number of this \
         server into it, such as 1"
    );
}

#[test]
fn file_of_servers_that_cannot_be_read_is_refused() {
    let site = Site::new("dataDir=@\nclientPort=2181\ndynamicConfigFile=@/zoo.cfg.dynamic\n");
    site.write("zoo.cfg.dynamic", "server.1=a:1:2;2181\nserver.2=b:1:2;2181\n");
    site.write("myid", "1");
    assert_eq!(site.load().unwrap().0.ensemble.map(|it| it.members.len()), Some(2));
    std::fs::remove_file(site.path("zoo.cfg.dynamic")).unwrap();
    let error = site.error();
    assert!(error.starts_with("zoo.cfg.dynamic: it cannot be read: No such file"), "{error}");
}

#[test]
fn settings_for_missing_security_features_are_refused() {
    let site = Site::new(
        "dataDir=@\nclientPort=2181\nsecureClientPort=2281\nssl.keyStore.location=/k.jks\n\
         authProvider.1=org.apache.zookeeper.server.auth.X509AuthenticationProvider\n\
         authProvider.2=org.apache.zookeeper.server.auth.DigestAuthenticationProvider\n\
         ssl.crl=true\nsslQuorum=true\nstandaloneEnabled=false\n",
    );
    assert_eq!(
        site.error(),
        "zoo.cfg:7: ssl.crl: certificates are not looked up over the network; remove it, and \
         issue certificates that expire soon\n\
         zoo.cfg:8: sslQuorum: servers have no TLS between each other in this release; keep them \
         in a network of their own without it, or stay with ZooKeeper until they do\n\
         zoo.cfg:9: standaloneEnabled: this release runs one server on its own"
    );
}

#[test]
fn mistakes_say_where_they_are_and_what_to_write() {
    let site = Site::new(
        "dataDir=@\nclientPort=70000\n\ntickTime=2s\nextendedTypesEnabled=yes\nforceSync=false\n\
         snapCount=1\nmaxClientCnxns=060\nclientPortAddress=a, b\njute.maxbuffer=4 MB\n\
         ringkeeper.io=uring\nconnection_throttle_drop_increase=2\nname=\\u12\n",
    );
    assert_eq!(
        site.error(),
        "zoo.cfg:13: \\u is not followed by four hexadecimal digits; write \\\\u for the letters\n\
         zoo.cfg:2: clientPort: 70000 is too large, at most 65535 is possible; write \
         clientPort=65535\n\
         zoo.cfg:4: tickTime: \"2s\" is not a number of milliseconds; write tickTime=2000\n\
         zoo.cfg:5: extendedTypesEnabled: \"yes\" is neither true nor false; write \
         extendedTypesEnabled=true\n\
         zoo.cfg:6: forceSync: \"false\" is neither yes nor no; write forceSync=no\n\
         zoo.cfg:7: snapCount: 1 is too small, at least 2 is needed; write snapCount=2\n\
         zoo.cfg:8: maxClientCnxns: \"060\" is not a whole number; write maxClientCnxns=60\n\
         zoo.cfg:9: clientPortAddress: \"a, b\" is neither a host name nor an IP address; write \
         clientPortAddress=127.0.0.1\n\
         zoo.cfg:10: jute.maxbuffer: \"4 MB\" is not a number of bytes; write \
         jute.maxbuffer=4194304\n\
         zoo.cfg:11: ringkeeper.io: \"uring\" is not one of auto, io_uring, epoll; write \
         ringkeeper.io=auto\n\
         zoo.cfg:12: connection_throttle_drop_increase: 2 is not between 0 and 1; write \
         connection_throttle_drop_increase=0.02"
    );
}

#[test]
fn bad_group_commit_target_is_refused_with_a_good_one() {
    let key = "ringkeeper.commit.target";
    for (value, said) in [
        ("p99<0", "no write is durable in no time at all; write ringkeeper.commit.target=p99<2ms"),
        (
            "p101<2ms",
            "there is no percentile p101; there are p1 to p99.99; write \
             ringkeeper.commit.target=p99<2ms",
        ),
        (
            "2ms",
            "\"2ms\" is neither latency nor throughput nor a bound such as p99<2ms; write \
             ringkeeper.commit.target=p99<2ms",
        ),
        (
            "p99<3",
            "\"3\" has no unit; there are us, ms and s; write ringkeeper.commit.target=p99<3ms",
        ),
    ] {
        let site = Site::new(&format!("dataDir=@\nclientPort=2181\n{key}={value}"));
        assert_eq!(site.error(), format!("zoo.cfg:3: {key}: {said}"));
    }
}

#[test]
fn contradicting_settings_are_refused() {
    let error = |text: &str| Site::new(&format!("dataDir=@\nclientPort=2181\n{text}")).error();
    assert_eq!(
        error("minSessionTimeout=90000"),
        "zoo.cfg:3: minSessionTimeout: 90000 is larger than maxSessionTimeout, 60000; write \
         minSessionTimeout=60000"
    );
    assert_eq!(
        error("maxSessionTimeout=1000"),
        "zoo.cfg:3: maxSessionTimeout: 1000 is smaller than minSessionTimeout, 6000; write \
         maxSessionTimeout=6000"
    );
    assert_eq!(
        error("enforce.auth.enabled=true"),
        "zoo.cfg:3: enforce.auth.enabled: true needs at least one scheme; write \
         enforce.auth.schemes=digest as well"
    );
    assert_eq!(
        error("enforce.auth.enabled=true\nenforce.auth.schemes=digest,x509"),
        "zoo.cfg:4: enforce.auth.schemes: \"x509\" is not a scheme that is offered; there are \
         digest, ip, sasl"
    );
    assert_eq!(
        error("server.1=a:1:2;2182"),
        "zoo.cfg:3: server.1: its client port is 2182, but zoo.cfg:2 says clientPort=2181; make \
         them the same"
    );
    assert_eq!(
        error("server.1=a:2888"),
        "zoo.cfg:3: server.1: \"a:2888\" has not both ports between servers; the form is \
         server.1=host:2888:3888 and, if wanted, ;2181"
    );
}

#[test]
fn missing_settings_and_files_are_reported() {
    assert_eq!(
        Site::new("tickTime=2000\n").error(),
        "zoo.cfg: dataDir: it is not set; write dataDir=/var/lib/ringkeeper\n\
         zoo.cfg: clientPort: it is not set; write clientPort=2181"
    );
    assert_eq!(
        Site::new("dataDir=@\nclientPort=0\n").error(),
        "zoo.cfg:2: clientPort: 0 is no port; write clientPort=2181"
    );
    assert_eq!(
        start(&["start", "/nowhere/zoo.cfg"], &[]).unwrap_err(),
        "/nowhere/zoo.cfg: it cannot be read: No such file or directory (os error 2); name a file \
         that exists"
    );
}

#[test]
fn working_configuration_loads_with_its_warnings() {
    let site = Site::new(
        "dataDir=@\nclientPort=2181\ntickTme=3000\nconnectionMaxTokens=5\nzookeeper.snapCount=7\n\
         clientPort=2182\nautopurge.snapRetainCount=1\nhouse.colour=blue\nnio.numWorkerThreads=4\n\
         forceSync=no\n",
    );
    let (settings, said) = site.load().unwrap();
    assert_eq!(
        said,
        [
            "zoo.cfg:2: clientPort: line 6 sets it again and wins; remove one of them",
            "zoo.cfg:3: tickTme: nobody knows this setting; did you mean tickTime?",
            "zoo.cfg:5: zookeeper.snapCount: it is used, but ZooKeeper reads it as snapCount only",
            "zoo.cfg:8: house.colour: nobody knows this setting",
            "zoo.cfg:9: nio.numWorkerThreads: it has no meaning here: ringkeeper.shards says how \
             many threads there are",
            "zoo.cfg:4: connectionMaxTokens: it is used, but ZooKeeper reads it as \
             connection_throttle_tokens only",
            "zoo.cfg:10: forceSync: a power failure now loses writes that were acknowledged",
            "zoo.cfg:7: autopurge.snapRetainCount: 1 is too few to be safe; 3 snapshots are kept",
        ]
    );
    assert_eq!((settings.client_port.0.unwrap(), settings.snap_count), (2182, 7));
    assert_eq!(settings.autopurge_snap_retain_count, 3);
    assert_eq!(settings.connection_throttle_tokens, Some(5));
    assert!(!settings.force_sync);
}

#[test]
fn documented_alias_gives_way_to_the_name_that_zookeeper_reads() {
    let site =
        Site::new("dataDir=@\nclientPort=1\nconnectionMaxTokens=5\nconnection_throttle_tokens=6\n");
    let (settings, said) = site.load().unwrap();
    assert_eq!(settings.connection_throttle_tokens, Some(6));
    assert_eq!(
        said,
        ["zoo.cfg:3: connectionMaxTokens: zoo.cfg:4 sets it too and wins; remove one of them"]
    );
}

#[test]
fn myid_file_wins_over_the_variable() {
    let site = Site::new("dataDir=@\nclientPort=2181\nserver.1=a:1:2\n");
    assert_eq!(site.load().unwrap().0.my_id, None);
    assert_eq!(site.load_with(&[], &[("ZOO_MY_ID", "1")]).unwrap().0.my_id, Some(1));
    site.write("myid", " 2 \n");
    let (settings, said) = site.load_with(&[], &[("ZOO_MY_ID", "1")]).unwrap();
    assert_eq!(settings.my_id, Some(2));
    assert_eq!(said, ["zoo.cfg:3: server.1: this server is number 2 by its myid"]);
    site.write("myid", "two");
    assert_eq!(
        site.error(),
        "myid: \"two\" is not the number of a server; write a number such as 1"
    );
}

#[test]
fn server_number_outside_one_byte_is_refused() {
    let site = Site::new("dataDir=@\nclientPort=2181\n");
    let extended = Site::new("dataDir=@\nclientPort=2181\nextendedTypesEnabled=true\n");
    for (text, good, good_extended) in
        [("1", true, true), ("254", true, true), ("255", true, false), ("256", false, false)]
    {
        for (site, good) in [(&site, good), (&extended, good_extended)] {
            site.write("myid", text);
            assert_eq!(site.load().is_ok(), good, "{text}");
        }
    }
    for text in ["0", "-1", "300"] {
        site.write("myid", text);
        let expected =
            format!("myid: {text} cannot be the number of a server; use one from 1 to 255");
        assert_eq!(site.error(), expected);
    }
    assert_eq!(
        {
            extended.write("myid", "255");
            extended.error()
        },
        "myid: 255 cannot be the number of a server while extendedTypesEnabled=true; use one \
         from 1 to 254"
    );
}

#[test]
fn a_secret_is_never_shown() {
    let site = Site::new(
        "dataDir=@\nclientPort=2181\nDigestAuthenticationProvider.superDigest=super:c2VjcmV0\n",
    );
    let (settings, _) = site.load().unwrap();
    assert!(!format!("{settings:?}").contains("c2VjcmV0"));
    assert!(settings.described().all(|(_, text, _)| !text.contains("c2VjcmV0")));
    let secret = settings.digest_auth_super_digest.expect("it is set");
    assert_eq!(secret.reveal(), "super:c2VjcmV0");
}
