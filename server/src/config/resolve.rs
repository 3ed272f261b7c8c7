//! From what was said to what holds: each entry gets a verdict, each setting a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::layers::Entry;
use super::lookup::{self, Found};
use super::origin::{Origin, Problem, Warning, Weight};
use super::suggest;
use super::table::{Deployment, Disposition, Kind, Preset, Row, Source, Spelling};
use super::types::FromValue;
use super::value::{self, Value};

/// An entry, and what became of it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was said.
    pub entry: Entry,
    /// The setting it is about, unless nobody knows it.
    pub found: Option<Found>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is in effect.
    Used,
    /// It is in effect and says what holds anyway.
    Default,
    /// Somebody else had the last word.
    Overridden(Origin),
    /// The server does not start with it, for this reason.
    Refused(String),
    /// This release does nothing with it, for this reason.
    NotYet(&'static str),
    /// There is nothing it could change, for this reason.
    NoMeaning(&'static str),
    /// Nobody knows the name; this one was perhaps meant.
    Unknown(Option<&'static str>),
    /// The value cannot be right, for this reason.
    Bad(String),
}

/// A value and who said it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) value: Value,
    /// The value as it may be shown.
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// The values of all settings.
#[derive(Debug, Default)]
pub(super) struct Values {
    held: BTreeMap<&'static str, Held>,
}

impl Values {
    /// What stops a start about a setting: where it was given, and why.
    pub(super) fn problem(&self, key: &str, text: &str) -> Problem {
        Problem { origin: self.origin(key).clone(), text: format!("{key}: {text}") }
    }

    /// What should be known about a setting, in the same way.
    pub(super) fn warning(&self, key: &str, text: &str) -> Warning {
        let (weight, origin) = (Weight::Warning, self.origin(key).clone());
        Warning { weight, origin, text: format!("{key}: {text}") }
    }

    /// Every setting at its default.
    pub(super) fn presets() -> Values {
        let rows = lookup::rows().filter(|row| !row.is_family());
        Values { held: rows.map(|row| (row.key, preset(row))).collect() }
    }

    pub(super) fn held(&self, key: &str) -> &Held {
        self.held.get(key).unwrap_or_else(|| panic!("{key} has a row"))
    }

    pub(super) fn get<T: FromValue>(&self, key: &str) -> T {
        T::from_value(&self.held(key).value)
    }

    /// A whole number, or nothing if the setting is absent.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        match self.held(key).value {
            Value::Integer(number) => Some(number),
            Value::Absent => None,
            ref other => panic!("{key} is no whole number but {other:?}"),
        }
    }

    pub(super) fn origin(&self, key: &str) -> &Origin {
        &self.held(key).origin
    }

    pub(super) fn set(&mut self, key: &'static str, held: Held) {
        self.held.insert(key, held);
    }

    pub(super) fn set_number(&mut self, key: &'static str, number: i64, origin: Origin) {
        let text = number.to_string();
        self.set(key, Held { value: Value::Integer(number), text, origin });
    }

    /// What was said by somebody, in the order of the names.
    pub(super) fn said(&self) -> impl Iterator<Item = (&'static str, &Held)> {
        self.held.iter().map(|(key, held)| (*key, held))
    }
}

fn preset(row: &Row) -> Held {
    match row.preset {
        Preset::Is(text) => {
            let value = value::parse(row, row.key, text).expect("a default is a good value");
            Held { value, text: text.to_owned(), origin: Origin::Default }
        }
        Preset::Derived(from) => {
            Held { value: Value::Absent, text: String::new(), origin: Origin::Derived(from) }
        }
        Preset::Unset => {
            Held { value: Value::Absent, text: String::new(), origin: Origin::Default }
        }
    }
}

/// Whether the entries list several servers. A server counts once, however often it is listed.
pub(super) fn deployment(entries: &[Entry]) -> Deployment {
    let servers: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| lookup::find(&entry.name))
        .filter(|found| found.row.key == "server.*")
        .map(|found| found.key)
        .collect();
    if servers.len() < 2 { Deployment::Standalone } else { Deployment::Ensemble }
}

/// Gives each entry its verdict, and the values that follow.
pub(super) fn resolve(entries: Vec<Entry>, deployment: Deployment) -> (Vec<Finding>, Values) {
    let mut values = Values::presets();
    let mut winners: BTreeMap<String, Origin> = BTreeMap::new();
    let mut findings: Vec<Finding> = Vec::with_capacity(entries.len());
    for entry in guide_names_last(entries) {
        let found = lookup::find(&entry.name);
        let verdict = match &found {
            None => unknown(&entry),
            Some(found) => match winners.get(&found.key) {
                Some(winner) => Verdict::Overridden(winner.clone()),
                None => {
                    winners.insert(found.key.clone(), entry.origin.clone());
                    judge(&entry, found, deployment, &mut values)
                }
            },
        };
        findings.push(Finding { entry, found, verdict });
    }
    (findings, values)
}

