//! Everything that was said, by whom, in the order of who has the last word.
//!
//! From first to last: options of the command line, its `-D`, the `-D` of `JVMFLAGS` and of
//! `SERVER_JVMFLAGS`, then `zoo.cfg` or the arguments that stand for one, then the file of servers
//! that one of these names, then the file that `ringkeeper.include` names, then the variables of the
//! container image (which writes a `zoo.cfg` of them only if there is none), then defaults.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::env::{self, Env};
use super::lookup;
use super::origin::{Origin, Problem, Warning, Weight};
use super::properties;
use crate::cli::StartArgs;

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, as written.
    pub name: String,
    /// The value, without spaces around it.
    pub value: String,
    /// Who said it.
    pub origin: Origin,
}

/// A line of a server that a later line of the same file replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The name, as written.
    pub(super) name: String,
    /// The line without effect.
    pub(super) origin: Origin,
    /// The line that has the last word.
    pub(super) by: Origin,
}

/// All that was said.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// What was said, the last word first.
    pub(super) entries: Vec<Entry>,
    pub(super) warnings: Vec<Warning>,
    pub(super) problems: Vec<Problem>,
    /// Lines of servers that a later line of the same file replaces.
    pub(super) replaced: Vec<Replaced>,
    /// What a missing setting is blamed on.
    pub(super) whole: Option<Arc<str>>,
    /// The `zoo.cfg`, which rules over the variables of the image.
    pub(super) file: Option<Arc<str>>,
}

/// Collects everything that was said.
pub(super) fn gather(args: &StartArgs, env: &Env) -> Layers {
    let mut layers = Layers::default();
    layers.options(args);
    layers.definitions(args);
    layers.extend(reversed(env.jvm_settings("JVMFLAGS")));
    layers.extend(reversed(env.jvm_settings("SERVER_JVMFLAGS")));
    match form(args, env) {
        Form::Bare => layers.bare(env),
        Form::File(path) => layers.file(&path),
        Form::Arguments(words) => layers.arguments(words),
    }
    layers.server_list();
    layers.include();
    layers.variables(env);
    if layers.whole.is_none() {
        layers.defaults(env);
    }
    let (warnings, problems) = env.remarks();
    layers.warnings.extend(warnings);
    layers.problems.extend(problems);
    layers
}

enum Form<'a> {
    Bare,
    File(PathBuf),
    Arguments(&'a [OsString]),
}

/// As in ZooKeeper: one argument is a file, more are a port, a directory, and so on. Without any,
/// the file of the container image or of ZooKeeper's scripts is taken if there is one.
fn form<'a>(args: &'a StartArgs, env: &Env) -> Form<'a> {
    match args.config.as_slice() {
        [] => {}
        [file] => return Form::File(PathBuf::from(file)),
        words => return Form::Arguments(words),
    }
    let name = env.get("ZOOCFG").unwrap_or("zoo.cfg");
    ["ZOO_CONF_DIR", "ZOOCFGDIR"]
        .iter()
        .filter_map(|variable| env.get(variable))
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .map_or(Form::Bare, Form::File)
}

/// The last of several `-D` wins, and entries are kept with the last word first.
fn reversed(mut settings: Vec<(String, String, Origin)>) -> Vec<(String, String, Origin)> {
    settings.reverse();
    settings
}

impl Layers {
    fn push(&mut self, name: &str, value: &str, origin: Origin) {
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        self.entries.push(Entry { name, value, origin });
    }

    fn extend(&mut self, settings: Vec<(String, String, Origin)>) {
        for (name, value, origin) in settings {
            self.push(&name, &value, origin);
        }
    }

    fn options(&mut self, args: &StartArgs) {
        if let Some(format) = args.log_format {
            self.push("ringkeeper.log.format", format.word(), Origin::Option("--log-format"));
        }
        if let Some(level) = args.log_level {
            self.push("ringkeeper.log.level", level.word(), Origin::Option("--log-level"));
        }
    }

    fn definitions(&mut self, args: &StartArgs) {
        for text in args.definitions.iter().rev() {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            self.push(name, value, Origin::Property);
        }
    }

    fn arguments(&mut self, words: &[OsString]) {
        self.whole = Some(Arc::from("command line"));
        let keys = ["clientPort", "dataDir", "tickTime", "maxClientCnxns"];
        for (key, word) in keys.iter().zip(words) {
            match word.to_str() {
                Some(text) => self.push(key, text, Origin::Argument),
                None => self.problem(Origin::Argument, format!("{key}: {word:?} is not UTF-8")),
            }
        }
        if let Some(extra) = words.get(keys.len()) {
            let form = "the form is clientPort dataDir [tickTime] [maxClientCnxns]";
            self.problem(Origin::Argument, format!("{extra:?} is one argument too many; {form}"));
        }
    }

    fn file(&mut self, path: &Path) {
        let name: Arc<str> = Arc::from(path.to_string_lossy().as_ref());
        self.whole = Some(name.clone());
        self.file = Some(name.clone());
        self.lines_of(std::fs::read(path), &name);
    }

