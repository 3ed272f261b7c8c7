//! Several servers in one configuration: what they are read as.

use ringkeeper_server::cli::CheckArgs;
use ringkeeper_server::config::ensemble::PeerRole;
use ringkeeper_server::config::{Ensemble, Listen, Paint, check, explain};
use serde_json::Value;

use super::Site;

/// The file of ZooKeeper's own guide, for three servers and an observer.
pub(super) const GUIDE: &str = "\
tickTime=2000
dataDir=@
clientPort=2181
initLimit=5
syncLimit=2
server.1=zoo1:2888:3888
server.2=zoo2:2888:3888
server.3=zoo3:2888:3888
server.4=zoo4:2888:3888:observer
";

/// A site of a server with this number.
pub(super) fn site(my_id: &str, zoo_cfg: &str) -> Site {
    let site = Site::new(zoo_cfg);
    site.write("myid", my_id);
    site
}

/// What is wrong, and all warnings.
pub(super) fn said(site: &Site, definitions: &[&str]) -> (Vec<String>, Vec<String>) {
    let explanation = explain(&site.args(definitions), &site.env(&[]));
    let short = |text: String| site.short(&text);
    let warnings = explanation.warnings.iter().map(|warning| short(warning.to_string())).collect();
    let problems: Vec<String> = match &explanation.settings {
        Ok(settings) => {
            assert_eq!(settings.ensemble, explanation.ensemble);
            vec![]
        }
        Err(error) => error.problems.iter().map(|problem| short(problem.to_string())).collect(),
    };
    assert_eq!(explanation.ensemble.is_some(), problems.is_empty(), "{problems:?}");
    (problems, warnings)
}

pub(super) fn problems(site: &Site) -> String {
    said(site, &[]).0.join("\n")
}

pub(super) fn ensemble(site: &Site) -> Ensemble {
    let explanation = explain(&site.args(&[]), &site.env(&[]));
    explanation.ensemble.unwrap_or_else(|| panic!("{:?}", explanation.settings))
}

/// Server 1 of three, with these lines in place of the third and behind it.
pub(super) fn three(lines: &str) -> Site {
    site(
        "1",
        &format!(
            "dataDir=@\nclientPort=2181\ninitLimit=5\nsyncLimit=2\nserver.1=zoo1:2888:3888\n\
             server.2=zoo2:2888:3888\n{lines}\n"
        ),
    )
}

#[test]
fn voter_of_the_guide_is_read_and_starts() {
    let site = site("2\n", GUIDE);
    assert_eq!(said(&site, &[]), (vec![], vec![]));
    let ensemble = ensemble(&site);
    assert_eq!((ensemble.id.0, ensemble.role, ensemble.version), (2, PeerRole::Participant, 0));
    let members: Vec<String> =
        ensemble.members.iter().map(|member| format!("{} {member}", member.id.0)).collect();
    assert_eq!(
        members,
        [
            "1 zoo1:2888:3888:participant",
            "2 zoo2:2888:3888:participant",
            "3 zoo3:2888:3888:participant",
            "4 zoo4:2888:3888:observer",
        ]
    );
    assert_eq!((ensemble.voters().count(), ensemble.own().id.0), (3, 2));
    assert_eq!(ensemble.settings.init_limit.as_millis(), 10_000);
    assert_eq!(ensemble.settings.sync_limit.as_millis(), 4000);
    assert_eq!(ensemble.settings.connect_to_learner_master_limit.as_millis(), 10_000);
    assert_eq!(ensemble.settings.quorum_cnxn_timeout.as_millis(), 4000);
    assert_eq!(ensemble.settings.leaderless.as_millis(), 4000);
}

#[test]
fn observer_of_the_guide_is_read_and_starts() {
    let site = site("4", &format!("{GUIDE}peerType=observer\n"));
    let ensemble = ensemble(&site);
    assert_eq!((ensemble.id.0, ensemble.role), (4, PeerRole::Observer));
    assert_eq!(said(&site, &[]), (vec![], vec![]));
}