/// Where one file has a setting under two names, the one ZooKeeper reads has the last word.
fn guide_names_last(entries: Vec<Entry>) -> Vec<Entry> {
    let real = |entry: &Entry| {
        lookup::find(&entry.name).is_none_or(|found| found.spelling != Spelling::Guide)
    };
    let (mut ordered, guide): (Vec<_>, Vec<_>) = entries.into_iter().partition(real);
    for entry in guide {
        let after = |other: &Entry| precedence(&other.origin) <= precedence(&entry.origin);
        let at = ordered.iter().rposition(after).map_or(0, |last| last + 1);
        ordered.insert(at, entry);
    }
    ordered
}

/// Who has the last word; the smallest number has.
fn precedence(origin: &Origin) -> u8 {
    match origin {
        Origin::Option(_) => 0,
        Origin::Property => 1,
        Origin::JvmFlags(_) => 2,
        Origin::Argument | Origin::Line { .. } | Origin::File(_) => 3,
        Origin::Variable(_) => 4,
        Origin::Bare | Origin::Derived(_) | Origin::Default => 5,
    }
}

/// Java's own properties are no business of ZooKeeper's, so that a `-D` of one is no slip.
fn unknown(entry: &Entry) -> Verdict {
    let foreign =
        ["java.", "javax.", "jdk.", "sun.", "com.sun.", "log4j", "logback", "org.apache."];
    let property = matches!(entry.origin, Origin::Property | Origin::JvmFlags(_));
    if property && foreign.iter().any(|prefix| entry.name.starts_with(prefix)) {
        return Verdict::NoMeaning("there is no Java virtual machine here");
    }
    let bare = entry.name.strip_prefix("zookeeper.").unwrap_or(&entry.name);
    let names = lookup::rows()
        .filter(|row| !row.is_family())
        .flat_map(|row| [row.key].into_iter().chain(row.aliases.iter().copied()));
    Verdict::Unknown(suggest::nearest(bare, names))
}

fn judge(entry: &Entry, found: &Found, deployment: Deployment, values: &mut Values) -> Verdict {
    let row = found.row;
    let disposition = row.disposition_in(deployment);
    match disposition {
        Disposition::NoMeaning(why) => return no_meaning(entry, row, why),
        Disposition::Refused(why) => return refused(entry, row, why),
        Disposition::Honoured | Disposition::NotYet(_) => {}
    }
    let value = match value::parse(row, &entry.name, &entry.value) {
        Ok(value) => value,
        Err(text) => return Verdict::Bad(text),
    };
    if let Disposition::NotYet(why) = disposition {
        return if is_preset(row, &value) { Verdict::Default } else { Verdict::NotYet(why) };
    }
    if row.is_family() {
        return Verdict::Used;
    }
    let verdict = if is_preset(row, &value) { Verdict::Default } else { Verdict::Used };
    let text = match row.kind {
        Kind::Secret => "(hidden)".to_owned(),
        _ => entry.value.clone(),
    };
    values.set(row.key, Held { value, text, origin: entry.origin.clone() });
    verdict
}

/// Files are full of such lines; those that say what holds anyway are not worth a remark.
fn no_meaning(entry: &Entry, row: &Row, why: &'static str) -> Verdict {
    match value::parse(row, &entry.name, &entry.value) {
        Ok(value) if is_preset(row, &value) => Verdict::Default,
        Ok(_) | Err(_) => Verdict::NoMeaning(why),
    }
}

/// What asks for nothing beyond the default is not refused.
fn refused(entry: &Entry, row: &Row, why: &str) -> Verdict {
    match value::parse(row, &entry.name, &entry.value) {
        Ok(value) if is_preset(row, &value) => Verdict::Default,
        Ok(_) => Verdict::Refused(why.to_owned()),
        Err(text) => Verdict::Bad(text),
    }
}

fn is_preset(row: &Row, value: &Value) -> bool {
    match row.preset {
        Preset::Is(text) => value::parse(row, row.key, text).is_ok_and(|preset| preset == *value),
        Preset::Derived(_) | Preset::Unset => false,
    }
}

impl Finding {
    /// Why the server does not start with this entry, if that is so.
    pub fn problem(&self) -> Option<Problem> {
        let said = match &self.verdict {
            Verdict::Refused(why) | Verdict::Bad(why) => why,
            Verdict::Used
            | Verdict::Default
            | Verdict::Overridden(_)
            | Verdict::NotYet(_)
            | Verdict::NoMeaning(_)
            | Verdict::Unknown(_) => return None,
        };
        let text = format!("{}: {said}", self.entry.name);
        Some(Problem { origin: self.entry.origin.clone(), text })
    }

