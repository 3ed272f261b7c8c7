//! SIGHUP: what may change while the server runs is read again.

use std::sync::Arc;

use crate::admin::audit::ReopenFile;
use crate::admin::{Changing, ServerFacts, words};
use crate::config::Settings;
use crate::logging;
use crate::notify_socket::NotifySocket;
use crate::shards::ConnectionLimiter;
use crate::tls::reload::StoreReload;

/// Reads the configuration again; the error says why it cannot be used.
pub(crate) type ReadAgain<'a> = dyn Fn() -> Result<Settings, String> + 'a;

/// The settings that hold at once when they are read again.
const CHANGING: &[&str] =
    &["4lw.commands.whitelist", "maxClientCnxns", "maxCnxns", "ringkeeper.log.level"];

/// What SIGHUP does.
pub(super) struct Reload<'a> {
    /// What the server was started with.
    pub(super) settings: &'a Settings,
    pub(super) read_again: &'a ReadAgain<'a>,
    pub(super) audit: Option<ReopenFile>,
    pub(super) notify: &'a NotifySocket,
    pub(super) facts: &'a ServerFacts,
    pub(super) limiter: &'a ConnectionLimiter,
    pub(super) tls: Option<StoreReload>,
}

impl Reload<'_> {
    /// Opens the audit log's file again and takes over what may change. A configuration that cannot
    /// be used changes nothing.
    pub(super) fn run(&self) {
        self.notify.send_reloading();
        if let Some(file) = &self.audit {
            file.reopen();
            tracing::info!("SIGHUP: the file of the audit log is opened again");
        }
        match (self.read_again)() {
            Ok(new) => self.take(&new),
            Err(why) => tracing::warn!("SIGHUP: the configuration is not taken over: {why}"),
        }
        self.notify.send("READY=1");
    }

    fn take(&self, new: &Settings) {
        logging::change_level(new.log_level);
        if let Some(stores) = &self.tls {
            // Their names are those of the start; what the files hold is read again.
            stores.run(self.settings);
        }
        let (per_ip_max, total_max) = connection_limits(new);
        self.limiter.change(per_ip_max, total_max);
        let whitelist =
            words::take_over(&self.settings.four_letter_whitelist, &new.four_letter_whitelist);
        let changing = Changing { whitelist: Arc::new(whitelist), ..Changing::new(new) };
        *self.facts.changing.lock() = changing;
        let waiting = differing(self.settings, new);
        let level = new.log_level.word();
        if waiting.is_empty() {
            tracing::info!(
                "SIGHUP: ringkeeper.log.level={level}, maxClientCnxns={per_ip_max}, \
                 maxCnxns={total_max} and the whitelist of words hold; nothing else has changed"
            );
        } else {
            let waiting = waiting.join(", ");
            tracing::warn!(
                "SIGHUP: ringkeeper.log.level={level}, maxClientCnxns={per_ip_max}, \
                 maxCnxns={total_max} and the whitelist of words hold; these changes need a \
                 restart: {waiting}"
            );
        }
    }
}

/// `maxClientCnxns` and `maxCnxns`; 0 is no limit.
pub(super) fn connection_limits(settings: &Settings) -> (usize, usize) {
    let limit = |limit: Option<u32>| limit.map_or(0, |limit| limit as usize);
    (limit(settings.max_client_cnxns), limit(settings.max_cnxns))
}

/// The names of settings that have changed and hold after a restart only.
fn differing(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let pairs = old.described().zip(new.described());
    let changed = pairs.filter(|((key, was, _), (_, is, _))| was != is && !CHANGING.contains(key));
    changed.map(|((key, _, _), _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::StartArgs;
    use crate::config::Env;

    fn settings(definitions: &[&str]) -> Settings {
        let definitions = definitions.iter().map(|text| (*text).to_owned()).collect();
        let args = StartArgs { definitions, ..StartArgs::default() };
        Settings::load(&args, &Env::default()).expect("good settings").0
    }

    #[test]
    fn changes_that_need_a_restart_are_named_and_the_level_is_none() {
        let old = settings(&["ringkeeper.log.level=info", "snapCount=100"]);
        let new = settings(&["ringkeeper.log.level=debug", "snapCount=200", "maxCnxns=9"]);
        assert_eq!(differing(&old, &new), ["snapCount"]);
        assert_eq!(differing(&old, &old), [""; 0]);
    }
}
