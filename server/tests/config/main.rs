//! Configurations as people have them: what they load to, and what is said about their mistakes.
#![expect(unreachable_pub, reason = "the fuzz targets take some of these modules as a library")]

mod check;
#[path = "../../../engine/fuzz/src/config.rs"]
mod config_target;
mod ensemble;
mod ensemble_faults;
mod faults;
mod fuzz;
mod layers;
#[path = "../program/polluted_host.rs"]
mod polluted_host;
#[path = "../../../engine/fuzz/src/properties.rs"]
mod properties_target;
mod samples;

use std::ffi::OsString;
use std::path::PathBuf;

use ringkeeper_server::cli::{self, Cli, Command, StartArgs};
use ringkeeper_server::config::{Env, FourLetterWords, Settings};
use tempfile::TempDir;

/// A directory with a `zoo.cfg` whose `@` stands for the directory.
struct Site {
    directory: TempDir,
}

/// Settings and remarks, or everything that is wrong.
type Loaded = Result<(Settings, Vec<String>), String>;

impl Site {
    fn new(zoo_cfg: &str) -> Site {
        let site = Site { directory: tempfile::tempdir().expect("a temporary directory") };
        site.write("zoo.cfg", zoo_cfg);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let here = self.directory.path().to_str().expect("a path in UTF-8");
        std::fs::write(self.path(name), text.replace('@', here)).expect("a writable directory");
    }

    fn args(&self, definitions: &[&str]) -> StartArgs {
        StartArgs {
            config: vec![self.path("zoo.cfg").into_os_string()],
            definitions: definitions.iter().map(|text| (*text).to_owned()).collect(),
            ..StartArgs::default()
        }
    }

    fn load_with(&self, definitions: &[&str], variables: &[(&str, &str)]) -> Loaded {
        let env = self.env(variables);
        load(&self.args(definitions), &env)
            .map(|(settings, said)| (settings, said.iter().map(|text| self.short(text)).collect()))
            .map_err(|error| self.short(&error))
    }

    /// These variables, and no files but those of the directory.
    fn env(&self, variables: &[(&str, &str)]) -> Env {
        Env::from_pairs(variables.iter().copied()).with_files_below(self.directory.path())
    }

    fn load(&self) -> Loaded {
        self.load_with(&[], &[])
    }

    fn error(&self) -> String {
        self.load().expect_err("a configuration with a fault")
    }

    /// The text with the directory taken out of it.
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

#[test]
fn every_configuration_loads_on_a_polluted_host() {
    polluted_host::run_again(&[]);
}

fn load(args: &StartArgs, env: &Env) -> Loaded {
    Settings::load(args, env)
        .map(|(settings, said)| (settings, said.iter().map(ToString::to_string).collect()))
        .map_err(|error| error.to_string())
}

fn parse(words: &[&str]) -> Command {
    let words = ["ringkeeper"].iter().chain(words).map(OsString::from);
    let Cli { command } = cli::parse_from(words).expect("a good command line");
    command
}

fn start(words: &[&str], variables: &[(&str, &str)]) -> Loaded {
    let Command::Start(args) = parse(words) else { panic!("{words:?} is no start") };
    load(&args, &Env::from_pairs(variables.iter().copied()))
}

fn only(words: &[&str]) -> FourLetterWords {
    FourLetterWords::Only(words.iter().map(|word| (*word).to_owned()).collect())
}
