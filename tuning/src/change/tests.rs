//! Changes on a copy of a host: made, recorded, taken back; and what happens in between.

use std::process::Command;

use tempfile::TempDir;

use super::journal::{Journal, Record};
use super::undo::Undone;
use super::{apply, current, plan, script, undo};
use crate::check::tests::{Copy, configured};
use crate::cli::{Subject, Target};

const SWAPPINESS: &str = "proc/sys/vm/swappiness";
const QUEUE: &str = "proc/sys/net/core/somaxconn";

struct Site {
    copy: Copy,
    state: TempDir,
}

impl Site {
    /// A host with two things to change.
    fn new() -> Site {
        let copy = Copy::good();
        copy.write("proc/swaps", "Filename\n/dev/sda2 partition 8 0 -2\n");
        copy.write(QUEUE, "128\n");
        Site { copy, state: tempfile::tempdir().unwrap() }
    }

    fn plan(&self, only: Option<&str>) -> super::plan::Plan {
        let subject = Subject { config: None, dir: None, root: self.copy.at("") };
        let target = Target { subject, only: only.map(str::to_owned) };
        plan(&target, &|_| Ok(configured())).unwrap()
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.state.path().join("undo.json")).unwrap()
    }

    fn apply(&self, only: Option<&str>) -> super::apply::Applied {
        apply(&self.copy.root(), &self.plan(only), &mut self.journal()).unwrap()
    }

    fn undo(&self) -> Vec<Undone> {
        let undone = undo(&self.copy.root(), &mut self.journal()).unwrap();
        undone.into_iter().map(|(_, what)| what).collect()
    }

    fn value(&self, path: &str) -> String {
        current(&self.copy.root(), &format!("/{path}")).unwrap()
    }
}

#[test]
fn what_is_applied_is_undone() {
    let site = Site::new();
    assert_eq!(site.apply(None).done.len(), 2);
    assert_eq!((site.value(SWAPPINESS), site.value(QUEUE)), ("1".into(), "4096".into()));
    assert!(site.plan(None).steps.is_empty(), "there is nothing left to change");
    assert_eq!(site.undo(), [Undone::Restored, Undone::Restored]);
    assert_eq!((site.value(SWAPPINESS), site.value(QUEUE)), ("60".into(), "128".into()));
    assert!(site.journal().records.is_empty());
}

#[test]
fn only_matching_conditions_change() {
    let site = Site::new();
    assert_eq!(site.apply(Some("SWAPPINESS")).done.len(), 1);
    assert_eq!((site.value(SWAPPINESS), site.value(QUEUE)), ("1".into(), "128".into()));
}

#[test]
fn value_changed_by_others_is_not_undone() {
    let site = Site::new();
    site.apply(None);
    site.copy.write(QUEUE, "9000\n");
    site.copy.write(SWAPPINESS, "60\n");
    assert_eq!(site.undo(), [Undone::ChangedByOthers("9000".to_owned()), Undone::Already]);
    assert_eq!(site.value(QUEUE), "9000");
    let left: Vec<String> = site.journal().records.iter().map(|r| r.path.clone()).collect();
    assert_eq!(left, [format!("/{QUEUE}")]);
}

#[test]
fn undo_restores_oldest_value() {
    let site = Site::new();
    let mut journal = site.journal();
    let record = |old: &str, new: &str| Record {
        path: "/proc/sys/vm/swappiness".to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
        unix_s: 0,
    };
    journal.note(record("60", "10")).unwrap();
    journal.note(record("10", "1")).unwrap();
    assert_eq!((journal.records[0].old.as_str(), journal.records.len()), ("60", 1));
    journal.note(record("30", "1")).unwrap();
    assert_eq!(journal.records[0].old, "30");
}

#[test]
fn recorded_but_unmade_change_undoes_cleanly() {
    let site = Site::new();
    let mut journal = site.journal();
    // As after a crash between the record and the change.
    let step = site.plan(Some("swappiness")).steps.remove(0);
    let (path, old, new) = (step.change.path, step.from, step.change.to);
    journal.note(Record { path, old, new, unix_s: 1 }).unwrap();
    drop(journal);
    assert_eq!(site.undo(), [Undone::Already]);
    assert_eq!(site.value(SWAPPINESS), "60");
}

#[test]
fn failed_change_is_reported_and_not_recorded() {
    let site = Site::new();
    let mut plan = site.plan(Some("swappiness"));
    std::fs::remove_file(site.copy.at(SWAPPINESS)).unwrap();
    std::fs::create_dir(site.copy.at(SWAPPINESS)).unwrap();
    plan.steps.push(site.plan(Some("somaxconn")).steps.remove(0));
    let applied = apply(&site.copy.root(), &plan, &mut site.journal()).unwrap();
    assert_eq!((applied.done.len(), applied.failed.len()), (1, 1), "{:?}", applied.failed);
    assert!(applied.failed[0].contains("cannot write"), "{:?}", applied.failed);
}

#[test]
fn unwritable_record_stops_change() {
    let site = Site::new();
    let mut journal = site.journal();
    // Where the new record would be written there is a directory.
    std::fs::create_dir(site.state.path().join("undo.tmp")).unwrap();
    let error = apply(&site.copy.root(), &site.plan(None), &mut journal).err().unwrap();
    assert!(format!("{error:#}").contains("it was not made"), "{error:#}");
    assert_eq!(site.value(SWAPPINESS), "60");
}

#[test]
fn damaged_or_foreign_record_is_rejected() {
    let site = Site::new();
    let path = site.state.path().join("undo.json");
    let foreign = r#"{"format":1,"changes":[{"path":"P","old":"a","new":"b","unix_s":1}]}"#;
    for text in [
        "",
        "{}",
        r#"{"format":9,"changes":[]}"#,
        &foreign.replace('P', "/etc/passwd"),
        &foreign.replace('P', "/sys/../etc/passwd"),
    ] {
        std::fs::write(&path, text).unwrap();
        assert!(Journal::open(&path).is_err(), "{text}");
    }
    std::fs::remove_file(&path).unwrap();
    let _first = site.journal();
    assert!(Journal::open(&path).is_err(), "two at once");
}

#[test]
fn script_applies_and_undoes() {
    let site = Site::new();
    let mut plan = site.plan(None);
    // The script names files of the host; here they are those of the copy.
    for step in &mut plan.steps {
        step.change.path = site.copy.at(&step.change.path[1..]).to_str().unwrap().to_owned();
    }
    let path = site.state.path().join("fix.sh");
    script::write(&path, &plan).unwrap();
    let run = |word: &str| {
        let out = Command::new("sh").arg(&path).arg(word).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(run("apply").contains("60 -> 1"));
    assert_eq!((site.value(SWAPPINESS), site.value(QUEUE)), ("1".into(), "4096".into()));
    assert!(run("apply").contains("1 already"));
    run("undo");
    assert_eq!((site.value(SWAPPINESS), site.value(QUEUE)), ("60".into(), "128".into()));
    site.copy.write(QUEUE, "77\n");
    run("apply");
    assert_eq!(site.value(QUEUE), "77");
}

#[test]
fn script_quotes_plan_values() {
    let site = Site::new();
    let mut plan = site.plan(Some("swappiness"));
    plan.steps[0].from = "'; touch /tmp/never; '".to_owned();
    plan.steps[0].condition = "two\nlines".to_owned();
    let text = script::render(&plan);
    assert!(text.contains(r"''\''; touch /tmp/never; '\'''"), "{text}");
    assert!(text.contains("# two lines;"), "{text}");
}