    /// What there is to tell the user about this entry.
    pub fn warning(&self) -> Option<Warning> {
        let (weight, said) = match &self.verdict {
            Verdict::Refused(_) | Verdict::Bad(_) => return None,
            Verdict::Overridden(by) => (Weight::Warning, self.overruled(by)?),
            Verdict::Used | Verdict::Default => self.spelling()?,
            Verdict::NotYet(why) => (Weight::Warning, format!("it has no effect: {why}")),
            Verdict::NoMeaning(why) => (Weight::Note, format!("it has no meaning here: {why}")),
            Verdict::Unknown(near) => (Weight::Warning, unknown_text(*near)),
        };
        let text = format!("{}: {said}", self.entry.name);
        Some(Warning { weight, origin: self.entry.origin.clone(), text })
    }

    /// Where the last word is somebody else's than in ZooKeeper, or than the reader of a file
    /// thinks. That a file goes before the environment surprises nobody.
    fn overruled(&self, by: &Origin) -> Option<String> {
        let Origin::Line { .. } = self.entry.origin else { return None };
        match by {
            Origin::Property | Origin::JvmFlags(_) => {
                Some(format!("{by} wins over this line here; in ZooKeeper the line would win"))
            }
            Origin::Line { .. } => Some(format!("{by} sets it too and wins; remove one of them")),
            Origin::Option(_) => Some(format!("{by} wins over this line")),
            Origin::Argument
            | Origin::File(_)
            | Origin::Variable(_)
            | Origin::Bare
            | Origin::Derived(_)
            | Origin::Default => None,
        }
    }

    /// What works here but would not in ZooKeeper, so that a way back holds no surprise.
    fn spelling(&self) -> Option<(Weight, String)> {
        let found = self.found.as_ref()?;
        let row = found.row;
        let file = matches!(self.entry.origin, Origin::Line { .. });
        let property = matches!(self.entry.origin, Origin::Property | Origin::JvmFlags(_));
        let names = row.property_names();
        if file && !row.works_in_file() {
            let name = &names[0];
            let text =
                format!("it is used, but ZooKeeper ignores this line: there it is -D{name}=…");
            return Some((Weight::Warning, text));
        }
        if file && found.spelling != Spelling::Key {
            let text = format!("it is used, but ZooKeeper reads it as {} only", row.key);
            return Some((Weight::Note, text));
        }
        let wrong = property && !row.is_family() && !names.contains(&self.entry.name);
        if wrong && row.source == Source::Parsed && names.is_empty() {
            let text = "it is used, but ZooKeeper reads it from zoo.cfg only".to_owned();
            return Some((Weight::Note, text));
        }
        if wrong {
            let text = format!("it is used, but ZooKeeper reads -D{}=… only", names[0]);
            return Some((Weight::Note, text));
        }
        None
    }

    /// What became of the entry, in a word or two.
    pub fn label(&self) -> &'static str {
        match &self.verdict {
            Verdict::Used => "used",
            Verdict::Default => "default",
            Verdict::Overridden(_) => "overridden",
            Verdict::Refused(_) => "refused",
            Verdict::NotYet(_) => "not yet",
            Verdict::NoMeaning(_) => "no meaning",
            Verdict::Unknown(_) => "unknown",
            Verdict::Bad(_) => "bad value",
        }
    }

    /// Why that became of it, where it is not plain.
    pub fn reason(&self) -> Option<String> {
        match &self.verdict {
            Verdict::Used | Verdict::Default => self.spelling().map(|(_, text)| text),
            Verdict::Overridden(by) => Some(format!("{by} has the last word")),
            Verdict::Refused(why) | Verdict::Bad(why) => Some(why.clone()),
            Verdict::NotYet(why) | Verdict::NoMeaning(why) => Some((*why).to_owned()),
            Verdict::Unknown(near) => near.map(|near| format!("did you mean {near}?")),
        }
    }

    /// The value as it may be shown.
    pub fn shown(&self) -> &str {
        let row = self.found.as_ref().map(|found| found.row);
        let name = self.entry.name.to_ascii_lowercase();
        let password = name.contains("password") || name.contains("secret");
        if password || row.is_some_and(|row| row.kind == Kind::Secret) {
            return "(hidden)";
        }
        &self.entry.value
    }
}

fn unknown_text(near: Option<&str>) -> String {
    let mut text = "nobody knows this setting".to_owned();
    if let Some(near) = near {
        write!(text, "; did you mean {near}?").expect("a string takes all text");
    }
    text
}
