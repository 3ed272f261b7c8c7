//! Lists of servers that cannot work: in which words they are refused.

use ringkeeper_server::config::explain;

use super::Site;
use super::ensemble::{GUIDE, problems, said, site, three};

#[test]
fn server_without_a_line_of_its_own_is_refused() {
    assert_eq!(
        problems(&site("9", GUIDE)),
        "myid: this server has the number 9, and the servers listed are 1, 2, 3 and 4; add the \
         line server.9=, or correct the number"
    );
    assert_eq!(
        problems(&site("300", GUIDE)),
        "myid: 300 cannot be the number of a server; use one from 1 to 255"
    );
    assert_eq!(
        problems(&site("four", GUIDE)),
        "myid: \"four\" is not the number of a server; write a number such as 1"
    );
    assert_eq!(
        problems(&Site::new(GUIDE)),
        "myid: it is missing, and a server of an ensemble needs it; write the number of this \
         server into it, such as 1"
    );
}

#[test]
fn number_beyond_its_range_is_refused() {
    assert_eq!(problems(&three("server.255=zoo3:2888:3888")), "");
    for (number, said) in [
        ("0", "0 cannot be the number of a server; use one from 1 to 255"),
        ("256", "256 cannot be the number of a server; use one from 1 to 255"),
    ] {
        let error = problems(&three(&format!("server.{number}=zoo3:2888:3888")));
        assert_eq!(error, format!("zoo.cfg:7: server.{number}: {said}"));
    }
    assert_eq!(
        problems(&three("server.255=zoo3:2888:3888\nextendedTypesEnabled=true")),
        "zoo.cfg:7: server.255: 255 cannot be the number of a server while \
         extendedTypesEnabled=true; use one from 1 to 254"
    );
}

#[test]
fn number_that_two_lines_have_is_refused() {
    for (lines, error) in [
        ("server.01=zoo3:2888:3888", "zoo.cfg:7: server.01: zoo.cfg:5"),
        ("server.2=zoo3:2888:3888", "zoo.cfg:6: server.2: zoo.cfg:7"),
        ("zookeeper.server.2=zoo3:2888:3888", "zoo.cfg:7: zookeeper.server.2: zoo.cfg:6"),
    ] {
        let (problems, warnings) = said(&three(lines), &[]);
        let text = format!("{error} has the same number; give each server a number of its own");
        assert_eq!(problems, [text]);
        let about_lines = |text: &&String| text.contains("sets it");
        assert_eq!(warnings.iter().find(about_lines), None, "it is said once");
    }
}

#[test]
fn port_that_two_servers_have_is_refused() {
    for (line, said) in [
        (
            "ZOO1.:2888:3889",
            "its quorum port zoo1:2888 is the quorum port of server.1 at zoo.cfg:5",
        ),
        (
            "zoo1:2889:3888",
            "its election port zoo1:3888 is the election port of server.1 at zoo.cfg:5",
        ),
        (
            "zoo2:3888:4888",
            "its quorum port zoo2:3888 is the election port of server.2 at zoo.cfg:6",
        ),
        (
            "zoo3:1:2;zoo2:2888",
            "its client port zoo2:2888 is the quorum port of server.2 at zoo.cfg:6",
        ),
    ] {
        assert_eq!(
            problems(&three(&format!("server.3={line}"))),
            format!("zoo.cfg:7: server.3: {said} too; give each a port of its own")
        );
    }
    for line in ["zoo3:1:2;1", "zoo3:1:2;zoo3:1"] {
        assert_eq!(
            problems(&three(&format!("server.3={line}"))),
            "zoo.cfg:7: server.3: zoo3:1 is its quorum port and its client port; give each a port \
             of its own"
        );
    }
    for fine in ["zoo3:2888:3888", "zoo3:1:2;127.0.0.1:2888", "[::1]:2888:3888;2181"] {
        assert_eq!(problems(&three(&format!("server.3={fine}"))), "");
    }
}

#[test]
fn one_address_in_two_forms_is_the_same() {
    assert_eq!(
        problems(&three(
            "server.3=10.0.0.3:1:2\nserver.4=[::ffff:10.0.0.3]:3:1\nserver.5=[0::2]:1:2\n\
             server.6=[::2]:1:3"
        )),
        "zoo.cfg:8: server.4: its election port 10.0.0.3:1 is the quorum port of server.3 at \
         zoo.cfg:7 too; give each a port of its own\n\
         zoo.cfg:10: server.6: its quorum port [::2]:1 is the quorum port of server.5 at zoo.cfg:9 \
         too; give each a port of its own"
    );
}