    /// The file of the servers, where one is named, be it on the command line. ZooKeeper looks for
    /// it as it is written, from where it was started.
    fn server_list(&mut self) {
        let Some(Entry { value, .. }) = self.named(SERVER_LIST) else { return };
        if !value.is_empty() {
            self.lines_of(env::read_regular(Path::new(&value)), &Arc::from(value.as_str()));
        }
    }

    /// The last word on a setting so far.
    fn named(&self, key: &str) -> Option<Entry> {
        let is_it = |entry: &&Entry| lookup::find(&entry.name).is_some_and(|it| it.row.key == key);
        self.entries.iter().find(is_it).cloned()
    }

    /// Settings that a tool has written, say. Whoever names the file has the last word over it.
    fn include(&mut self) {
        let named = self.entries.iter().find(|entry| entry.name == INCLUDE).cloned();
        let Some(Entry { value, origin, .. }) = named else { return };
        // That it names nothing is said where every value is looked at.
        if value.is_empty() {
            return;
        }
        let path = match &origin {
            // As in every language that has includes: from where the file is that says so.
            Origin::Line { file, .. } => {
                Path::new(&**file).parent().unwrap_or(Path::new("")).join(&value)
            }
            _ => PathBuf::from(&value),
        };
        let name: Arc<str> = Arc::from(path.to_string_lossy().as_ref());
        let from = self.entries.len();
        let has_list = self.named(SERVER_LIST).is_some();
        self.lines_of(env::read_regular(&path), &name);
        if !has_list {
            self.server_list();
        }
        let nested = self.entries[from..].iter().find(|entry| entry.name == INCLUDE).cloned();
        if let Some(Entry { origin, .. }) = nested {
            let text = format!("{INCLUDE}: a file that is included includes no other; name one");
            self.problem(origin, text);
        }
    }

    /// Takes the lines of a file.
    fn lines_of(&mut self, bytes: io::Result<Vec<u8>>, name: &Arc<str>) {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(
                    Origin::File(name.clone()),
                    format!("it cannot be read: {error}; name a file that exists"),
                );
                return;
            }
        };
        let read = properties::read(&bytes);
        let line = |line| Origin::Line { file: name.clone(), line };
        for bad in &read.bad {
            let text =
                "\\u is not followed by four hexadecimal digits; write \\\\u for the letters";
            self.problem(line(bad.line), text.to_owned());
        }
        for duplicate in read.duplicates {
            let (key, at) = (&duplicate.shadowed.key, duplicate.line);
            let text = format!("{key}: line {at} sets it again and wins; remove one of them");
            if is_server(key.trim()) {
                self.replaced.push(Replaced {
                    name: key.trim().to_owned(),
                    origin: line(duplicate.shadowed.line),
                    by: line(at),
                });
            }
            self.warn(line(duplicate.shadowed.line), text);
        }
        for property in read.properties {
            self.push(&property.key, &property.value, line(property.line));
        }
    }

    /// A file says which servers there are, be it none; the list of the image counts without one.
    fn variables(&mut self, env: &Env) {
        let listed: Vec<Entry> =
            self.entries.iter().filter(|entry| is_server(&entry.name)).cloned().collect();
        let mut differs = None;
        for (name, value, origin) in env.settings() {
            if !is_server(&name) || (listed.is_empty() && self.file.is_none()) {
                self.push(&name, &value, origin);
            } else if !listed.iter().any(|line| line.name == name && line.value == value) {
                differs = Some(origin);
            }
        }
        if let (Some(origin), Some(file)) = (differs, self.file.clone()) {
            self.warn(origin, format!("it is not used: {file} says which servers there are"));
        }
    }

    /// `STATE_DIRECTORY` is where systemd wants the state of a service; it may name several.
    fn bare(&mut self, env: &Env) {
        let state = env.get("STATE_DIRECTORY").and_then(|list| list.split(':').next());
        if let Some(directory) = state {
            let origin = Origin::Variable("STATE_DIRECTORY".to_owned());
            self.push("dataDir", directory, origin);
        }
    }

    fn defaults(&mut self, env: &Env) {
        self.push("dataDir", "./ringkeeper-data", Origin::Bare);
        if !self.entries.iter().any(|entry| is_server(&entry.name) && entry.value.contains(';')) {
            self.push("clientPort", "2181", Origin::Bare);
        }
        // Nobody who just tries it out should serve the whole network without knowing.
        if !env.is_container() {
            self.push("clientPortAddress", "127.0.0.1", Origin::Bare);
            self.push("admin.serverAddress", "127.0.0.1", Origin::Bare);
        }
    }

    fn problem(&mut self, origin: Origin, text: String) {
        self.problems.push(Problem { origin, text });
    }

    fn warn(&mut self, origin: Origin, text: String) {
        self.warnings.push(Warning { weight: Weight::Warning, origin, text });
    }
}

/// The setting that names a further file of settings.
const INCLUDE: &str = "ringkeeper.include";
/// The setting that names the file of the servers.
const SERVER_LIST: &str = "dynamicConfigFile";

/// Whether a name is that of a server line.
pub(super) fn is_server(name: &str) -> bool {
    lookup::find(name).is_some_and(|found| found.row.key == "server.*")
}
