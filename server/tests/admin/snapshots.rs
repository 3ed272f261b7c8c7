//! Snapshots over HTTP: who gets one, and what it is good for.

use std::path::Path;

use ringkeeper_engine::acl::DigestAlg;
use ringkeeper_engine::wire::{Acl, Id};
use tempfile::tempdir;

use crate::host::{Host, errors, finish};
use crate::program::ringkeeper;
use crate::web::{get, request};

const SNAPSHOT: &str = "/commands/snapshot";
fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

const OFTEN: &str = "admin.rateLimiterIntervalInMS=0";

#[test]
fn a_snapshot_is_a_backup() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[OFTEN]);
    let auth = [("Authorization", "digest any:body")];
    // Nothing has happened yet, which is a state as well.
    assert_eq!(request(host.http[0], "GET", SNAPSHOT, &auth).status, 200);
    let mut client = host.connect();
    client.create("/kept", b"safe").unwrap();
    let answer = request(host.http[0], "GET", SNAPSHOT, &auth);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("snapshot_size"), Some(&*answer.body.len().to_string()));
    let zxid = answer.header("last_zxid").unwrap().strip_prefix("0x").unwrap().to_owned();
    client.create("/later", b"").unwrap();
    host.kill();
    // The server itself goes on from what it has.
    let host = Host::start(home.path(), &[OFTEN]);
    assert!(host.connect().exists("/later").unwrap().is_some());

    let file = home.path().join("backup");
    std::fs::write(&file, answer.body).unwrap();
    let other = home.path().join("restored");
    let restore = || finish(ringkeeper(&["snapshot", "restore", text(&file), text(&other)]));
    let output = restore();
    assert!(output.status.success(), "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("0x{zxid} now")));
    // Nothing is overwritten.
    assert!(errors(&restore()).contains("is not empty"));
    let host = Host::start(&other, &[]);
    let mut client = host.connect();
    assert_eq!(client.get("/kept").unwrap().0.as_deref(), Some(&b"safe"[..]));
    assert!(client.exists("/later").unwrap().is_none());
    client.create("/goes/on", b"").unwrap_err();
    client.create("/goes", b"").unwrap();
}

#[test]
fn snapshot_without_all_permissions_on_the_root_is_refused() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[OFTEN]);
    let id = DigestAlg::Sha1.identity("boss:secret");
    let boss = Id { scheme: "digest".into(), id };
    let everybody = Id { scheme: "world".into(), id: "anyone".into() };
    let list = [Acl { perms: 31, id: boss }, Acl { perms: 15, id: everybody }];
    host.connect().set_acl("/", &list, -1).unwrap();
    let ask = |auth: &str| {
        let headers = [("Authorization", auth)];
        let answer = request(host.http[0], "GET", &format!("{SNAPSHOT}?streaming=false"), &headers);
        (answer.status, answer.json()["error"].to_string())
    };
    assert_eq!(ask("digest boss:secret"), (200, "null".to_owned()));
    assert_eq!(ask("digest boss:wrong"), (403, "\"Not authorized\"".to_owned()));
    assert_eq!(ask("ip"), (403, "\"Not authorized\"".to_owned()));
    for unknown in ["digest", "x509", "sasl x", "ensemble x", "digest boss secret", ""] {
        assert_eq!(ask(unknown), (401, "\"Not authenticated\"".to_owned()), "{unknown}");
    }
    assert_eq!(get(host.http[0], SNAPSHOT).status, 401);
}

#[test]
fn forwarded_address_counts_only_where_it_is_configured() {
    for (believed, status) in [("false", 403), ("true", 200)] {
        let home = tempdir().unwrap();
        let setting = format!("IPAuthenticationProvider.usexforwardedfor={believed}");
        let host = Host::start(home.path(), &[OFTEN, &setting]);
        let other = Id { scheme: "ip".into(), id: "10.1.2.3".into() };
        host.connect().set_acl("/", &[Acl { perms: 31, id: other }], -1).unwrap();
        let headers = [("Authorization", "ip"), ("X-Forwarded-For", "10.1.2.3, 10.9.9.9")];
        let answer = request(host.http[0], "GET", SNAPSHOT, &headers);
        assert_eq!(answer.status, status, "{believed}");
    }
}

#[test]
fn snapshot_requests_above_the_rate_or_when_disabled_are_refused() {
    let home = tempdir().unwrap();
    let auth = [("Authorization", "digest any:body")];
    let host = Host::start(home.path(), &[]);
    let ask = |host: &Host| request(host.http[0], "GET", SNAPSHOT, &auth).status;
    assert_eq!((ask(&host), ask(&host)), (200, 429));
    let numbers = get(host.http[0], "/commands/monitor").json();
    assert_eq!(numbers["snapshot_rate_limited_count"], 1);
    host.kill();
    let host = Host::start(home.path(), &["admin.snapshot.enabled=false"]);
    assert_eq!(ask(&host), 503);
}

#[test]
fn a_running_server_is_not_restored() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    let restore = "/commands/restore";
    assert_eq!(request(host.http[0], "POST", restore, &[]).status, 401);
    let auth = [("Authorization", "digest any:body")];
    assert_eq!(request(host.http[0], "GET", restore, &auth).status, 405);
    let answer = request(host.http[0], "POST", restore, &auth);
    assert_eq!(answer.status, 501);
    assert!(answer.json()["error"].as_str().unwrap().contains("ringkeeper snapshot restore"));
}