#[test]
fn address_that_cannot_be_dialled_is_refused() {
    for (line, said) in [
        (
            "zoo3:2888",
            "\"zoo3:2888\" has not both ports between servers; the form is \
          server.1=host:2888:3888 and, if wanted, ;2181",
        ),
        (
            "zoo3",
            "\"zoo3\" is not an address with a port; the form is server.1=host:2888:3888 \
          and, if wanted, ;2181",
        ),
        ("zoo3:2888:2888", "both ports between servers are 2888; they must differ"),
        (
            ":2888:3888",
            "\"\" is neither a host name nor an IP address; write it as \
          zoo3:2888:3888",
        ),
        (
            "zoo 3:2888:3888",
            "\"zoo 3\" is neither a host name nor an IP address; write it as \
          zoo3:2888:3888",
        ),
        ("zoo3:0:3888", "port 0 cannot be dialled; write both ports as in zoo3:2888:3888"),
        (
            "0.0.0.0:2888:3888",
            "0.0.0.0 is no address that another server can be reached at; \
          write its host name",
        ),
        (
            "[::]:2888:3888",
            ":: is no address that another server can be reached at; write its \
          host name",
        ),
        ("zoo3:2888:3888;0", "its client port is 0, which is no port; write ;2181"),
        (
            "a:1:2|b:1:2",
            "several addresses need multiAddress.enabled=true; write that, or keep \
          one address",
        ),
        (
            "zoo3:1:2:boss",
            "\"boss\" is neither participant nor observer; the form is \
          server.1=host:2888:3888 and, if wanted, ;2181",
        ),
    ] {
        let error = problems(&three(&format!("server.3={line}")));
        assert_eq!(error, format!("zoo.cfg:7: server.3: {said}"));
    }
    let own = "dataDir=@\nclientPort=2181\nserver.1=0.0.0.0:2888:3888\nserver.2=zoo2:2888:3888\n";
    assert_eq!(problems(&site("1", own)), "");
}

