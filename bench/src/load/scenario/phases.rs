//! Scenarios in TOML: options of the command line by their long names, for all phases and for each.

use clap::{Args as _, Command, Parser};

use super::document::{Entry, Item, LineError, Value};
use super::{Phase, Scenario};
use crate::load::args::LoadArgs;
use crate::load::mix::Mix;
use crate::load::workload::Workload;

/// Keys of a file beside the options of all phases.
const TOP: [&str; 2] = ["about", "phase"];
/// Keys of a phase beside its options.
const PHASE: [&str; 3] = ["name", "workload", "mix"];
/// How alike two words have to be for the one to be meant by the other.
const ALIKE: f64 = 0.8;

/// A load and nothing else, to try single options on.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct LoadOnly {
    #[command(flatten)]
    _load: LoadArgs,
}

pub(super) fn read(file: &Item) -> Result<Scenario, LineError> {
    let mut scenario = Scenario::default();
    let mut common = Vec::new();
    let mut phases = Vec::new();
    for entry in file.table()? {
        match entry.key.as_str() {
            "about" => scenario.about = entry.item.word()?.to_string(),
            "phase" => match &entry.item.value {
                Value::List(items) => phases.extend(items),
                Value::Word(_) | Value::Table(_) => {
                    let text = "phases are written as [[phase]]";
                    return Err(LineError::new(entry.line, text));
                }
            },
            _ => common.extend(option(entry, &TOP)?),
        }
    }
    if phases.is_empty() {
        return Err(LineError::new(file.line, "there is no [[phase]] in this file"));
    }
    for (number, item) in phases.into_iter().enumerate() {
        let mut phase = read_phase(item, number)?;
        phase.words.splice(..0, common.iter().cloned());
        scenario.phases.push(phase);
    }
    Ok(scenario)
}

fn read_phase(item: &Item, number: usize) -> Result<Phase, LineError> {
    let mut phase = Phase { name: format!("phase {}", number + 1), words: Vec::new() };
    let mut workload = None;
    for entry in item.table()? {
        let named = match entry.key.as_str() {
            "name" => {
                phase.name = entry.item.word()?.to_string();
                continue;
            }
            "workload" => entry.item.word()?.to_string(),
            "mix" => mix(&entry.item)?,
            _ => {
                phase.words.extend(option(entry, &PHASE)?);
                continue;
            }
        };
        named.parse::<Workload>().map_err(|text| LineError::new(entry.line, text))?;
        if workload.replace(named).is_some() {
            let text = "a phase has one workload or one mix";
            return Err(LineError::new(entry.line, text));
        }
    }
    let missing = || LineError::new(item.line, "this phase has neither a workload nor a mix");
    phase.words.push(workload.ok_or_else(missing)?);
    Ok(phase)
}

fn mix(item: &Item) -> Result<String, LineError> {
    let mut weights = Vec::new();
    for entry in item.table()? {
        let weight = entry.item.number::<f64>()?;
        let known = Mix::names();
        if !known.contains(&entry.key.as_str()) {
            let hint = suggestion(&entry.key, known.iter().copied());
            let text = format!("{} cannot be mixed{hint}; {} can", entry.key, known.join(", "));
            return Err(LineError::new(entry.line, text));
        }
        weights.push(format!("{}={weight}", entry.key));
    }
    Ok(format!("mix:{}", weights.join(",")))
}

/// The words of one option, once they are known to be good.
pub(super) fn option(entry: &Entry, others: &[&str]) -> Result<Vec<String>, LineError> {
    let key = entry.key.replace('_', "-");
    let command = LoadArgs::augment_args(Command::new("load"));
    let known = command
        .get_arguments()
        .filter_map(|argument| Some((argument.get_long()?, argument.get_action().takes_values())));
    let known: Vec<_> = known.collect();
    let Some((_, takes_value)) = known.iter().find(|(long, _)| *long == key) else {
        let names = known.iter().map(|(long, _)| *long).chain(others.iter().copied());
        let hint = suggestion(&key, names);
        let text = format!("{} is not known here{hint}", entry.key);
        return Err(LineError::new(entry.line, text));
    };
    let value = entry.item.word()?;
    let words = match (takes_value, value) {
        (true, value) => vec![format!("--{key}={value}")],
        (false, "true") => vec![format!("--{key}")],
        (false, "false") => Vec::new(),
        (false, _) => return Err(LineError::new(entry.line, format!("{key} is true or false"))),
    };
    match LoadOnly::try_parse_from(&words) {
        Ok(_) => Ok(words),
        Err(error) => Err(LineError::new(entry.line, first_line(&error))),
    }
}

/// What is wrong, without the advice for a command line.
pub(super) fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_string()
}

/// The nearest name, as a question.
pub(super) fn suggestion<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    let alike = names.map(|name| (strsim::jaro_winkler(word, name), name));
    let nearest = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((alike, name)) if alike >= ALIKE => format!(", did you mean {name}?"),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::document::read_toml;

    fn error(text: &str) -> String {
        let error = read_toml(text).and_then(|file| read(&file)).unwrap_err();
        format!("{}: {}", error.line, error.text)
    }

    #[test]
    fn phases_become_command_line_options() {
        let text = "about = 'x'\nconnections = 3\n[[phase]]\nname = 'a'\nmix = { get = 9, set = 1 }\n\
                    rate = 100\nreconnect = true\n[[phase]]\nworkload = 'lock:2'\n";
        let scenario = read_toml(text).and_then(|file| read(&file)).unwrap();
        let expected = ["--connections=3", "--rate=100", "--reconnect", "mix:get=9,set=1"];
        assert_eq!(scenario.phases[0].words, expected);
        assert_eq!(scenario.phases[1].name, "phase 2");
    }

    #[test]
    fn bad_phase_names_line_and_suggestion() {
        let expected = [
            ("a = 1", "1: a is not known here"),
            ("conections = 1", "1: conections is not known here, did you mean connections?"),
            ("about = 'x'\n", "1: there is no [[phase]] in this file"),
            ("[[phase]]\nrate = 5\n", "1: this phase has neither a workload nor a mix"),
            ("[[phase]]\nworkload = 'get'\nmix = { set = 1 }", "3: a phase has one workload"),
            ("[[phase]]\nmix = { sett = 1 }", "2: sett cannot be mixed, did you mean set?"),
            ("[[phase]]\nrate = 'fast'\nworkload = 'get'", "2: invalid value 'fast' for"),
            ("[[phase]]\nworkload = 'got'", "2: one of create, set, get"),
            ("phase = 3", "1: phases are written as [[phase]]"),
        ];
        for (text, begin) in expected {
            let error = error(text);
            assert!(error.starts_with(begin), "{text:?}: {error}");
        }
    }
}
