//! Tests find the same on every host: no variables, files and ports of its other programs.

use crate::Finding;
use crate::files::Source;

/// Where the binary is started, without what the host has.
const PROGRAM: &str = "server/tests/program/mod.rs";

/// What a test must not do, and what to do instead.
const HOSTLY: &[(&str, &str)] = &[
    ("set_current_dir(", "give a process a directory with `Command::current_dir`"),
    ("env::current_dir(", "use a temporary directory, or `env!(\"CARGO_MANIFEST_DIR\")`"),
    ("env::vars", "take the variables as an argument"),
    ("env::set_var(", "give a process its variables with `Command::env`"),
    ("of_process(", "use `Env::from_pairs`"),
];

/// Calls whose literal argument is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Variable,
    Address,
    File,
    Process,
}

const CALLS: &[(&str, Call)] = &[
    ("env::var(", Call::Variable),
    ("env::var_os(", Call::Variable),
    ("bind(", Call::Address),
    ("connect(", Call::Address),
    ("open(", Call::File),
    ("create(", Call::File),
    ("read(", Call::File),
    ("read_to_string(", Call::File),
    ("read_dir(", Call::File),
    ("write(", Call::File),
    ("create_dir(", Call::File),
    ("create_dir_all(", Call::File),
    ("remove_file(", Call::File),
    ("Command::new(", Call::Process),
];

/// Variables that are switches of the tests themselves.
const SWITCHES: &[&str] = &["UPDATE", "PATH"];
/// Folders at the root of a host; any other path is one of a node in the tree.
const FOLDERS: &[&str] = &[
    "bin", "boot", "data", "dev", "etc", "home", "lib", "mnt", "opt", "proc", "root", "run", "srv",
    "sys", "tmp", "usr", "var",
];
/// What every Linux has in the same place.
const FILES: &[&str] = &["/proc/", "/dev/null", "/dev/full"];
const PROCESSES: &[&str] = &["/bin/sh", "sh", "true", "unshare"];

/// Files that try what the rule is about, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("server/src/config/env.rs", "it proves that the process sees everything"),
    ("server/tests/tidy/hosts.rs", "it holds the rule"),
];

pub(crate) fn of_the_host(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let all_tests = source.path.contains("/tests/");
    let exempt = EXEMPT.iter().any(|(path, _)| *path == source.path);
    for ((number, code), text) in source.lines().zip(source.text.lines()) {
        if exempt {
            break;
        }
        if text.contains("CARGO_BIN_EXE") && code.contains("env!(") && source.path != PROGRAM {
            let what = format!("the binary is started by `ringkeeper` of {PROGRAM} only: use it");
            findings.push(Finding::new(&source.path, number, what));
        }
        if !all_tests && number < source.tests_from {
            continue;
        }
        for (mark, instead) in HOSTLY.iter().filter(|(mark, _)| code.contains(mark)) {
            let what = format!("`{mark}` in a test depends on the host: {instead}");
            findings.push(Finding::new(&source.path, number, what));
        }
        let wrong = literals(code, text)
            .into_iter()
            .filter_map(|(call, literal)| Some((complaint(call, &literal)?, literal)));
        findings.extend(wrong.map(|(instead, literal)| {
            let what = format!("`{literal}` in a test depends on the host: {instead}");
            Finding::new(&source.path, number, what)
        }));
    }
    findings
}

/// The literals that stand right behind the parenthesis of a call.
fn literals(code: &str, text: &str) -> Vec<(Call, String)> {
    let mut found = Vec::new();
    for (name, call) in CALLS {
        for (at, _) in code.match_indices(name) {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let begin = at + name.len();
            if code[..at].ends_with(is_name) || !code[begin..].starts_with('"') {
                continue;
            }
            // Code and text have the same characters in a row, if not the same bytes.
            let behind = text.chars().skip(code[..=begin].chars().count());
            found.push((*call, behind.take_while(|c| *c != '"').collect()));
        }
    }
    found
}

/// What to do instead, where a literal is not for tests.
fn complaint(call: Call, literal: &str) -> Option<&'static str> {
    let port = literal.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    match call {
        Call::Variable => {
            let own = SWITCHES.contains(&literal) || literal.starts_with("RINGKEEPER_");
            (!own).then_some("take it as an argument, or call a switch RINGKEEPER_…")
        }
        Call::Address => port.filter(|port| *port != 0).map(|_| "take port 0, any free one"),
        Call::File => {
            let root = literal.strip_prefix('/').and_then(|path| path.split('/').next());
            let foreign = root.is_some_and(|root| FOLDERS.contains(&root))
                && !FILES.iter().any(|file| literal.starts_with(file));
            foreign.then_some("take a file in a temporary directory")
        }
        Call::Process => {
            (!PROCESSES.contains(&literal)).then_some("use a program that every host has")
        }
    }
}

#[test]
fn what_depends_on_the_host_is_found_in_tests_only() {
    let bad = [
        "TcpListener::bind(\"127.0.0.1:2181\")",
        "TcpStream::connect(\"[::1]:8080\")",
        "std::env::var(\"ZOO_MY_ID\")",
        "fs::read_to_string(\"/etc/zookeeper/zoo.cfg\")",
        "File::open(\"/var/lib/zookeeper/myid\")",
        "std::env::set_current_dir(x)",
        "Env::of_process()",
        "Command::new(\"java\")",
    ];
    let count = |path: &str, text: &str| of_the_host(&Source::new(path, text)).len();
    for text in bad {
        assert_eq!(count("bench/tests/a.rs", text), 1, "{text}");
        assert_eq!(count("bench/src/a.rs", text), 0, "{text}");
        let unit = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n    {text}\n}}\n");
        assert_eq!(count("bench/src/a.rs", &unit), 1, "{text}");
    }
    let binary = "Command::new(env!(\"CARGO_BIN_EXE_ringkeeper\"))";
    assert_eq!((count("server/tests/a.rs", binary), count(PROGRAM, binary)), (1, 0));
}

#[test]
fn what_every_host_has_may_be_used() {
    for text in [
        "TcpListener::bind(\"127.0.0.1:0\")",
        "// bind(\"127.0.0.1:2181\")",
        "let a = \"dataDir=/var/lib/zookeeper\";",
        "std::env::var(\"RINGKEEPER_GOLDEN_JOBS\")",
        "File::open(\"/dev/null\")",
        "client.create(\"/kept\", b\"\")",
        "command.current_dir(home)",
        "Command::new(\"/bin/sh\")",
    ] {
        assert!(of_the_host(&Source::new("bench/tests/a.rs", text)).is_empty(), "{text}");
    }
}