#[test]
fn list_in_a_file_of_its_own_has_the_version_of_its_name() {
    let site = site(
        "4",
        "tickTime=2000\ndataDir=@\ninitLimit=5\nsyncLimit=2\nreconfigEnabled=true\n\
         dynamicConfigFile=@/zoo.cfg.dynamic.10000000a\n",
    );
    site.write(
        "zoo.cfg.dynamic.10000000a",
        "server.1=zoo1:2888:3888:participant;0.0.0.0:2181\n\
         server.2=[2001:db8::2]:2888:3888:participant;[2001:db8::2]:2181\n\
         server.3=zoo3:2888:3888:participant;2181\n\
         server.4=zoo4:2888:3888:observer;10.0.0.4:2184\n",
    );
    assert_eq!(said(&site, &[]), (vec![], vec![]));
    let ensemble = ensemble(&site);
    assert_eq!(ensemble.version, 0x1_0000_000a);
    let client = ensemble.own().client.as_ref().expect("the line says it");
    assert_eq!((&client.listen, client.port), (&Listen::Host("10.0.0.4".to_owned()), 2184));
    assert_eq!(
        ensemble.members[1].to_string(),
        "[2001:db8::2]:2888:3888:participant;[2001:db8::2]:2181"
    );
}

/// Whoever has the last word names the file, and no other one is opened.
#[test]
fn list_that_a_property_names_is_read_as_if_zoo_cfg_named_it() {
    let servers = "server.1=zoo1:2888:3888;2181\nserver.2=zoo2:2888:3888;2181\n\
                   server.3=zoo3:2888:3888;2181\nserver.4=zoo4:2888:3888:observer;10.0.0.4:2184\n";
    for zoo_cfg in ["", "dynamicConfigFile=@/nowhere\n"] {
        let site = site("4", &format!("dataDir=@\ninitLimit=5\nsyncLimit=2\n{zoo_cfg}"));
        site.write("servers.2b", servers);
        let list = site.path("servers.2b").display().to_string();
        let definitions =
            ["", "zookeeper."].map(|front| format!("{front}dynamicConfigFile={list}"));
        let flag = format!("-D{}", definitions[0]);
        let flags = [("SERVER_JVMFLAGS", &*flag)];
        let ways = [
            (site.args(&[&definitions[0]]), site.env(&[])),
            (site.args(&[&definitions[1]]), site.env(&[])),
            (site.args(&[]), site.env(&flags)),
        ];
        for (args, env) in ways {
            let explanation = explain(&args, &env);
            let settings = explanation.settings.unwrap_or_else(|error| panic!("{error}"));
            let ensemble = explanation.ensemble.expect("it is one");
            assert_eq!((ensemble.id.0, ensemble.version), (4, 0x2b));
            assert_eq!((ensemble.members.len(), settings.client_port.0.unwrap()), (4, 2184));
        }
    }
}

#[test]
fn variables_of_the_container_image_are_an_ensemble() {
    let site = Site::new("dataDir=@\n");
    let servers = "server.1=zoo1:2888:3888;2181 server.2=zoo2:2888:3888;2181 \
                   server.3=zoo3:2888:3888;2181 server.4=0.0.0.0:2888:3888:observer;2181";
    let env = site.env(&[
        ("ZOO_SERVERS", servers),
        ("ZOO_MY_ID", "4"),
        ("ZOO_INIT_LIMIT", "5"),
        ("ZOO_SYNC_LIMIT", "2"),
        ("ZOO_STANDALONE_ENABLED", "true"),
    ]);
    let explanation = explain(&site.args(&[]), &env);
    let ensemble = explanation.ensemble.expect("an ensemble without a fault");
    assert_eq!((ensemble.id.0, ensemble.role), (4, PeerRole::Observer));
    assert_eq!(explanation.warnings, []);
}

