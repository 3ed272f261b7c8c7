//! What a start makes of JAAS files and of the settings around them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::super::{Env, Explanation, Settings, explain};
use crate::cli::StartArgs;

const PROVIDER: &str = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
const MARKER: &str = "marker-5e1f";

/// A JAAS file of this text that only its owner may read, in a directory of its own.
fn file(text: &str) -> (TempDir, String) {
    let home = TempDir::new().expect("a directory");
    let path = home.path().join("jaas.conf");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
    let path = path.display().to_string();
    (home, path)
}

fn server(options: &str) -> String {
    format!(
        "Server {{\n org.apache.zookeeper.server.auth.DigestLoginModule required\n{options};\n}};"
    )
}

fn explained(path: &str, definitions: &[&str]) -> Explanation {
    let file = format!("java.security.auth.login.config={path}");
    let all = definitions.iter().map(|text| (*text).to_owned()).chain([file]).collect();
    explain(&StartArgs { definitions: all, ..StartArgs::default() }, &Env::default())
}

fn started(path: &str, definitions: &[&str]) -> (Settings, String) {
    let Explanation { settings, warnings, .. } = explained(path, definitions);
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    (settings.unwrap_or_else(|error| panic!("{error}")), warnings.join("\n"))
}

fn refused(path: &str, definitions: &[&str]) -> String {
    explained(path, definitions).settings.expect_err("it is refused").to_string()
}

fn users(settings: &Settings) -> String {
    format!("{:?}", settings.sasl.credentials)
}

#[test]
fn users_of_all_entries_of_the_section_are_taken() {
    let text = server("user_bob=\"a\" user_eve=\"b\";\n x.DigestLoginModule optional user_al=c");
    let (_home, path) = file(&text);
    for spelling in
        [path.clone(), format!("={path}"), format!("file:{path}"), format!("file://{path}")]
    {
        let (settings, warnings) = started(&spelling, &[PROVIDER]);
        assert_eq!(users(&settings), "Some([\"al\", \"bob\", \"eve\"])");
        assert!(settings.sasl.offered && warnings.is_empty(), "{warnings}");
    }
    let (settings, _) = started(&path, &["superUser=bob", "zookeeper.superUser.2=al"]);
    assert_eq!(settings.sasl.super_users, ["bob", "al"]);
    assert!(!settings.sasl.offered);
}

#[test]
fn file_without_the_section_starts_without_sasl() {
    for text in ["", "Client { a.B required; };", "Server { };", "// nothing"] {
        let (_home, path) = file(text);
        let (settings, warnings) = started(&path, &[PROVIDER]);
        assert_eq!(settings.sasl.credentials, None);
        assert!(warnings.contains("jaas.conf: it has no section Server"), "{warnings}");
    }
    let (_home, path) = file(&server("user_bob=\"a\"").replace("Server", "Other"));
    let (settings, _) = started(&path, &["zookeeper.sasl.serverconfig=Other"]);
    assert_eq!(users(&settings), "Some([\"bob\"])");
}

#[test]
fn bad_file_refuses_the_start_with_its_name_and_line() {
    let (home, path) = file(&server("user_bob=\"a\"\n user_eve \"b\""));
    assert_eq!(
        refused(&path, &[]),
        format!("{path}:4: = is missing between the key and the value of an option")
    );
    let krb5 =
        "Server {\n com.sun.security.auth.module.Krb5LoginModule required\n keyTab=\"k\";\n};";
    fs::write(&path, krb5).expect("a file");
    let said = refused(&path, &[]);
    assert!(said.starts_with(&format!("{path}:2: GSSAPI (Kerberos) is not built in")), "{said}");
    fs::write(&path, "Server { a.Other required; };").expect("a file");
    assert!(refused(&path, &[]).contains(":1: the login module a.Other is a Java class"));
    fs::write(&path, server("\"user_bob@R\"=\"a\"")).expect("a file");
    assert!(refused(&path, &[]).contains(":2: a user whose name has an @"));
    fs::write(&path, server("user_bob=\"${secret}\"")).expect("a file");
    assert!(refused(&path, &[]).contains("is not expanded"));
    fs::write(&path, " ".repeat((1 << 20) + 1)).expect("a file");
    assert!(refused(&path, &[]).contains("more than 1 MiB"));
    fs::write(&path, b"Server \xff").expect("a file");
    assert!(refused(&path, &[]).contains("not UTF-8"));
    let missing = home.path().join("missing").display().to_string();
    assert!(refused(&missing, &[]).contains("cannot be read"));
    assert!(refused(&home.path().display().to_string(), &[]).contains("no regular file"));
}

#[test]
fn file_that_others_may_read_is_warned_of_and_one_that_they_may_write_is_refused() {
    let (_home, path) = file(&server("user_bob=\"a\""));
    let mode = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    mode(0o644);
    assert!(started(&path, &[]).1.contains("everybody may read this file of passwords"));
    mode(0o666);
    assert!(refused(&path, &[]).contains("everybody may write this file of passwords"));
}

#[test]
fn sasl_that_is_required_but_cannot_succeed_refuses_the_start() {
    let (_home, path) = file(&server("user_bob=\"a\""));
    let required = "sessionRequireClientSASLAuth=true";
    let by_scheme = ["enforce.auth.enabled=true", "enforce.auth.schemes=sasl,digest"];
    started(&path, &[PROVIDER, required]);
    started(&path, &[&[PROVIDER], &by_scheme[..]].concat());
    assert!(refused(&path, &[required]).contains("write authProvider.1="));
    assert!(refused(&path, &by_scheme).contains("write authProvider.1="));
    let (_home, empty) = file("");
    assert!(refused(&empty, &[PROVIDER, required]).contains("no user who could authenticate"));
}

#[test]
fn password_of_the_superuser_replaces_that_of_the_file() {
    let (_home, path) = file(&server("user_super=\"a\""));
    let own = "SASLAuthenticationProvider.superPassword=other";
    let (with, without) = (started(&path, &[own]).0, started(&path, &[]).0);
    assert_ne!(with.sasl.credentials, without.sasl.credentials);
    let (_home, path) = file(&server("user_bob=\"a\""));
    assert!(started(&path, &[own]).1.contains("it has no effect"));
}

#[test]
fn no_password_is_shown_by_any_form_of_an_explanation() {
    let super_password = format!("SASLAuthenticationProvider.superPassword={MARKER}");
    let good = server(&format!("user_super=\"{MARKER}\" user_bob={MARKER}"));
    let forms = [
        good.clone(),
        good.replace("\"marker", "marker\""),
        good.replace("user_bob=", "user_bob "),
        good.replace("};", ""),
        good.replace("DigestLogin", "Krb5Login"),
        good.replace(MARKER, &format!("{MARKER} {MARKER}")),
    ];
    for text in forms {
        let (_home, path) = file(&text);
        let explanation = explained(&path, &[&super_password]);
        // What was said itself is shown by `Finding::shown`, which hides it.
        let shown: Vec<&str> = explanation.findings.iter().map(|finding| finding.shown()).collect();
        let Explanation { warnings, settings, .. } = &explanation;
        let all = format!("{shown:?} {warnings:?} {settings:?}");
        assert!(all.contains("jaas.conf") && !all.contains(MARKER), "{all}");
    }
}
