//! SASL as clients and operators of the binary see it.

use std::io::Read;
use std::process::Stdio;

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Create, CreateMode, Request};
use ringkeeper_engine::wire::Id;
use tempfile::tempdir;

use crate::host::{Host, errors, finish, start};
use crate::program::ringkeeper;
use crate::sasl_client::{PROVIDER, jaas_file, log_in, only};

const MARKER: &str = "marker-91c4";

fn provider() -> String {
    format!("{}={}", PROVIDER.0, PROVIDER.1)
}

fn login_config(path: &str) -> String {
    format!("java.security.auth.login.config={path}")
}

fn create(client: &mut Client, path: &str, scheme: &str, id: &str) -> Result<(), Option<Code>> {
    let (acl, mode) = (&[only(scheme, id)], CreateMode::Persistent);
    let create = Request::Create(Create { path, data: None, acl, mode });
    client.done(&create).map(drop).map_err(|error| error.code())
}

fn has(client: &mut Client, scheme: &str, id: &str) -> bool {
    let expected = Id { scheme: scheme.into(), id: id.into() };
    client.who_am_i().unwrap().contains(&expected)
}

#[test]
fn lists_with_sasl_users_hold_for_their_users_and_for_the_superuser() {
    let home = tempdir().unwrap();
    let path = jaas_file(home.path(), "user_bob=\"builder\" user_eve=\"e\" user_root=\"r\"");
    let definitions = [&login_config(&path), &provider(), "superUser=root"];
    let host = Host::start(&home.path().join("data"), &definitions);
    let mut bob = host.connect();
    assert_eq!(create(&mut bob, "/early", "auth", ""), Err(Some(Code::InvalidAcl)));
    log_in(&mut bob, "bob", "builder").unwrap();
    assert!(has(&mut bob, "sasl", "bob"));
    create(&mut bob, "/own", "auth", "").unwrap();
    create(&mut bob, "/eves", "sasl", "eve").unwrap();
    assert_eq!(bob.acl("/own").unwrap().0, [only("sasl", "bob")]);
    assert!(bob.get("/own").is_ok());
    assert_eq!(bob.get("/eves").unwrap_err().code(), Some(Code::NoAuth));
    let mut nobody = host.connect();
    assert_eq!(nobody.get("/own").unwrap_err().code(), Some(Code::NoAuth));
    let mut root = host.connect();
    log_in(&mut root, "root", "r").unwrap();
    assert!(has(&mut root, "super", "") && root.get("/own").is_ok() && root.get("/eves").is_ok());
    for (user, password) in [("bob", "wrong"), ("nobody", "builder"), ("bob", "")] {
        let mut client = host.connect();
        let refused = log_in(&mut client, user, password).unwrap_err();
        assert_eq!(refused.code(), Some(Code::AuthFailed));
        assert!(client.get("/").is_err(), "the connection is closed");
    }
}

#[test]
fn any_user_has_what_the_named_one_has_and_required_sasl_keeps_others_out() {
    let home = tempdir().unwrap();
    let path = jaas_file(home.path(), "user_bob=\"builder\" user_eve=\"e\"");
    let definitions = [
        &login_config(&path),
        &provider(),
        "letAnySaslUserDoX=readers",
        "sessionRequireClientSASLAuth=true",
        "allowSaslFailedClients=true",
    ];
    let host = Host::start(&home.path().join("data"), &definitions);
    let mut bob = host.connect();
    log_in(&mut bob, "bob", "builder").unwrap();
    create(&mut bob, "/shared", "sasl", "readers").unwrap();
    let mut eve = host.connect();
    log_in(&mut eve, "eve", "e").unwrap();
    assert!(eve.get("/shared").is_ok());
    let required = Some(Code::SessionClosedRequireSaslAuth);
    let mut stranger = host.connect();
    assert_eq!(stranger.get("/").unwrap_err().code(), required);
    let mut failed = host.connect();
    assert_eq!(log_in(&mut failed, "eve", "wrong").unwrap_err().code(), required);
}

#[test]
fn empty_file_starts_without_sasl_and_kerberos_does_not_start() {
    let home = tempdir().unwrap();
    let path = jaas_file(home.path(), "");
    std::fs::write(&path, "").unwrap();
    let host = Host::start(&home.path().join("data"), &[&login_config(&path), &provider()]);
    let mut client = host.connect();
    for token in [b"".as_slice(), b"token"] {
        let answer = client.done(&Request::Sasl { token: Some(token) }).unwrap();
        assert_eq!(answer.body().token().unwrap(), None);
    }
    assert!(client.exists("/").unwrap().is_some());
    std::fs::write(&path, "Server { a.Krb5LoginModule required; };").unwrap();
    let said = errors(&finish(start(&home.path().join("other"), &[&login_config(&path)])));
    assert!(said.contains("jaas.conf:1: GSSAPI (Kerberos) is not built in"), "{said}");
}

/// The password is used, rightly and wrongly, and looked for in all that the server says.
#[test]
fn no_password_is_in_the_log_in_conf_in_check_or_in_the_configuration_over_http() {
    let home = tempdir().unwrap();
    let path = jaas_file(home.path(), &format!("user_super=\"x\" user_bob=\"{MARKER}\""));
    let super_password = format!("SASLAuthenticationProvider.superPassword={MARKER}-super");
    let definitions = [
        &login_config(&path),
        &provider(),
        &super_password,
        "4lw.commands.whitelist=*",
        "ringkeeper.log.level=trace",
    ];
    let mut command = start(&home.path().join("data"), &definitions);
    let log = home.path().join("log");
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let host = Host::run(command);
    let mut bob = host.connect();
    log_in(&mut bob, "bob", MARKER).unwrap();
    let mut root = host.connect();
    log_in(&mut root, "super", &format!("{MARKER}-super")).unwrap();
    let mut wrong = host.connect();
    log_in(&mut wrong, "bob", &format!("{MARKER}-wrong")).unwrap_err();
    let conf = ringkeeper_engine::client::four_letter_word(host.address, "conf").unwrap();
    let mut page = String::new();
    let mut http = std::net::TcpStream::connect(host.http[0]).unwrap();
    let request =
        b"GET /commands/configuration HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut http, request).unwrap();
    http.read_to_string(&mut page).unwrap();
    host.terminate();
    let text = std::fs::read_to_string(&log).unwrap();
    let mut check = ringkeeper(&["check", "--json", "2181", "/tmp"]);
    check.args([&login_config(&path), &super_password].map(|text| format!("-D{text}")));
    let check = String::from_utf8(finish(check).stdout).unwrap();
    assert!(text.contains("auth_failed") && conf.contains("clientPort"), "{text}{conf}");
    assert!(page.contains("200 OK") && check.contains("superPassword"), "{page}{check}");
    for said in [&text, &conf, &page, &check] {
        assert!(!said.contains(MARKER), "{said}");
    }
}
