//! What `ringkeeper tune` wants to know of a configuration.

use std::path::Path;

use ringkeeper_tuning::Configured;

use crate::cli::StartArgs;
use crate::config::{Env, Settings};

/// Reads a configuration as a start would; `None` is a start without any.
pub fn configured(config: Option<&Path>, env: &Env) -> Result<Configured, String> {
    let config = config.map(|path| path.as_os_str().to_owned()).into_iter().collect();
    let args = StartArgs { config, ..StartArgs::default() };
    let (settings, _) = Settings::load(&args, env).map_err(|error| error.to_string())?;
    Ok(Configured {
        data_dir: settings.data_dir,
        log_dir: settings.data_log_dir,
        reserve_bytes: u64::from(settings.reserve_mb) << 20,
        segment_bytes: u64::from(settings.pre_alloc_size_kb) << 10,
        backlog: settings.listen_backlog,
        connections: settings.max_cnxns,
    })
}
