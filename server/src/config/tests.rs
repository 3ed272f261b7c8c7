//! The table against itself, against the settings made from it, and against ZooKeeper's names.

use std::collections::BTreeSet;
use std::path::Path;

use super::lookup::{self, rows};
use super::settings::{FIELD_KEYS, FIELDS};
use super::table::{Disposition, Kind, Preset, Row};
use super::{Env, Finding, Settings, ensemble, explain};
use crate::cli::StartArgs;

/// Settings the loader itself acts on, so that the server needs no field for them.
const LOADER_KEYS: &[&str] = &[
    "server.*",
    "dynamicConfigFile",
    "authProvider.*",
    "superUser",
    "superUser.*",
    "SASLAuthenticationProvider.superPassword",
    "sasl.serverconfig",
    "java.security.auth.login.config",
    "readonlymode.enabled",
    "ringkeeper.include",
];

fn load(definitions: &[String]) -> Result<Settings, String> {
    let args = StartArgs { definitions: definitions.to_vec(), ..StartArgs::default() };
    Settings::load(&args, &Env::default()).map(|(s, _)| s).map_err(|error| error.to_string())
}

#[test]
fn every_honoured_setting_has_a_field_and_the_other_way_round() {
    let honoured: BTreeSet<&str> = rows()
        .filter(|row| row.disposition == Disposition::Honoured)
        .map(|row| row.key)
        .filter(|key| !LOADER_KEYS.contains(key))
        .collect();
    let fields: BTreeSet<&str> = FIELD_KEYS.iter().copied().collect();
    assert_eq!(honoured, fields);
}

/// A setting that is said to be honoured and that nobody reads would be a lie.
#[test]
fn every_field_is_read_outside_of_the_configuration() {
    assert_eq!(unread(FIELDS), [""; 0]);
}

/// The fields that no source but the configuration itself reads.
fn unread(fields: &[&'static str]) -> Vec<&'static str> {
    let mut text = String::new();
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    assert!(text.len() > 10_000, "the sources are there");
    let is_read = |field: &&str| {
        let reading = format!("settings.{field}");
        text.match_indices(&reading).any(|(at, _)| {
            let behind = text[at + reading.len()..].chars().next();
            behind.is_none_or(|c| !c.is_alphanumeric() && c != '_')
        })
    };
    fields.iter().copied().filter(|field| !is_read(field)).collect()
}

/// Settings of an ensemble that the loader itself acts on.
const ENSEMBLE_LOADER_KEYS: &[&str] = &["standaloneEnabled", "peerType", "leaderServes"];

#[test]
fn every_setting_honoured_in_an_ensemble_has_a_field_and_the_other_way_round() {
    let honoured: BTreeSet<&str> = rows()
        .filter(|row| row.ensemble == Some(Disposition::Honoured))
        .map(|row| row.key)
        .filter(|key| !ENSEMBLE_LOADER_KEYS.contains(key))
        .collect();
    let fields: BTreeSet<&str> = ensemble::FIELD_KEYS.iter().copied().collect();
    assert_eq!(honoured, fields);
}

#[test]
fn every_field_of_an_ensemble_is_read_outside_of_the_configuration() {
    assert_eq!(unread(ensemble::FIELDS), [""; 0]);
}

#[test]
fn every_number_of_an_ensemble_takes_both_ends_of_its_range() {
    let servers = ["server.1=a:1:2", "server.2=b:1:2"].map(str::to_owned);
    for row in rows().filter(|row| row.ensemble == Some(Disposition::Honoured)) {
        let Kind::Integer { min, max, .. } = row.kind else { continue };
        for end in [min, max] {
            let mut definitions = servers.to_vec();
            definitions.push(format!("{}={end}", row.key));
            // So short a tick leaves every number of ticks below the 32 bits of ZooKeeper.
            definitions.push("tickTime=1".to_owned());
            let args = StartArgs { definitions, ..StartArgs::default() };
            let said = explain(&args, &Env::from_pairs([("ZOO_MY_ID", "1")]));
            let bad = said.findings.iter().filter_map(Finding::problem);
            assert!(bad.clone().all(|problem| problem.text.starts_with("server.")), "{}", row.key);
            // No time at all is in the range of ZooKeeper, which refuses it later, too.
            let none = end == 0 && ["initLimit", "syncLimit"].contains(&row.key);
            assert_eq!(said.ensemble.is_some(), !none, "{}={end}", row.key);
        }
    }
}

/// Everything below a directory but the configuration itself.
fn read_sources(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() && !path.ends_with("src/config") {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a readable source"));
        }
    }
}

#[test]
fn every_name_is_unique_and_leads_to_its_row() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        let own = [row.key].into_iter().chain(row.aliases.iter().copied());
        for name in own.filter(|_| !row.is_family()) {
            assert!(seen.insert(name.to_owned()), "{name} is there twice");
            let found = lookup::find(name).expect(name);
            assert_eq!(found.row.key, row.key);
            let prefixed = lookup::find(&format!("zookeeper.{name}")).expect(name);
            assert_eq!(prefixed.row.key, row.key);
        }
        for property in row.property_names().iter().filter(|_| !row.is_family()) {
            assert_eq!(lookup::find(property).expect(property).row.key, row.key);
        }
    }
}