#[test]
fn list_without_enough_voters_is_refused_or_remarked_on() {
    let list = |lines: &str| {
        site("1", &format!("dataDir=@\nclientPort=2181\ninitLimit=5\nsyncLimit=2\n{lines}"))
    };
    assert_eq!(
        problems(&list("server.1=a:1:2:observer\nserver.2=b:1:2:observer")),
        "zoo.cfg:5: server.*: all servers listed are observers, so that none could lead them; \
         list the servers that vote too"
    );
    let one = "server.1=a:1:2\nserver.2=b:1:2:observer\n";
    assert_eq!(
        problems(&list(one)),
        "zoo.cfg:5: server.1: it alone votes, and observers then need standaloneEnabled=false; \
         write that, or list the other servers that vote"
    );
    for (lines, warning) in [
        (format!("{one}standaloneEnabled=false"), "one server votes, and none may fail"),
        (
            "server.1=a:1:2\nserver.2=b:1:2".to_owned(),
            "2 servers vote, so that neither may fail; list a third one",
        ),
        (
            "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2".to_owned(),
            "4 servers vote, and no more of them may fail than of 3; an odd number is better",
        ),
    ] {
        let (problems, warnings) = said(&list(&lines), &[]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(warnings, [format!("zoo.cfg:5: server.*: {warning}")]);
    }
}

#[test]
fn clients_at_two_addresses_are_refused() {
    let own = |lines: &str, line: &str| {
        site(
            "1",
            &format!(
                "dataDir=@\ninitLimit=5\nsyncLimit=2\n{lines}\nserver.1=zoo1:2888:3888{line}\n\
                 server.2=zoo2:2888:3888\nserver.3=zoo3:2888:3888\n"
            ),
        )
    };
    assert_eq!(
        problems(&own("clientPort=2181", ";2182")),
        "zoo.cfg:5: server.1: its client port is 2182, but zoo.cfg:4 says clientPort=2181; make \
         them the same"
    );
    for line in [";2181", ";10.0.0.2:2181"] {
        let error = problems(&own("clientPortAddress=10.0.0.1", line));
        let (_, said) = error.split_once(", but ").expect("a contradiction");
        assert_eq!(said, "zoo.cfg:4 says clientPortAddress=10.0.0.1; make them the same");
    }
    for line in [";10.0.0.1:2181", ";zoo1:2181"] {
        assert_eq!(problems(&own("clientPortAddress=10.0.0.1", line)), "");
    }
    assert_eq!(problems(&own("clientPortAddress=0.0.0.0", ";10.0.0.1:2181")), "");
    assert_eq!(
        problems(&own("clientPort=3888", "")),
        "zoo.cfg:4: clientPort: 3888 is the election port of server.1 at zoo.cfg:5 too; give each \
         a port of its own"
    );
    assert_eq!(problems(&own("", "")), "zoo.cfg: clientPort: it is not set; write clientPort=2181");
}

#[test]
fn limits_that_leave_no_time_or_too_much_are_refused() {
    let list = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let limits = |lines: &str| {
        site("1", &format!("tickTime=2000\ndataDir=@\nclientPort=2181\n{list}{lines}\n"))
    };
    assert_eq!(
        problems(&limits("initLimit=0\nsyncLimit=2000000\nconnectToLearnerMasterLimit=2000000")),
        "zoo.cfg:7: initLimit: 0 ticks are no time at all; write initLimit=10\n\
         zoo.cfg:8: syncLimit: 2000000 ticks of 2000 ms are more than 24 days; write \
         syncLimit=1073741\n\
         zoo.cfg:9: connectToLearnerMasterLimit: 2000000 ticks of 2000 ms are more than 24 days; \
         write connectToLearnerMasterLimit=1073741"
    );
    let (problems, warnings) = said(&limits(""), &[]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(
        warnings,
        [
            "zoo.cfg: initLimit: it is not set, and counts as 10; ZooKeeper does not start \
             without it",
            "zoo.cfg: syncLimit: it is not set, and counts as 5; ZooKeeper does not start without \
             it",
        ]
    );
}

#[test]
fn security_and_quorums_that_do_not_exist_here_are_refused() {
    let groups = "every vote counts the same in this release; remove the groups and weights, or \
                  stay with ZooKeeper";
    let tls = "servers have no TLS between each other in this release; keep them in a network of \
               their own without it, or stay with ZooKeeper until they do";
    let sasl = "servers do not authenticate to each other in this release; remove it, or stay \
                with ZooKeeper until they do";
    for (line, said) in [
        ("group.1=1:2:3", groups),
        ("weight.1=2", groups),
        ("sslQuorum=true", tls),
        ("portUnification=true", tls),
        ("ssl.quorum.keyStore.location=/k.jks", tls),
        ("quorum.auth.enableSasl=true", sasl),
        ("quorum.auth.learnerRequireSasl=true", sasl),
        ("quorum.auth.serverRequireSasl=true", sasl),
        ("observerMasterPort=2191", "followers feed no observers in this release; remove it"),
        (
            "oraclePath=/oracle",
            "a majority decides here, and no oracle; remove it and list three servers that vote",
        ),
    ] {
        let site = site("1", &format!("{GUIDE}{line}\n"));
        let (key, _) = line.split_once('=').expect("a line");
        let explanation = explain(&site.args(&[]), &site.env(&[]));
        let error = explanation.settings.expect_err("it is refused").to_string();
        assert!(explanation.ensemble.is_none(), "{line}");
        let text = format!("zoo.cfg:10: {key}: {said}");
        assert_eq!(site.short(&error), text);
    }
}

#[test]
fn files_of_settings_and_of_servers_are_kept_apart() {
    let site = site(
        "1",
        "dataDir=@\nclientPort=2181\ninitLimit=5\nsyncLimit=2\nserver.3=zoo3:2888:3888\n\
         dynamicConfigFile=@/servers\n",
    );
    site.write("servers", "server.1=a:1:2\nserver.2=b:1:2\nserver.4=d:1:2\nversion=5\n");
    assert_eq!(
        problems(&site),
        "zoo.cfg:5: server.3: the servers are listed in servers, and only there; move this line \
         there\n\
         servers:4: version: this file only lists servers; move the line to zoo.cfg"
    );
}

#[test]
fn list_that_a_property_names_is_opened_and_is_the_only_one() {
    let site = site("1", "dataDir=@\nclientPort=2181\ninitLimit=5\nsyncLimit=2\n");
    let list = site.path("servers").display().to_string();
    let said = |definition: &str| {
        let explanation = explain(&site.args(&[definition]), &site.env(&[]));
        site.short(&explanation.settings.expect_err("it is refused").to_string())
    };
    let definition = format!("dynamicConfigFile={list}");
    let text = said(&definition);
    assert!(text.starts_with("servers: it cannot be read: No such file"), "{text}");
    let text = said("dynamicConfigFile=");
    assert!(text.contains("dynamicConfigFile"), "{text}");
    site.write("servers", "server.1=a:1:2\nserver.2=b:1:2\nversion=5\n");
    let zoo_cfg = "dataDir=@\nclientPort=2181\ninitLimit=5\nsyncLimit=2\nserver.3=c:1:2\n";
    site.write("zoo.cfg", zoo_cfg);
    let text = said(&definition);
    let apart = "zoo.cfg:5: server.3: the servers are listed in servers, and only there; move this \
                 line there\n\
                 servers:3: version: this file only lists servers; move the line to zoo.cfg";
    assert_eq!(text, apart);
}
