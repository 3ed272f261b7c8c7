//! Any bytes as a zoo.cfg, through everything between the file and the settings of a server.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use ringkeeper_server::cli::{CheckArgs, StartArgs};
use ringkeeper_server::config::check::{self, Checked};
use ringkeeper_server::config::{Env, Paint, Settings, explain};
use tempfile::TempDir;

thread_local! {
    static HOME: OnceCell<TempDir> = const { OnceCell::new() };
}

/// What `check` says holds for `start`, and it can be said in both forms.
pub fn run(data: &[u8]) {
    let path = file(data);
    let start = StartArgs { config: vec![OsString::from(&path)], ..StartArgs::default() };
    let env = Env::from_pairs([]);
    let starts = Settings::load(&start, &env).is_ok();
    let said = explain(&start, &env);
    assert_eq!(said.settings.is_ok(), starts, "check and start do not agree");
    let mut args = CheckArgs { start, ..CheckArgs::default() };
    let (checked, text) = report(&args, &env);
    assert_eq!(checked == Checked::Starts, starts, "{text}");
    assert!(!text.is_empty(), "it says nothing");
    args.json = true;
    let (checked, json) = report(&args, &env);
    assert_eq!(checked == Checked::Starts, starts, "{json}");
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON that programs can read");
}

fn report(args: &CheckArgs, env: &Env) -> (Checked, String) {
    let mut out = Vec::new();
    let checked = check::run(args, (env, &|_| Ok(())), Paint::Plain, &mut out)
        .expect("memory takes everything");
    (checked, String::from_utf8(out).expect("what is said is text"))
}

/// A file of the thread's own with these bytes.
fn file(data: &[u8]) -> PathBuf {
    HOME.with(|home| {
        let home = home.get_or_init(|| TempDir::new().expect("a directory for the file"));
        let path = home.path().join("zoo.cfg");
        // A file that is cut and written again would be flushed to the disk by some file systems.
        let _ = fs::remove_file(&path);
        fs::write(&path, data).expect("the file can be written");
        path
    })
}