#[test]
fn every_row_is_a_sentence_and_every_reason_can_follow_a_colon() {
    for Row { key, doc, disposition, .. } in rows() {
        assert!(doc.ends_with('.') && doc.len() > 15, "{key}: {doc:?}");
        assert!(doc.starts_with(|c: char| c.is_uppercase()), "{key}: {doc:?}");
        assert!(!disposition.reason().ends_with('.'), "{key}: {disposition:?}");
        assert!(!doc.contains("  ") && !disposition.reason().contains("  "), "{key}");
    }
}

#[test]
fn every_default_can_be_written_out() {
    for row in rows().filter(|row| !row.is_family()) {
        let Preset::Is(text) = row.preset else { continue };
        load(&[format!("{}={text}", row.key)]).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Both ends of a range have to fit the type of the field.
#[test]
fn every_number_takes_both_ends_of_its_range_and_nothing_beyond() {
    for row in rows().filter(|row| row.disposition == Disposition::Honoured) {
        let Kind::Integer { min, max, .. } = row.kind else { continue };
        for end in [min, max] {
            let mut definitions = vec![format!("{}={end}", row.key)];
            // The other ones are moved out of the way of a session timeout at the end of its range.
            definitions.extend(match row.key {
                "minSessionTimeout" => Some(format!("maxSessionTimeout={}", i32::MAX)),
                "maxSessionTimeout" if end == min => None,
                "maxSessionTimeout" => Some("minSessionTimeout=1".to_owned()),
                _ => None,
            });
            load(&definitions).unwrap_or_else(|error| panic!("{error}"));
        }
        let beyond = [min.checked_sub(1), max.checked_add(1)];
        for number in beyond.into_iter().flatten() {
            let error = load(&[format!("{}={number}", row.key)]).expect_err(row.key);
            assert!(error.contains("too small") || error.contains("too large"), "{error}");
            assert!(error.contains(&format!("write {}=", row.key)), "{error}");
        }
    }
}

/// A value that is nonsense for the kind of the setting, if there is any.
fn nonsense(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Switch | Kind::YesNo => Some("perhaps"),
        Kind::Integer { .. } | Kind::Decimal { .. } | Kind::AutoOrCount(_) => Some("twelve"),
        Kind::Choice(_) | Kind::CommitTarget => Some("whatever"),
        Kind::Host => Some("a b"),
        Kind::Path => Some(""),
        Kind::Text | Kind::Secret | Kind::Words => None,
    }
}

/// Advice that does not work is worse than none.
#[test]
fn every_bad_value_is_refused_with_advice_that_works() {
    for row in rows().filter(|row| !row.is_family()) {
        let (Disposition::Honoured | Disposition::NotYet(_) | Disposition::Refused(_)) =
            row.disposition
        else {
            continue;
        };
        let Some(value) = nonsense(row.kind) else { continue };
        let error = load(&[format!("{}={value}", row.key)]).expect_err(row.key);
        let (said, advice) = error.split_once("; write ").unwrap_or_else(|| panic!("{error}"));
        assert!(said.starts_with(&format!("-D: {}: ", row.key)), "{error}");
        // The advice for a file that is read is one that need not be there.
        let read = ["ringkeeper.include", "dynamicConfigFile", "java.security.auth.login.config"];
        let is_read = read.contains(&row.key);
        let loads = matches!(row.disposition, Disposition::Honoured | Disposition::NotYet(_));
        if loads && !is_read {
            load(&[advice.to_owned()]).unwrap_or_else(|again| panic!("{error}, then {again}"));
        }
    }
}

#[test]
fn every_refused_setting_is_refused() {
    for row in rows() {
        let Disposition::Refused(why) = row.disposition else { continue };
        let key = row.key.replace('*', "1");
        let value = match (row.kind, row.preset) {
            (Kind::Switch, Preset::Is("true")) => "false",
            (Kind::Switch, _) => "true",
            (Kind::Integer { .. }, _) => "7",
            (Kind::Choice(choices), _) => choices.last().expect("never empty"),
            _ => "something",
        };
        let result = load(&[format!("{key}={value}")]);
        if row.key == "electionAlg" {
            // The only other values are not allowed in the first place.
            continue;
        }
        assert_eq!(result.unwrap_err(), format!("-D: {key}: {why}"));
    }
}

/// Every key of ZooKeeper's configuration parser and every property its classes read.
#[test]
fn every_name_of_zookeeper_has_a_row() {
    let unknown: Vec<&str> = include_str!("zookeeper-names.txt")
        .lines()
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .filter(|name| lookup::find(name).is_none())
        .collect();
    assert_eq!(unknown, [""; 0]);
}
