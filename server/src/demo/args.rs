//! What `ringkeeper demo` is given: how many servers, for how long, and what happens to them when.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// The options of a demonstration.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How many servers vote.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(3..=7))]
    pub servers: u8,

    /// Where the servers keep their state, and what is there stays; without it a directory for
    /// temporary files is used and removed.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// End after this time, such as 10s.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub duration: Option<Duration>,

    /// What happens to a server, and when: 'kill leader at 3s'. The words are kill, stop, continue,
    /// partition, heal and restart; the server is a number, leader or follower.
    #[arg(long = "do", value_name = "COMMAND", value_parser = Scheduled::parse)]
    pub script: Vec<Scheduled>,

    /// For programs: a JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// What can happen to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP: it stands still, and its connections stay open.
    Stop,
    /// SIGCONT.
    Continue,
    /// Nothing passes between it and the other servers. Its clients reach it.
    Partition,
    /// The end of that.
    Heal,
    /// It is started again; one that runs is stopped by SIGTERM first.
    Restart,
}

impl Fault {
    const ALL: [(&str, Fault); 6] = [
        ("kill", Fault::Kill),
        ("stop", Fault::Stop),
        ("continue", Fault::Continue),
        ("partition", Fault::Partition),
        ("heal", Fault::Heal),
        ("restart", Fault::Restart),
    ];
}

/// The word for it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Fault::ALL.iter().find(|(_, fault)| fault == self).map(|(word, _)| *word);
        f.write_str(word.expect("each has a word"))
    }
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Victim {
    /// The one with this number.
    Server(u8),
    /// Whichever leads then.
    Leader,
    /// The first one that follows then.
    Follower,
}

/// A fault at its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheduled {
    /// Since the beginning.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
    /// And to which server.
    pub victim: Victim,
}

impl Scheduled {
    fn parse(text: &str) -> Result<Scheduled, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [fault, victim, "at", at] = words[..] else {
            return Err("it has four words, such as: kill leader at 3s".to_owned());
        };
        let known = Fault::ALL.iter().find(|(word, _)| *word == fault);
        let (_, fault) = known.ok_or_else(|| format!("{fault} is none of the words"))?;
        let victim = match victim {
            "leader" => Victim::Leader,
            "follower" => Victim::Follower,
            number => Victim::Server(
                number.parse().map_err(|_| format!("{number} is no number of a server"))?,
            ),
        };
        Ok(Scheduled { at: parse_time(at)?, fault: *fault, victim })
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000.0),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text} is no time such as 3s"))?;
    if !(0.0..=1e9).contains(&number) {
        return Err(format!("{text} is no time such as 3s"));
    }
    Ok(Duration::from_secs_f64(number * unit_ms / 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_says_what_happens_to_which_server_and_when() {
        let parsed = |text: &str| Scheduled::parse(text);
        let at = Duration::from_millis(3_500);
        let kill = Scheduled { at, fault: Fault::Kill, victim: Victim::Leader };
        assert_eq!(parsed("kill leader at 3.5s"), Ok(kill));
        assert_eq!(parsed(" kill  leader at 3500ms "), Ok(kill));
        let heal = Scheduled { at, fault: Fault::Heal, victim: Victim::Server(2) };
        assert_eq!(parsed("heal 2 at 3.5"), Ok(heal));
        for text in ["", "kill 1", "kill 1 at", "end 1 at 3s", "kill x at 3s", "kill 1 at -3s"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(Fault::ALL.iter().all(|(word, fault)| fault.to_string() == *word));
    }
}
