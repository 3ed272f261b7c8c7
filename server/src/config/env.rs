//! The environment: the variables of ZooKeeper's official container image and of its scripts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::images::{self, Meaning};
use super::lookup;
use super::origin::{Origin, Problem, Warning, Weight};
use super::suggest;

/// The variables of a process, taken once, so that tests can bring their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    variables: BTreeMap<String, String>,
    files: Files,
}

/// Which files are read that no setting names. A test must not find what another program left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Files {
    #[default]
    None,
    Below(PathBuf),
    All,
}

/// Variables that have a meaning but are not the value of one setting.
const SPECIAL: &[&str] = &["ZOO_MY_ID", "ZOO_SERVERS", "ZOO_CFG_EXTRA", "ZOO_CONF_DIR"];

/// The switch of ZooKeeper's start script that is a setting upside down.
const NO_AUTOCREATE: &str = "ZOO_DATADIR_AUTOCREATE_DISABLE";

impl Env {
    /// The variables of this process; those that are not UTF-8 cannot be settings.
    pub fn of_process() -> Env {
        let text = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Env { variables: text.collect(), files: Files::All }
    }

    /// These variables and no others, and no file that no setting names.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Env {
        let owned = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Env { variables: owned.collect(), files: Files::None }
    }

    /// The same with the files of a directory.
    #[must_use]
    pub fn with_files_below(self, directory: &Path) -> Env {
        Env { files: Files::Below(directory.to_owned()), ..self }
    }

    /// Reads a file that no setting names.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let hidden = match &self.files {
            Files::None => true,
            Files::Below(directory) => !path.starts_with(directory),
            Files::All => false,
        };
        if hidden { Err(io::ErrorKind::NotFound.into()) } else { read_regular(path) }
    }

    /// A variable, if it is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Whether the variables are those of the container image, whose servers listen everywhere.
    pub(super) fn is_container(&self) -> bool {
        ["ZOO_CONF_DIR", "ZOO_DATA_DIR", "ZOO_SERVERS", "ZOO_MY_ID"]
            .iter()
            .any(|name| self.get(name).is_some())
    }

    /// The settings in the variables, as name, value and origin.
    pub(super) fn settings(&self) -> Vec<(String, String, Origin)> {
        let mut settings = Vec::new();
        for row in lookup::rows().filter(|row| !row.variable.is_empty() && !row.is_family()) {
            if let Some(value) = self.get(row.variable) {
                let origin = Origin::Variable(row.variable.to_owned());
                settings.push((row.key.to_owned(), value.to_owned(), origin));
            }
        }
        if self.get(NO_AUTOCREATE).is_some() {
            let origin = Origin::Variable(NO_AUTOCREATE.to_owned());
            settings.push(("datadir.autocreate".to_owned(), "false".to_owned(), origin));
        }
        for name in ["ZOO_SERVERS", "ZOO_CFG_EXTRA"] {
            for line in self.get(name).unwrap_or_default().split_whitespace() {
                // That it is none is said where all variables are looked at.
                if name == "ZOO_SERVERS" && !line.contains('=') {
                    continue;
                }
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                let origin = Origin::Variable(name.to_owned());
                settings.push((key.to_owned(), value.to_owned(), origin));
            }
        }
        settings
    }

    /// The `-D` options in the variable with the options of the virtual machine.
    pub(super) fn jvm_settings(&self, variable: &'static str) -> Vec<(String, String, Origin)> {
        shell_words(self.get(variable).unwrap_or_default())
            .iter()
            .filter_map(|word| word.strip_prefix("-D"))
            .map(|text| text.split_once('=').unwrap_or((text, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned(), Origin::JvmFlags(variable)))
            .collect()
    }

    /// What there is to say about variables that look like settings but are none, and what asks for
    /// safety that there is not.
    pub(super) fn remarks(&self) -> (Vec<Warning>, Vec<Problem>) {
        let (mut warnings, mut problems) = (Vec::new(), Vec::new());
        for (name, value) in &self.variables {
            match remark(name, value.trim()) {
                Some(Ok(warning)) => warnings.push(warning),
                Some(Err(problem)) => problems.push(problem),
                None => {}
            }
        }
        for word in self.get("ZOO_SERVERS").unwrap_or_default().split_whitespace() {
            if !word.contains('=') {
                problems.push(no_server_line(word));
            }
        }
        (warnings, problems)
    }
}

/// Reads a file. What is no regular one may never end, or never begin.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    std::fs::read(path)
}

fn known() -> impl Iterator<Item = &'static str> {
    lookup::rows()
        .map(|row| row.variable)
        .filter(|name| !name.is_empty())
        .chain(SPECIAL.iter().copied())
        .chain([NO_AUTOCREATE])
}

