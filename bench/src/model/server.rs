//! The server that was measured, as far as it is known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The server that was measured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Server {
    pub pids: Vec<u32>,
    /// Each of the servers, as they were when the load was over.
    #[serde(default)]
    pub members: Vec<Member>,
    /// The one that configuration and counters were read from. `asked` in older results.
    #[serde(default, alias = "asked")]
    pub source: Option<String>,
    pub configuration: BTreeMap<String, String>,
    /// Where its log lies, if it runs on this host.
    pub storage: Option<Storage>,
    /// What its counters say of the run.
    pub counters: Option<Counters>,
    /// Counters of `mntr` that changed between the begin and the end of the run, and by how much.
    pub changes: BTreeMap<String, f64>,
}

/// One of the servers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Its address, unless only its process was named.
    pub server: Option<String>,
    /// Its version, if it is known.
    pub version: Option<String>,
    /// `leader`, `follower`, `observer` or `standalone`; none if it does not serve.
    pub role: Option<String>,
    /// Its process, if it is on this host.
    pub pid: Option<u32>,
    /// Processors that it kept busy, with those processes that were killed.
    pub cpus: Option<f64>,
    /// Its memory at the end.
    pub rss_bytes: Option<u64>,
    /// The most it ever held.
    pub rss_peak_bytes: Option<u64>,
}

/// A directory and what is below it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Storage {
    pub directory: String,
    /// Where its file system is mounted.
    pub mount_point: String,
    pub file_system: String,
    /// Options of the mount, and those of the file system.
    pub mount_options: String,
    /// What is mounted.
    pub source: String,
    /// Name of the block device, if there is one.
    pub device: Option<String>,
    /// Its model, if it is known.
    pub model: Option<String>,
    pub scheduler: Option<String>,
    /// Its write cache: `write back` may lose what was not flushed.
    pub write_cache: Option<String>,
    /// Whether it is a spinning disk.
    pub rotational: Option<bool>,
    pub free_bytes: Option<u64>,
    /// What `--probe-disk` measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<SyncProbe>,
}

/// How long it takes to make one small write durable.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SyncProbe {
    pub syncs: u64,
    /// Bytes written before each.
    pub bytes: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

/// What the server's own counters say of the run; they include its warm-up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Syncs of the log.
    pub syncs: u64,
    /// Milliseconds that one took, on average.
    pub sync_ms: Option<f64>,
    /// Groups of records that were made durable together.
    pub groups: u64,
    /// Records of a group, on average.
    pub records_per_group: Option<f64>,
    pub snapshots: u64,
    /// Milliseconds that one took, on average.
    pub snapshot_ms: Option<f64>,
    pub elections: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_read_under_its_older_name_and_written_under_the_new_one() {
        let server = Server { source: Some("127.0.0.1:2181".to_owned()), ..Server::default() };
        let text = serde_json::to_string(&server).unwrap();
        assert!(text.contains("\"source\":\"127.0.0.1:2181\""), "{text}");
        let older = text.replace("\"source\"", "\"asked\"");
        assert_eq!(serde_json::from_str::<Server>(&older).unwrap(), server);
    }
}
