//! `tune recommend`: which settings follow from a probe, why, and what to expect of them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use ringkeeper_engine::device::{Load, Strategy};
use serde::Serialize;

use crate::cli::RecommendArgs;
use crate::confirm::{self, Outcome};
use crate::model::{self, Knee, Prediction};
use crate::probe::words::StrategyWord;
use crate::probe::{Cell, Plan, Report, Stop};
use crate::terminal::{INTERRUPTED, print, probe_with_progress, save};
use crate::text::{self, micros};
use ringkeeper_bench::show::paint::Paint;

/// What a commit has to take for waiting for clients to be worth a trial.
const SLOW_COMMIT_US: f64 = 1_000.0;
/// A commit that takes so long is worth a message: one value for all disks that are far from it,
/// so that two probes of one disk say the same.
const THRESHOLD_US: f64 = 200_000.0;
/// How many times the slowest of a hundred that is, at the least.
const SUSPICIOUS: f64 = 10.0;
/// Columns of a line of the file.
const COLUMNS: usize = 96;

/// What to set, and what to expect.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Recommendation {
    #[serde(serialize_with = "StrategyWord::serialize")]
    pub(crate) strategy: Strategy,
    pub(crate) settings: Vec<Setting>,
    pub(crate) knee: Option<Knee>,
    pub(crate) prediction: Option<Prediction>,
    /// What keeps the prediction from being worth much.
    pub(crate) doubts: Vec<String>,
}

/// A line of the file, and its reason.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) why: String,
}

