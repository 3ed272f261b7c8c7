//! The command line of `ringkeeper-sim`.

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Plays seeds of the simulator: members of an ensemble, their disks, their clients and a leader that
is played, in virtual time. The same seed always makes the same history.

usage: ringkeeper-sim [ensemble] [options]
       ringkeeper-sim crash-points

  ensemble       play whole ensembles, whose leaders are members, instead of members whose leader is
                 a script
  crash-points   play short histories of ensembles in which a process ends, one for each step of it

  --seeds A-B    play the seeds from A to B, both included (default: 0-999)
  --replay SEED  play one seed and print what it came to
  --jobs N       play on N threads (default: 1)
  --fail-fast    stop at the first seed that fails
  --json         print failures and the summary as JSON, one object a line
  --plant BUG    plant a bug of replication/src/plant.rs (needs the feature plant)
  --help         print this

exit code: 0 all passed; 1 safety: something was seen that must never be; 2 wrong usage;
3 liveness: something never came; 4 the product has panicked. With several failures, the lowest.
";

/// What is to be done.
pub(crate) enum Command {
    /// Play seeds.
    Run(Args),
    /// Let processes end at every step of short histories.
    CrashPoints,
    /// Print the help.
    Help,
}

/// How seeds are played.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) jobs: usize,
    pub(crate) json: bool,
    pub(crate) is_replay: bool,
    pub(crate) stops_at_failure: bool,
    /// Whole ensembles are played.
    pub(crate) is_ensemble: bool,
    #[cfg(feature = "plant")]
    pub(crate) plant: Option<ringkeeper_replication::Bug>,
}

impl Args {
    /// Reads the arguments behind the name of the program.
    pub(crate) fn parse(mut all: impl Iterator<Item = String>) -> Result<Command, String> {
        let mut args = Args {
            first: 0,
            last: 999,
            jobs: 1,
            json: false,
            is_replay: false,
            stops_at_failure: false,
            is_ensemble: false,
            #[cfg(feature = "plant")]
            plant: None,
        };
        while let Some(name) = all.next() {
            let mut value = || all.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--help" | "-h" => return Ok(Command::Help),
                "crash-points" => return Ok(Command::CrashPoints),
                "ensemble" => args.is_ensemble = true,
                "--json" => args.json = true,
                "--fail-fast" => args.stops_at_failure = true,
                "--seeds" => (args.first, args.last) = seeds(&value()?)?,
                "--jobs" => args.jobs = number(&value()?)?.clamp(1, 1_024) as usize,
                "--replay" => {
                    let seed = number(&value()?)?;
                    (args.first, args.last, args.is_replay) = (seed, seed, true);
                }
                "--plant" => args.set_plant(&value()?)?,
                other => return Err(format!("{other} is no option")),
            }
        }
        Ok(Command::Run(args))
    }

    #[cfg(feature = "plant")]
    fn set_plant(&mut self, name: &str) -> Result<(), String> {
        use ringkeeper_replication::Bug;
        let all: Vec<Bug> = [&Bug::OF_LEARNERS[..], &Bug::OF_LEADERS].concat();
        let found = all.iter().find(|bug| format!("{bug:?}") == name).copied();
        self.plant = Some(found.ok_or_else(|| format!("{name} is no bug; there are {all:?}"))?);
        Ok(())
    }

    #[cfg(not(feature = "plant"))]
    fn set_plant(&mut self, _: &str) -> Result<(), String> {
        Err("--plant needs a program that was built with the feature plant".to_owned())
    }
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok((first, last)) } else { Err(format!("{text} has no seeds")) }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}