#[test]
fn settings_of_an_ensemble_are_typed_and_have_no_remark() {
    let site = site(
        "4",
        &format!(
            "{GUIDE}connectToLearnerMasterLimit=3\nquorumListenOnAllIPs=true\ncnxTimeout=0\n\
             quorumCnxnTimeoutMs=700\ntcpKeepAlive=true\nelectionPortBindRetry=0\n\
             maxTimeToWaitForEpoch=0\nobserver.reconnectDelayMs=5\nobserver.election.DelayMs=6\n\
             syncEnabled=false\nleaderServes=no\nfastleader.maxNotificationInterval=900\n\
             commitLogCount=7\nsnapshotSizeFactor=-1\nforceSnapshotSync=true\n\
             ringkeeper.leaderlessMs=800\nlearner.asyncSending=true\n\
             localSessionsEnabled=true\n"
        ),
    );
    let settings = ensemble(&site).settings;
    assert_eq!(settings.connect_to_learner_master_limit.as_millis(), 6000);
    assert_eq!((settings.cnx_timeout, settings.election_port_bind_retry), (None, None));
    assert_eq!(settings.quorum_cnxn_timeout.as_millis(), 700);
    assert_eq!(settings.observer_reconnect_delay.as_millis(), 5);
    assert_eq!(settings.observer_election_delay.as_millis(), 6);
    assert_eq!(settings.max_notification_interval.as_millis(), 900);
    assert_eq!(settings.leaderless.as_millis(), 800);
    assert!(settings.listen_on_all_ips && settings.tcp_keep_alive);
    let (_, warnings) = said(&site, &[]);
    let of_leaders =
        |key: &str| format!("zoo.cfg:{key}: it is for a leader, and an observer never leads");
    let from_log = "it has no effect: a learner is sent what it lacks from the log wherever that \
                    reaches back";
    assert_eq!(
        warnings,
        [
            "zoo.cfg:19: syncEnabled: it has no effect: an observer always keeps a log and \
             snapshots here",
            &format!("zoo.cfg:23: snapshotSizeFactor: {from_log}"),
            &format!("zoo.cfg:24: forceSnapshotSync: {from_log}"),
            "zoo.cfg:26: learner.asyncSending: it has no meaning here: connections between \
             servers never hold up a thread here",
            "zoo.cfg:27: localSessionsEnabled: it has no effect: every session is known to all \
             servers of an ensemble",
            "zoo.cfg:16: maxTimeToWaitForEpoch: it has no effect: a new leader waits for the \
             others for initLimit",
            &of_leaders("20: leaderServes"),
            &of_leaders("22: commitLogCount"),
        ]
    );
}

#[test]
fn leader_that_would_serve_no_clients_is_refused() {
    let site = site("1", &format!("{GUIDE}leaderServes=no\n"));
    assert_eq!(
        problems(&site),
        "zoo.cfg:10: leaderServes: a leader here serves clients as well as any other server; \
         remove the line"
    );
}

#[test]
fn role_of_the_line_wins_over_peer_type() {
    for (id, line, said_role, role) in
        [("1", 6, "observer", "participant"), ("4", 9, "participant", "observer")]
    {
        let site = site(id, &format!("{GUIDE}peerType={said_role}\n"));
        let (problems, warnings) = said(&site, &[]);
        assert_eq!(problems, [""; 0]);
        let text = format!(
            "zoo.cfg:10: peerType: it says {said_role}, but the role of server.{id} by \
             zoo.cfg:{line} is {role}, and that holds, as in ZooKeeper; write the same at both"
        );
        assert_eq!(warnings, [text]);
        assert_eq!(ensemble(&site).role.word(), role);
    }
}

#[test]
fn several_addresses_of_one_server_are_taken_where_they_are_enabled() {
    let lines = "multiAddress.enabled=true\nserver.3=a:1:2|[::3]:3:4:observer;2181";
    let ensemble = ensemble(&three(lines));
    assert_eq!(ensemble.members[2].to_string(), "a:1:2|[::3]:3:4:observer;0.0.0.0:2181");
    assert!(ensemble.settings.multi_address);
    assert_eq!(
        problems(&three(
            "multiAddress.enabled=true\nserver.3=a:1:2:participant|b:1:2:observer\n\
             server.4=c:1:2|c:1:3"
        )),
        "zoo.cfg:8: server.3: one address says participant and another observer; say the same at \
         all\n\
         zoo.cfg:9: server.4: c:1 is its quorum port and its quorum port; give each a port of its \
         own"
    );
}

