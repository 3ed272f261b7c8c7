//! Scenarios: loads in phases, from a file or by name.

mod document;
mod keeper_bench;
mod phases;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::load::args::Load;
use crate::load::args::LoadArgs;
use crate::model::io::Io;
use document::LineError;

/// Scenarios that come with it.
const BUILT_IN: [(&str, &str); 7] = [
    ("clickhouse", include_str!("../../../scenarios/clickhouse.toml")),
    ("curator", include_str!("../../../scenarios/curator.toml")),
    ("hbase", include_str!("../../../scenarios/hbase.toml")),
    ("kafka", include_str!("../../../scenarios/kafka.toml")),
    ("patroni", include_str!("../../../scenarios/patroni.toml")),
    ("solr", include_str!("../../../scenarios/solr.toml")),
    ("storm", include_str!("../../../scenarios/storm.toml")),
];

/// A scenario.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Scenario {
    pub about: String,
    pub phases: Vec<Phase>,
    /// The servers that it names itself.
    pub servers: Option<String>,
    /// What of the file is left out or done in another way.
    pub notes: Vec<LineError>,
}

/// One load of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Phase {
    pub name: String,
    pub words: Vec<String>,
}

/// Lists what comes with it, or prints one.
pub(crate) fn list(show: Option<&str>) -> Result<String> {
    let mut text = String::new();
    match show {
        Some(name) => text.push_str(built_in(name).with_context(|| unknown(name))?),
        None => {
            for (name, source) in BUILT_IN {
                let scenario = read_text(name, source, false)?;
                text += &format!("{name:<12}{}\n", scenario.about);
                let names: Vec<_> = scenario.phases.iter().map(|p| p.name.as_str()).collect();
                text += &format!("{:<12}phases: {}\n", "", names.join(", "));
            }
            text.push_str(
                "\nringkeeper bench --scenario NAME runs one, `bench scenarios --show NAME` prints \
                 it.\n",
            );
        }
    }
    Ok(text)
}

/// Reads a scenario, by name or from a file, and says what of it is left out.
pub(crate) fn read(name: &str) -> Result<Scenario> {
    if let Some(source) = built_in(name) {
        return read_text(name, source, false);
    }
    let path = Path::new(name);
    if !path.exists() && !name.contains(['/', '.']) {
        bail!(unknown(name));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let scenario = read_text(name, &text, document::is_yaml(path))?;
    for note in &scenario.notes {
        eprintln!("{name}:{}: {}", note.line, note.text);
    }
    Ok(scenario)
}

fn read_text(name: &str, text: &str, is_yaml: bool) -> Result<Scenario> {
    let scenario = if is_yaml {
        document::read_yaml(text).and_then(|item| keeper_bench::read(&item))
    } else {
        document::read_toml(text).and_then(|item| phases::read(&item))
    };
    scenario.map_err(|error| anyhow::anyhow!("{name}:{}: {}", error.line, error.text))
}

fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    let hint = phases::suggestion(name, names.iter().copied());
    format!("there is no scenario {name:?}{hint}; a file, or one of {}", names.join(", "))
}

/// The loads of a scenario. `words` is the command line, whose options come last and win; `parse`
/// reads the load of a whole command line.
pub(crate) fn loads(
    scenario: &Scenario,
    words: &[OsString],
    io: Io,
    parse: fn(Vec<OsString>) -> clap::error::Result<LoadArgs>,
) -> Result<Vec<Load>> {
    let own = without_scenario(words);
    let mut loads = Vec::new();
    for phase in &scenario.phases {
        let words = std::iter::once("bench").chain(phase.words.iter().map(String::as_str));
        let words = words.map(OsString::from).chain(own.iter().cloned()).collect();
        let load = parse(words).map_err(|error| {
            let text = phases::first_line(&error);
            anyhow::anyhow!("phase {:?}: {text}", phase.name)
        })?;
        for load in load.loads(io).with_context(|| format!("phase {:?}", phase.name))? {
            loads.push(Load { name: Some(phase.name.clone()), ..load });
        }
    }
    Ok(loads)
}

/// The options of the user, without the one that led here.
fn without_scenario(words: &[OsString]) -> Vec<OsString> {
    let mut own = Vec::new();
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--scenario") => drop(words.next()),
            Some(text) if text.starts_with("--scenario=") => {}
            _ => own.push(word.clone()),
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_built_in_scenario_has_loads() {
        for (name, source) in BUILT_IN {
            let scenario = read_text(name, source, false).unwrap();
            assert!(!scenario.about.is_empty() && scenario.about.len() < 88, "{name}");
            let loads = loads(&scenario, &["bench".into()], Io::Epoll, Cli::parse_load).unwrap();
            assert!(loads.iter().all(|load| load.name.is_some()) && !loads.is_empty(), "{name}");
        }
    }

    #[test]
    fn command_line_overrides_scenario() {
        let words = ["bench", "--scenario", "kafka", "-c", "3", "-d", "7s"].map(OsString::from);
        let scenario = read("kafka").unwrap();
        for load in loads(&scenario, &words, Io::Epoll, Cli::parse_load).unwrap() {
            assert_eq!((load.connections, load.duration), (3, 7_000_000_000));
        }
        let error = read("kafca").unwrap_err().to_string();
        assert!(error.contains("did you mean kafka?"), "{error}");
    }
}
