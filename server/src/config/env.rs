//! The environment: the variables of ZooKeeper's official container image and of its scripts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::lookup;
use super::origin::{Origin, Warning, Weight};
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

/// Variables of the image that are about something Ringkeeper does not have.
const POINTLESS: &[(&str, &str)] = &[
    ("ZOO_LOG_DIR", "messages go to standard error"),
    ("ZOO_LOG4J_PROP", "messages go to standard error; see --log-level"),
];

/// What other images call the same thing.
const COUSINS: &[(&str, &str)] = &[
    ("ZOO_SERVER_ID", "ZOO_MY_ID"),
    ("ZOO_PORT_NUMBER", "ZOO_CFG_EXTRA=\"clientPort=…\""),
    ("ZOO_MAX_CNXNS", "ZOO_CFG_EXTRA=\"maxCnxns=…\""),
    ("ZOO_MAX_SESSION_TIMEOUT", "ZOO_CFG_EXTRA=\"maxSessionTimeout=…\""),
    ("ZOO_MIN_SESSION_TIMEOUT", "ZOO_CFG_EXTRA=\"minSessionTimeout=…\""),
    ("ZOO_AUTOPURGE_INTERVAL", "ZOO_AUTOPURGE_PURGEINTERVAL"),
    ("ZOO_AUTOPURGE_RETAIN_COUNT", "ZOO_AUTOPURGE_SNAPRETAINCOUNT"),
    ("ZOO_LOG_LEVEL", "-Dringkeeper.log.level=…"),
    ("ZOO_HEAP_SIZE", "nothing: there is no Java heap"),
    ("ZOO_ENABLE_AUTH", "nothing yet: this release has no SASL"),
];

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
        if hidden { Err(io::ErrorKind::NotFound.into()) } else { std::fs::read(path) }
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

    /// What there is to say about variables that look like settings but are none.
    pub(super) fn remarks(&self) -> Vec<Warning> {
        self.variables.keys().filter_map(|name| remark(name)).collect()
    }
}

fn known() -> impl Iterator<Item = &'static str> {
    lookup::rows()
        .map(|row| row.variable)
        .filter(|name| !name.is_empty())
        .chain(SPECIAL.iter().copied())
        .chain([NO_AUTOCREATE])
}

/// Only near misses are reported: a container may have `ZOO_…` variables of anybody's, for example
/// those Kubernetes makes for a service called zoo.
fn remark(name: &str) -> Option<Warning> {
    let said =
        |weight, text| Some(Warning { weight, origin: Origin::Variable(name.to_owned()), text });
    if !name.starts_with("ZOO_") || known().any(|known| known == name) {
        return None;
    }
    if let Some((_, why)) = POINTLESS.iter().find(|(pointless, _)| *pointless == name) {
        return said(Weight::Note, format!("it has no meaning here: {why}"));
    }
    if let Some((_, instead)) = COUSINS.iter().find(|(cousin, _)| *cousin == name) {
        return said(Weight::Warning, format!("it is not read; here it is {instead}"));
    }
    let near = suggest::nearest(name, known())?;
    said(Weight::Warning, format!("it is not known; did you mean {near}?"))
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

    #[test]
    fn misspelt_setting_gets_a_suggestion() {
        let env = Env::from_pairs([
            ("ZOO_TICKTIME", "1"),
            ("ZOO_SERVER_ID", "1"),
            ("ZOO_PORT_2181_TCP", "tcp://10.0.0.1:2181"),
            ("ZOO_TICK_TIME", "1"),
            ("HOME", "/"),
        ]);
        let remarks: Vec<String> = env.remarks().iter().map(ToString::to_string).collect();
        assert_eq!(
            remarks,
            [
                "ZOO_SERVER_ID: it is not read; here it is ZOO_MY_ID",
                "ZOO_TICKTIME: it is not known; did you mean ZOO_TICK_TIME?",
            ]
        );
    }
}
