//! The audit log of a real server: what ZooKeeper 3.9.5 writes for the same requests.

use std::fs::{self, File};
use std::path::Path;

use ringkeeper_engine::client::{Client, CreateMode, Request};
use tempfile::tempdir;

use crate::host::{Host, start};

fn change_things(client: &mut Client) {
    client.create("/a", b"x").unwrap();
    client.create_mode("/s-", b"", CreateMode::PersistentSequential).unwrap();
    client.create_mode("/e", b"", CreateMode::Ephemeral).unwrap();
    client.create("/a", b"x").unwrap_err();
    client.set("/a", b"y").unwrap();
    client.set_version("/a", b"y", 9).unwrap_err();
    client.call(&Request::Delete { path: "/none", version: -1 }).unwrap();
    let parts = [
        Request::SetData { path: "/a", data: None, version: -1 },
        Request::Delete { path: "/a", version: -1 },
    ];
    client.done(&Request::Multi(&parts)).unwrap();
    client.call(&Request::Multi(&parts)).unwrap();
    client.get("/e").unwrap();
}

/// The fields of every audit line, without times and with one name for the session.
fn lines(path: &Path, session: i64) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once("audit: "));
    let session = format!("session=0x{session:x}\t");
    lines.map(|(_, fields)| fields.replace(&session, "S ").replace('\t', " ")).collect()
}

fn expected(user: &str) -> Vec<String> {
    const CLIENT: &str = "S user=127.0.0.1 ip=127.0.0.1 operation=";
    let mut lines = vec![format!("user={user} operation=serverStart result=success")];
    lines.extend(
        [
            "create znode=/a znode_type=persistent result=success",
            "create znode=/s-0000000001 znode_type=persistent_sequential result=success",
            "create znode=/e znode_type=ephemeral result=success",
            "create znode=/a znode_type=persistent result=failure",
            "setData znode=/a result=success",
            "setData znode=/a result=failure",
            "delete znode=/none result=failure",
            "setData znode=/a result=success",
            "delete znode=/a result=success",
            "multiOperation result=failure",
        ]
        .map(|line| format!("{CLIENT}{line}")),
    );
    lines.push(format!(
        "S user={user} operation=ephemeralZNodeDeletionOnSessionCloseOrExpire znode=/e \
         result=success"
    ));
    lines.push(format!("user={user} operation=serverStop result=invoked"));
    lines
}

/// The user that runs this test, as the server names it.
fn user(lines: &[String]) -> String {
    let first = lines.first().expect("there are lines");
    first.strip_prefix("user=").and_then(|rest| rest.split(' ').next()).unwrap().to_owned()
}

fn audited(definitions: &[&str], errors: &Path, log: &Path) {
    let home = tempdir().unwrap();
    let mut all = vec!["audit.enable=true"];
    all.extend(definitions);
    let mut command = start(home.path(), &all);
    command.stderr(File::create(errors).unwrap());
    let host = Host::run(command);
    let mut client = host.connect();
    let session = client.session().id.0;
    change_things(&mut client);
    client.close().unwrap();
    let (status, _) = host.terminate();
    assert!(status.success());
    let lines = lines(log, session);
    assert_eq!(lines, expected(&user(&lines)));
}

#[test]
fn lines_go_to_their_file() {
    let home = tempdir().unwrap();
    let (errors, log) = (home.path().join("errors"), home.path().join("audit.log"));
    let file = format!("ringkeeper.audit.file={}", log.display());
    audited(&[&file, "ringkeeper.shards=2"], &errors, &log);
    assert!(!fs::read_to_string(errors).unwrap().contains("operation="));
}

#[test]
fn lines_are_among_the_messages_whatever_their_level() {
    let home = tempdir().unwrap();
    let errors = home.path().join("errors");
    audited(&["ringkeeper.log.level=error"], &errors, &errors);
}

#[test]
fn json_has_the_same_fields() {
    let (home, data) = (tempdir().unwrap(), tempdir().unwrap());
    let errors = home.path().join("errors");
    let mut command = start(data.path(), &["audit.enable=true", "ringkeeper.log.format=json"]);
    command.stderr(File::create(&errors).unwrap());
    let host = Host::run(command);
    host.connect().create("/a", b"").unwrap();
    host.terminate();
    let text = fs::read_to_string(errors).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let created: Vec<_> = lines.filter(|line| line["operation"] == "create").collect();
    assert_eq!(created.len(), 1, "{text}");
    assert_eq!((&created[0]["znode"], &created[0]["target"]), (&"/a".into(), &"audit".into()));
    assert_eq!(created[0]["znode_type"], "persistent");
    assert!(created[0].get("acl").is_none(), "what is not there is left out");
}

#[test]
fn a_file_that_cannot_be_written_refuses_the_start() {
    let home = tempdir().unwrap();
    let file = format!("ringkeeper.audit.file={}/none/audit.log", home.path().display());
    let output = crate::host::finish(start(home.path(), &["audit.enable=true", &file]));
    let said = crate::host::errors(&output);
    assert!(!output.status.success() && said.contains("ringkeeper.audit.file="), "{said}");
}

/// The file is a pipe, so that the writer gets no further than the test reads.
#[test]
fn a_slow_audit_log_holds_up_writes_not_reads_and_loses_no_line() {
    const WRITES: usize = 16_000;
    let home = tempdir().unwrap();
    let path = home.path().join("audit.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let pipe = File::options().read(true).write(true).open(&path).unwrap();
    let file = format!("ringkeeper.audit.file={}", path.display());
    let host = Host::start(home.path(), &["audit.enable=true", &file]);
    let (mut writer, mut reader) = (host.connect(), host.connect());
    writer.create("/a", b"").unwrap();
    let writing = std::thread::spawn(move || {
        let set = Request::SetData { path: "/a", data: None, version: -1 };
        for _ in 0..WRITES {
            writer.queue(&set);
        }
        writer.flush().unwrap();
        (0..WRITES).for_each(|_| drop(writer.receive().unwrap()));
        writer
    });
    for _ in 0..200 {
        reader.get("/a").unwrap();
    }
    assert!(!writing.is_finished(), "more lines than fit between the server and the pipe");
    let written = std::thread::spawn(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(pipe)).map(Result::unwrap);
        let lines = lines.take_while(|line| !line.contains("operation=serverStop"));
        lines.filter(|line| line.contains("operation=setData")).count()
    });
    let writer = writing.join().unwrap();
    assert_eq!(reader.get("/a").unwrap().1.version, WRITES as i32);
    writer.close().unwrap();
    reader.close().unwrap();
    assert!(host.terminate().0.success());
    assert_eq!(written.join().unwrap(), WRITES);
}

/// Without the setting there is no log, and no thread for one.
#[test]
fn nothing_is_written_by_default() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    host.connect().create("/a", b"").unwrap();
    let threads = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap();
    let names = threads.map(|entry| fs::read_to_string(entry.unwrap().path().join("comm")));
    assert!(names.map(Result::unwrap).all(|name| name.trim() != "audit"));
}
