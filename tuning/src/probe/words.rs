//! Strategies and loads as words of a report.

use ringkeeper_engine::device::{Load, Strategy};
use serde::{Deserialize, Serialize};

/// Strategies as the words of the settings.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Strategy", rename_all = "lowercase")]
pub(crate) enum StrategyWord {
    Direct,
    Uring,
    Pwrite,
    Mmap,
}

/// Loads as words.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Load", rename_all = "lowercase")]
pub(super) enum LoadWord {
    Quiet,
    Busy,
}

/// The word of a load.
pub(crate) const fn load_name(load: Load) -> &'static str {
    match load {
        Load::Quiet => "quiet",
        Load::Busy => "busy",
    }
}