#[test]
fn check_shows_the_ensemble_in_both_forms() {
    let site = site("4", &format!("{GUIDE}peerType=observer\n"));
    let run = |json| {
        let args = CheckArgs { start: site.args(&[]), json };
        let mut out = Vec::new();
        check::run(&args, (&site.env(&[]), &|_| Ok(())), Paint::Plain, &mut out)
            .expect("memory takes everything");
        site.short(&String::from_utf8(out).expect("text"))
    };
    let text = run(false);
    let (_, shown) = text.split_once("ensemble\nserver").expect("the part of the ensemble");
    let (shown, _) = shown.split_once(" It would serve port 2181").expect("it would start");
    assert_eq!(
        shown,
        " 4 of 4, observer; 3 vote; version 0; initLimit 10000 ms, syncLimit 4000 ms
    1  zoo1:2888:3888:participant
    2  zoo2:2888:3888:participant
    3  zoo3:2888:3888:participant
    4  zoo4:2888:3888:observer  (this server)
A server would start with this."
    );
    assert!(text.contains("    9  used        server.4=zoo4:2888:3888:observer\n"), "{text}");
    let json: Value = serde_json::from_str(&run(true)).expect("JSON");
    let ensemble = &json["ensemble"];
    assert_eq!((json["starts"].as_bool(), ensemble["id"].as_u64()), (Some(true), Some(4)));
    assert_eq!((&ensemble["role"], &ensemble["version"]), (&"observer".into(), &"0".into()));
    assert_eq!(ensemble["members"][3]["addresses"][0]["electionPort"], 3888);
    assert_eq!(ensemble["members"][3]["client"], Value::Null);
    assert_eq!(ensemble["members"][0]["origin"], "zoo.cfg:6");
    assert_eq!(ensemble["settings"]["initLimit"], "10000 ms");
    assert_eq!(ensemble["settings"]["cnxTimeout"], "5000 ms");
}

#[test]
fn server_on_its_own_has_no_ensemble() {
    let site = Site::new("dataDir=@\nclientPort=2181\nserver.1=a:1:2\n");
    let explanation = explain(&site.args(&[]), &site.env(&[]));
    assert!(explanation.ensemble.is_none());
    assert!(explanation.settings.expect("it starts").ensemble.is_none());
}

/// Every list of pieces of lines is read and explained; none of them panics.
#[test]
fn hostile_lists_are_explained() {
    let pieces = [
        "server.",
        "1",
        "2",
        "255",
        "99999999999999999999",
        "-1",
        "=",
        ":",
        ";",
        "|",
        "[",
        "]",
        "::1",
        "zoo1",
        "0.0.0.0",
        "2888",
        "3888",
        "65536",
        "observer",
        "participant",
        "\n",
        "\nserver.1=a:1:2",
        "\nserver.2=b:1:2",
        "\nserver.3=",
        "\u{2028}",
        "é",
        "\\u12",
        "\0",
        "\npeerType=observer",
        "\ngroup.1=1",
        "\nmultiAddress.enabled=true",
        "%eth0",
        "*",
        "\ninitLimit=2147483647",
        "\ntickTime=86400000",
        "\nclientPort=",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).expect("it fits")
    };
    let site = site("1", "");
    let mut ensembles = 0;
    for _ in 0..3000 {
        let count = next(30);
        let list: String = (0..count).map(|_| pieces[next(pieces.len())]).collect();
        let valid = "dataDir=@\nclientPort=2181\nserver.1=q:1:2\nserver.2=r:1:2\n";
        let head = if next(2) == 0 { "dataDir=@\nclientPort=2181\n" } else { valid };
        site.write("zoo.cfg", &format!("{head}{list}"));
        let explanation = explain(&site.args(&[]), &site.env(&[]));
        ensembles += usize::from(explanation.ensemble.is_some());
        if let Some(ensemble) = &explanation.ensemble {
            assert!(ensemble.members.len() > 1 && ensemble.own().id.0 == 1);
            assert!(explanation.settings.is_ok());
        }
    }
    assert!(ensembles > 100, "only {ensembles} lists were ensembles");
}
