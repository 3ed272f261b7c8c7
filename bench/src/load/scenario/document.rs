//! A file of keys and values with the lines they are on, whatever it is written in.

use std::borrow::Cow;
use std::path::Path;

use saphyr_parser::{Event, Parser, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LineError {
    /// Counted from one.
    pub line: usize,
    pub text: String,
}

impl LineError {
    pub(crate) fn new(line: usize, text: impl Into<String>) -> LineError {
        LineError { line, text: text.into() }
    }
}

/// A value and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Item {
    /// Counted from one.
    pub line: usize,
    pub value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// A string, a number or a truth value.
    Word(String),
    /// Several.
    List(Vec<Item>),
    /// Keys and values, in the order of the file; YAML of keeper-bench repeats keys.
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub line: usize,
    pub item: Item,
}

impl Item {
    /// The single word that is expected here.
    pub(crate) fn word(&self) -> Result<&str, LineError> {
        match &self.value {
            Value::Word(word) => Ok(word),
            Value::List(_) | Value::Table(_) => {
                Err(LineError::new(self.line, "a single value is expected here"))
            }
        }
    }

    /// The table that is expected here.
    pub(crate) fn table(&self) -> Result<&[Entry], LineError> {
        match &self.value {
            Value::Table(entries) => Ok(entries),
            Value::Word(_) | Value::List(_) => {
                Err(LineError::new(self.line, "keys and values are expected here"))
            }
        }
    }

    /// The items of a list; what is no list is the only one.
    pub(crate) fn each(&self) -> &[Item] {
        match &self.value {
            Value::List(items) => items,
            Value::Word(_) | Value::Table(_) => std::slice::from_ref(self),
        }
    }

    /// The number that is expected here.
    pub(crate) fn number<T: std::str::FromStr>(&self) -> Result<T, LineError> {
        let word = self.word()?;
        let parsed = word.replace('_', "").parse();
        parsed.map_err(|_| LineError::new(self.line, format!("a number is expected, not {word:?}")))
    }
}

/// Whether a file is YAML, by its name.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

pub(crate) fn read_toml(text: &str) -> Result<Item, LineError> {
    let line = |at: usize| {
        let before = &text.as_bytes()[..at.min(text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        LineError::new(line(at), error.message())
    })?;
    Ok(Item { line: 1, value: Value::Table(from_table(table.get_ref(), &line)) })
}

fn from_table(table: &DeTable<'_>, line: &impl Fn(usize) -> usize) -> Vec<Entry> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| Entry {
        key: key.get_ref().to_string(),
        line: line(key.span().start),
        item: from_value(value, line),
    };
    entries.into_iter().map(entry).collect()
}

fn from_value(value: &Spanned<DeValue<'_>>, line: &impl Fn(usize) -> usize) -> Item {
    let at = line(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Word(text.to_string()),
        DeValue::Integer(number) => Value::Word(number.to_string().replace('_', "")),
        DeValue::Float(number) => Value::Word(number.to_string().replace('_', "")),
        DeValue::Boolean(truth) => Value::Word(truth.to_string()),
        DeValue::Datetime(time) => Value::Word(time.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| from_value(item, line)).collect())
        }
        DeValue::Table(table) => Value::Table(from_table(table, line)),
    };
    Item { line: at, value }
}

/// How deep a document may be.
const DEPTH_MAX: usize = 64;

/// Reads YAML, in which a key may come several times.
pub(crate) fn read_yaml(text: &str) -> Result<Item, LineError> {
    let mut events = Parser::new_from_str(text);
    loop {
        match next_event(&mut events)? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, line) => {
                return Err(LineError::new(line, "nothing is in this file"));
            }
            (event, line) => return from_event(event, line, &mut events, 0),
        }
    }
}

fn next_event<'t>(
    events: &mut impl Iterator<Item = Result<(Event<'t>, Span), saphyr_parser::ScanError>>,
) -> Result<(Event<'t>, usize), LineError> {
    match events.next() {
        Some(Ok((event, span))) => Ok((event, span.start.line())),
        Some(Err(error)) => Err(LineError::new(error.marker().line(), error.info())),
        None => Ok((Event::StreamEnd, 0)),
    }
}

fn from_event<'t>(
    event: Event<'t>,
    line: usize,
    events: &mut impl Iterator<Item = Result<(Event<'t>, Span), saphyr_parser::ScanError>>,
    depth: usize,
) -> Result<Item, LineError> {
    if depth > DEPTH_MAX {
        return Err(LineError::new(line, format!("more than {DEPTH_MAX} levels")));
    }
    let value = match event {
        Event::Scalar(text, ..) => Value::Word(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next_event(events)? {
                    (Event::SequenceEnd, _) => break Value::List(items),
                    (event, line) => items.push(from_event(event, line, events, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let (key, line) = match next_event(events)? {
                    (Event::MappingEnd, _) => break Value::Table(entries),
                    (event, line) => (from_event(event, line, events, depth + 1)?, line),
                };
                let (event, at) = next_event(events)?;
                let item = from_event(event, at, events, depth + 1)?;
                entries.push(Entry { key: key.word()?.to_string(), line, item });
            }
        }
        Event::Alias(_) => return Err(LineError::new(line, "aliases are not understood here")),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::SequenceEnd
        | Event::MappingEnd => return Err(LineError::new(line, "a value is missing here")),
    };
    Ok(Item { line, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_yaml_items_carry_their_lines() {
        let toml = read_toml("a = 1\n[[phase]]\nmix = { get = 0x10 }\n").unwrap();
        let entries = toml.table().unwrap();
        assert_eq!((entries[0].key.as_str(), entries[0].line), ("a", 1));
        let Value::List(phases) = &entries[1].item.value else { panic!("{entries:?}") };
        let mix = &phases[0].table().unwrap()[0];
        assert_eq!((mix.key.as_str(), mix.line), ("mix", 3));

        let yaml = read_yaml("a:\n  b: 1\n  b:\n    - x\n    - y\n").unwrap();
        let inner = yaml.table().unwrap()[0].item.table().unwrap();
        assert_eq!((inner.len(), inner[1].line, inner[0].item.number()), (2, 3, Ok(1)));
    }

    #[test]
    fn syntax_error_has_its_line() {
        assert_eq!(read_toml("a = 1\nb =\n").unwrap_err().line, 2);
        assert_eq!(read_yaml("a: 1\nb: [\n").map_err(|error| error.line > 1), Err(true));
        assert!(read_yaml("").is_err() && read_yaml("a: *b").is_err());
        assert!(read_yaml(&"- ".repeat(1_000)).is_err());
    }
}