/// A warning, or a reason not to start.
fn remark(name: &str, value: &str) -> Option<Result<Warning, Problem>> {
    let origin = Origin::Variable(name.to_owned());
    let said = |weight, text| Some(Ok(Warning { weight, origin: origin.clone(), text }));
    if known().any(|known| known == name) {
        return None;
    }
    match images::meaning(name) {
        Some(Meaning::Pointless(why)) => {
            return said(Weight::Note, format!("it has no meaning here: {why}"));
        }
        Some(Meaning::Instead(instead)) => {
            return said(Weight::Warning, format!("it is not read; here it is {instead}"));
        }
        Some(Meaning::Safety(_)) if images::says_no(value) => return None,
        Some(Meaning::Safety(why)) => {
            let text =
                format!("it asks for what is not there: {why}; set it to no to go on without");
            return Some(Err(Problem { origin, text }));
        }
        None => {}
    }
    if images::is_of_a_service(name) {
        return None;
    }
    if let Some(instead) = images::confluent(name) {
        return said(Weight::Warning, format!("it is not read; here it is {instead}"));
    }
    if !name.starts_with("ZOO_") {
        return None;
    }
    let near = suggest::nearest(name, known());
    let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    said(Weight::Warning, format!("it is not known, and not read{near}"))
}

/// Some images write their servers in another way.
fn no_server_line(word: &str) -> Problem {
    let origin = Origin::Variable("ZOO_SERVERS".to_owned());
    let text = format!(
        "\"{word}\" is no server line; write server.1=host:2888:3888;2181, one behind the other"
    );
    Problem { origin, text }
}

/// Splits at spaces as a shell does, except inside quotes.
fn shell_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => word.get_or_insert_with(String::new).push(letter),
            None if letter == '"' || letter == '\'' => {
                word.get_or_insert_with(String::new);
                quote = Some(letter);
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_with(String::new).push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell() {
        let words = shell_words("-Xmx1g  -Da='b c' -D\"x\"=y\t''");
        assert_eq!(words, ["-Xmx1g", "-Da=b c", "-Dx=y", ""]);
    }

    #[test]
    fn files_outside_of_the_directory_of_a_test_are_not_found() {
        let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
        let found = |env: &Env, directory: &tempfile::TempDir| {
            std::fs::write(directory.path().join("myid"), "7").expect("a writable directory");
            env.read(&directory.path().join("myid")).is_ok()
        };
        let env = Env::from_pairs([]);
        assert!(!found(&env, &own) && !found(&env, &other));
        let env = env.with_files_below(own.path());
        assert!(found(&env, &own) && !found(&env, &other));
        assert!(found(&Env::of_process(), &other));
    }

    fn remarks(variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let (warnings, problems) = Env::from_pairs(variables.iter().copied()).remarks();
        let problems = problems.iter().map(ToString::to_string);
        (warnings.iter().map(ToString::to_string).collect(), problems.collect())
    }

    #[test]
    fn variable_that_is_not_read_is_named_with_what_to_write() {
        let (warnings, problems) = remarks(&[
            ("ALLOW_ANONYMOUS_LOGIN", "yes"),
            ("HOME", "/"),
            ("ZOOKEEPER_TICK_TIME", "2000"),
            ("ZOO_PORT_2181_TCP", "tcp://10.0.0.1:2181"),
            ("ZOO_SERVER_ID", "1"),
            ("ZOO_TICKTIME", "1"),
            ("ZOO_TICK_TIME", "1"),
            ("ZOO_TLS_CLIENT_KEYSTORE_FILE", "/k"),
            ("ZOO_WHATEVER", "1"),
        ]);
        let expected = [
            "ALLOW_ANONYMOUS_LOGIN: it has no meaning here: what clients may do is said by ACLs",
            "ZOOKEEPER_TICK_TIME: it is not read; here it is ZOO_CFG_EXTRA=\"tickTime=…\"",
            "ZOO_SERVER_ID: it is not read; here it is ZOO_MY_ID",
            "ZOO_TICKTIME: it is not known, and not read; did you mean ZOO_TICK_TIME?",
            "ZOO_TLS_CLIENT_KEYSTORE_FILE: it is not read; here it is \
             ZOO_CFG_EXTRA=\"ssl.…=…\"",
            "ZOO_WHATEVER: it is not known, and not read",
        ];
        assert_eq!((warnings, problems), (expected.map(str::to_owned).to_vec(), Vec::new()));
    }

    #[test]
    fn variable_that_asks_for_safety_stops_the_start_unless_it_says_no() {
        for name in [
            "ZOO_TLS_CLIENT_ENABLE",
            "ZOO_TLS_QUORUM_ENABLE",
            "ZOO_ENABLE_AUTH",
            "ZOO_ENABLE_QUORUM_AUTH",
        ] {
            for value in ["true", "yes", "1", "on", "TRUE", "anything"] {
                let (warnings, problems) = remarks(&[(name, value)]);
                assert!(warnings.is_empty() && problems.len() == 1, "{name}={value}");
                assert!(problems[0].contains("it asks for what is not there"), "{problems:?}");
            }
            for value in ["false", "no", "0", "off", "", " No "] {
                let said = remarks(&[(name, value)]);
                assert_eq!(said, (Vec::new(), Vec::new()), "{name}={value}");
            }
        }
    }

    #[test]
    fn servers_in_the_form_of_another_image_stop_the_start() {
        let (_, problems) = remarks(&[("ZOO_SERVERS", "zoo1:2888:3888::1 zoo2:2888:3888::2")]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("\"zoo1:2888:3888::1\" is no server line"), "{problems:?}");
    }
}
