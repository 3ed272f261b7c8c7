//! Options that were given and change nothing in this run: said, not ignored in silence.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::load::args::Load;
use crate::load::workload::Workload;
use crate::model::kind::Kind;

/// A sentence for each option on the command line that does nothing for any of these loads.
pub(crate) fn unused(matches: &ArgMatches, loads: &[Load]) -> Vec<String> {
    let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let any = |test: &dyn Fn(&Load) -> bool| loads.iter().any(test);
    let has_values = |load: &Load| load.workload != Workload::Sessions;
    let rules: [(&str, bool, &str); 8] = [
        ("arrival", given("search") || any(&|load| load.rate.is_some()), "there is no --rate"),
        (
            "pipeline",
            any(&|load| load.workload.is_pipelined()),
            "each session has one request in flight",
        ),
        ("children", any(&|load| load.workload.has(&[Kind::Children])), "no node is listed"),
        ("keys", any(&|load| load.workload.needs_keys()), "no planted node is used"),
        ("keys_dist", any(&|load| load.workload.needs_keys()), "no planted node is used"),
        ("tree", any(&|load| load.workload.needs_keys()), "no planted node is used"),
        ("value_bytes", any(&has_values), "no value is written"),
        (
            "restart_cmd",
            any(&|load| load.kill_leader_every.is_some()),
            "there is no --kill-leader-every",
        ),
    ];
    let unused = rules.iter().filter(|(name, used, _)| given(name) && !used);
    unused
        .map(|(name, _, why)| format!("--{} changes nothing: {why}", name.replace('_', "-")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::model::io::Io;
    use clap::{CommandFactory as _, FromArgMatches as _};

    fn said(line: &str) -> Vec<String> {
        let matches = Cli::command().try_get_matches_from(line.split(' ')).unwrap();
        let cli = Cli::from_arg_matches(&matches).unwrap();
        unused(&matches, &cli.run.load.loads(Io::Epoll).unwrap())
    }

    #[test]
    fn unused_options_are_named() {
        for (line, count) in [
            ("bench lock -p 4", 1),
            ("bench lock set -p 4", 0),
            ("bench sessions --keys 3 --keys-dist zipf:0.9 --value-bytes 9 --children 4", 4),
            ("bench children --children 4", 0),
            ("bench create --tree 2x3 --arrival fixed", 2),
            ("bench set --tree 2x3 --arrival fixed --rate 5", 0),
            ("bench set --arrival fixed --search p99<5ms", 0),
            ("bench set --server a:1 --restart-cmd x", 1),
            ("bench", 0),
        ] {
            let said = said(line);
            assert_eq!(said.len(), count, "{line}: {said:?}");
        }
        let names = said("bench create --keys 3");
        assert_eq!(names, ["--keys changes nothing: no planted node is used"]);
    }
}