pub(crate) fn run(args: &RecommendArgs) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let report = match &args.from {
        Some(path) => {
            let shown = path.display();
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
            Report::parse(&text).map_err(|why| anyhow!("{shown}: {why}"))?
        }
        None => probe_with_progress(&args.dir, &Plan::of(args.depth.depth()), &stop)?,
    };
    if stop.is_wanted() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let advice = advise(&report);
    let file = fragment(&advice, &report);
    if let Some(path) = &args.output {
        save(path, &file)?;
    }
    let outcome = match args.confirm {
        true => Some(confirm::run(Path::new(&report.taken.directory), &file, &stop)?),
        false => None,
    };
    if args.json {
        let value = serde_json::json!({ "recommendation": &advice, "confirmed": &outcome });
        print(&format!("{value:#}\n"));
    } else {
        print(&shown(&advice, Paint::for_stdout()));
        if let Some(outcome) = &outcome {
            print(&compared(&advice, outcome));
        }
        if let Some(path) = &args.output {
            let path = path.display();
            print(&format!("To use it, write into zoo.cfg: ringkeeper.include={path}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What follows from a report.
pub(crate) fn advise(report: &Report) -> Recommendation {
    let (strategy, why) = report.choice();
    if report.disk.is_memory() {
        return nothing(report, strategy);
    }
    let knee = model::knee(report, strategy);
    let device = Setting {
        key: "ringkeeper.log.device",
        value: strategy.to_string(),
        why: format!(
            "the default strategy (direct, or pwrite where that does not work) unless another is \
             clearly better: {why}"
        ),
    };
    let mut settings = vec![device];
    settings.extend(knee.map(flush_delay));
    settings.extend(target(report, strategy));
    settings.extend(threshold(report, strategy));
    Recommendation {
        strategy,
        settings,
        knee,
        prediction: model::predict(report, strategy),
        doubts: doubts(report),
    }
}

/// What lies in memory says nothing about a disk.
fn nothing(report: &Report, strategy: Strategy) -> Recommendation {
    let kind = report.disk.file_system.as_deref().unwrap_or_default();
    let doubt = format!(
        "{} is on a {kind}, which is memory and no disk, so nothing follows from it; name a \
         directory on the disk of the log with --dir",
        report.taken.directory
    );
    Recommendation {
        strategy,
        settings: Vec::new(),
        knee: None,
        prediction: None,
        doubts: vec![doubt],
    }
}

fn flush_delay(knee: Knee) -> Setting {
    Setting {
        key: "flushDelay",
        value: "0".to_owned(),
        why: format!(
            "a commit of {} takes {}, the smallest {}: up to that size more writes in a commit \
             are nearly free, so a group is what arrives during the commit before it, and a delay \
             would only add latency",
            text::bytes(knee.bytes as u64),
            micros(knee.commit_us),
            micros(knee.least_us)
        ),
    }
}

/// Where syncs take long, clients that wait for answers fall into two halves which wait for each
/// other. Where they do not, there is little to gain, and the default stays.
fn target(report: &Report, strategy: Strategy) -> Option<Setting> {
    let cell = small(report, strategy, Load::Quiet)?;
    let always = cell.rounds_p50.iter().all(|&us| us >= SLOW_COMMIT_US);
    (always && cell.micros.p50 >= SLOW_COMMIT_US).then(|| Setting {
        key: "ringkeeper.commit.target",
        value: "throughput".to_owned(),
        why: format!(
            "a commit takes {}: clients that wait for an answer come back within it, so a group \
             that waits for them holds all of them and not half; the server tries it out and does \
             not wait where it does not help",
            micros(cell.micros.p50)
        ),
    })
}

/// A sooner message than after a second, where the disk is far from that on a busy host too.
fn threshold(report: &Report, strategy: Strategy) -> Option<Setting> {
    let cell = small(report, strategy, Load::Busy)?;
    let slow_us = cell.measured().p99_us as f64;
    (slow_us * SUSPICIOUS <= THRESHOLD_US).then(|| Setting {
        key: "fsync.warningthresholdms",
        value: format!("{:.0}", THRESHOLD_US / 1e3),
        why: format!(
            "on a busy host one commit in a hundred takes longer than {}; one that takes {:.0} ms \
             is worth a message, long before the second that is the default",
            micros(slow_us),
            THRESHOLD_US / 1e3
        ),
    })
}

fn small(report: &Report, strategy: Strategy, load: Load) -> Option<&Cell> {
    report.curve(strategy, load).into_iter().find(|cell| cell.bytes == 4_096)
}

fn doubts(report: &Report) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(why) = &report.cut_short {
        doubts.push(format!("the probe is not complete: {why}"));
    }
    let cpus = report.taken.cpus as f64;
    if report.taken.load_average.is_some_and(|load| load > cpus / 2.0) {
        doubts.push("the host was busy with something else when it was probed".to_owned());
    }
    if report.disk.others_kib_per_second.is_some_and(|kib| kib > 1_024.0) {
        doubts.push("others wrote to the same disk when it was probed".to_owned());
    }
    doubts
}

/// The file that a zoo.cfg names with `ringkeeper.include`.
pub(crate) fn fragment(advice: &Recommendation, report: &Report) -> String {
    let mut out = String::new();
    let comment = |sentence: &str| {
        let lines = text::wrap(sentence, COLUMNS, 0);
        lines.lines().fold(String::new(), |out, line| out + "# " + line + "\n")
    };
    out.push_str(&comment(&format!(
        "Written by `ringkeeper tune recommend` for the disk of {} (kernel {}, {} CPUs). To use it, \
         write ringkeeper.include= and the path of this file into zoo.cfg; lines of zoo.cfg win.",
        report.taken.directory, report.taken.kernel, report.taken.cpus
    )));
    for setting in &advice.settings {
        let _ = write!(out, "\n{}{}={}\n", comment(&setting.why), setting.key, setting.value);
    }
    if let Some(prediction) = &advice.prediction {
        out.push('\n');
        forecast(prediction).iter().for_each(|line| out.push_str(&comment(line)));
    }
    out
}

/// What to expect, in sentences.
fn forecast(prediction: &Prediction) -> Vec<String> {
    let sum = &prediction.one_sum;
    let bound = if prediction.many_disk_per_second < prediction.many_cpu_per_second {
        "the disk"
    } else {
        "the processors"
    };
    vec![
        format!(
            "Expected: one client that waits for each write: {} each, {} per second (loopback {} + \
             {} hand-offs of {} + commit {}).",
            micros(prediction.one_p50_us),
            text::count(prediction.one_per_second),
            micros(sum.loopback_us),
            sum.hand_offs,
            micros(sum.hand_off_us),
            micros(sum.commit_us)
        ),
        format!(
            "Expected: 64 clients on this host with 16 writes in flight each: {} per second, bound \
             by {bound} (disk alone {}, processors alone {}).",
            text::count(prediction.many_per_second),
            text::count(prediction.many_disk_per_second),
            text::count(prediction.many_cpu_per_second)
        ),
    ]
}

pub(crate) fn shown(advice: &Recommendation, paint: Paint) -> String {
    let mut out = String::new();
    for setting in &advice.settings {
        let line = format!("{}={}", setting.key, setting.value);
        let _ = writeln!(out, "{}\n{}", paint.bold(&line), text::wrap(&setting.why, 90, 2));
    }
    for line in advice.prediction.iter().flat_map(forecast) {
        let _ = writeln!(out, "{}", text::wrap(&line, 90, 0));
    }
    for doubt in &advice.doubts {
        let _ = writeln!(out, "{}", paint.warning(&format!("Take it with care: {doubt}.")));
    }
    out
}

/// The prediction beside what a server really did.
fn compared(advice: &Recommendation, outcome: &Outcome) -> String {
    let Some(expected) = &advice.prediction else { return String::new() };
    let off = |said: f64, was: f64| (said - was) / was.max(1e-9) * 100.0;
    let line = |name: &str, said: f64, was: f64| {
        let (said_text, was_text) = (text::count(said), text::count(was));
        format!("{name:34} {said_text:>12} {was_text:>12} {:>+8.0} %\n", off(said, was))
    };
    let mut out = format!("{:34} {:>12} {:>12} {:>10}\n", "", "predicted", "measured", "off by");
    out += &line("1 client, median write, us", expected.one_p50_us, outcome.one_p50_us);
    out += &line("1 client, writes/s", expected.one_per_second, outcome.one_per_second);
    out += &line("64 clients x 16, writes/s", expected.many_per_second, outcome.many_per_second);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::sample;

    #[test]
    fn every_setting_has_a_reason() {
        let report = sample(1.0);
        let advice = advise(&report);
        let lines: Vec<String> =
            advice.settings.iter().map(|set| format!("{}={}", set.key, set.value)).collect();
        assert_eq!(
            lines,
            ["ringkeeper.log.device=direct", "flushDelay=0", "fsync.warningthresholdms=200"]
        );
        assert!(advice.settings.iter().all(|setting| setting.why.len() > 40));
        assert!(advice.settings[1].why.contains("64 KiB takes 140 us, the smallest 100 us"));
        assert!(advice.doubts.is_empty());
    }

    fn keys(report: &Report) -> Vec<&'static str> {
        advise(report).settings.iter().map(|setting| setting.key).collect()
    }

    #[test]
    fn slow_disk_gets_throughput_target_and_default_threshold() {
        let always = ["ringkeeper.log.device", "flushDelay"];
        let threshold = "fsync.warningthresholdms";
        assert_eq!(keys(&sample(5.0)), [always[0], always[1], threshold]);
        let target = "ringkeeper.commit.target";
        assert_eq!(keys(&sample(12.0)), [always[0], always[1], target, threshold]);
        assert_eq!(keys(&sample(80.0)), [always[0], always[1], target]);
    }

    /// Whatever one round more or less says within the noise.
    #[test]
    fn advice_is_stable_within_noise() {
        for factor in [0.1, 1.0, 4.0, 20.0, 60.0] {
            let said = |factor| {
                let advice = advise(&sample(factor));
                advice.settings.iter().map(|s| (s.key, s.value.clone())).collect::<Vec<_>>()
            };
            assert_eq!(said(factor * 0.85), said(factor * 1.15), "{factor}");
        }
        let mut report = sample(1.0);
        let busy = |cell: &&mut Cell| cell.strategy == Strategy::Direct && cell.load == Load::Busy;
        for cell in report.cells.iter_mut().filter(busy) {
            cell.micros.p50 = 4_000.0;
            cell.rounds_p50 = vec![4_000.0, 150.0, 4_000.0];
        }
        assert_eq!(report.choice().0, Strategy::Direct, "the rounds do not agree");
        assert!(report.choice().1.contains("do not agree"), "{:?}", report.choice());
    }

    #[test]
    fn memory_file_system_gets_no_advice() {
        let mut report = sample(1.0);
        report.disk.file_system = Some("tmpfs".to_owned());
        let advice = advise(&report);
        assert!(advice.settings.is_empty() && advice.prediction.is_none());
        assert!(shown(&advice, Paint::Plain).contains("memory and no disk"));
        assert!(fragment(&advice, &report).lines().all(|line| line.starts_with("# ")));
    }

    #[test]
    fn busy_or_cut_short_probe_has_doubts() {
        let mut report = sample(1.0);
        report.taken.load_average = Some(6.0);
        report.cut_short = Some("it was interrupted".to_owned());
        assert_eq!(advise(&report).doubts.len(), 2);
    }

    #[test]
    fn settings_file_is_settings_and_comments() {
        let report = sample(1.0);
        let text = fragment(&advise(&report), &report);
        let plain: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
        assert_eq!(plain.len(), 3, "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert!(text.contains("210 us each"), "{text}");
    }
}
