//! The rows of `mntr`, in ZooKeeper's order.
//!
//! What does not exist in this design is there all the same and stays 0, since monitors complain
//! of names that are missing: stages of Java's pipeline of processors, caches, throttles, TLS and
//! what only an ensemble has.

use ringkeeper_engine::shard::{ReplyBytes, ThrottleCounters};
use ringkeeper_engine::tree::QuotaSum;
use ringkeeper_engine::wire::event::EventType;
use ringkeeper_replication::ProposalSizes;
use ringkeeper_replication::learner::LearnerKind;

use self::Show::{Advanced, Basic, Each, EachAdvanced, Maybe, NoAdvanced, NoBasic, One, Zero};
use crate::admin::latency::{Latencies, Summary, decimal};
use crate::admin::member::{MemberNumbers, ReplicationNumbers, peer_state};
use crate::admin::numbers::Numbers;
use crate::config::PeerRole;
use crate::peers::status::LeadingReport;

/// How a number is shown, and where it comes from.
#[derive(Clone, Copy)]
pub(in crate::admin) enum Show {
    /// One line.
    One(fn(&Numbers) -> String),
    /// One line of something that does not exist here.
    Zero,
    /// One line where the thing is switched on, none where it is not.
    Maybe(fn(&Numbers) -> Option<String>),
    /// One line per namespace that has such a number: the namespace, an underscore, the name.
    Each(fn(&Numbers) -> Vec<(&str, String)>),
    /// A mean, the extremes, a count and a sum.
    Basic(fn(&Numbers) -> Summary),
    /// The same of something that does not exist here.
    NoBasic,
    /// As `Basic`, and percentiles.
    Advanced(fn(&Numbers) -> Summary),
    /// The same of something that does not exist here.
    NoAdvanced,
    /// As `Advanced`, for each server that has such times: its number, an underscore, the name.
    EachAdvanced(fn(&Numbers) -> Vec<(String, Summary)>),
}

/// Every row. Our own ones come last.
pub(in crate::admin) const ROWS: &[(&str, Show)] = &[
    ("version", One(|n| n.version.clone())),
    ("server_state", One(|n| n.mode.to_owned())),
    ("peer_state", Maybe(|n| n.member.as_ref().map(|m| peer_state(&m.report, n.server_id)))),
    ("observer_master_id", Maybe(observer_master_id)),
    ("ephemerals_count", One(|n| n.database.ephemerals.to_string())),
    ("num_alive_connections", One(|n| n.counts.conns.to_string())),
    ("avg_latency", One(|n| decimal(n.latency.avg))),
    ("outstanding_requests", One(|n| n.counts.outstanding.to_string())),
    ("znode_count", One(|n| n.database.nodes.to_string())),
    ("global_sessions", One(|n| n.sessions.to_string())),
    ("non_mtls_remote_conn_count", One(|n| n.handshakes.plain_remote.to_string())),
    ("last_client_response_size", One(|n| reply_bytes(n, |bytes| bytes.last))),
    ("packets_sent", One(|n| n.counts.shard.sent.to_string())),
    ("packets_received", One(|n| n.counts.shard.received.to_string())),
    ("max_client_response_size", One(|n| reply_bytes(n, |bytes| bytes.max))),
    ("connection_drop_probability", One(|n| format!("{:?}", n.drop_chance))),
    ("watch_count", One(|n| n.counts.watches.to_string())),
    ("auth_failed_count", One(|n| n.counts.shard.auth_failed.to_string())),
    ("min_latency", One(|n| n.latency.min.to_string())),
    ("max_file_descriptor_count", One(|n| n.file_descriptors.1.to_string())),
    ("approximate_data_size", One(|n| n.database.data_bytes.to_string())),
    ("open_file_descriptor_count", One(|n| n.file_descriptors.0.to_string())),
    ("local_sessions", Zero),
    ("uptime", One(|n| n.uptime_ms.to_string())),
    ("max_latency", One(|n| n.latency.max.to_string())),
    ("outstanding_tls_handshake", One(|n| n.handshakes.outstanding.to_string())),
    ("min_client_response_size", One(|n| reply_bytes(n, |bytes| bytes.min))),
    ("non_mtls_local_conn_count", One(|n| n.handshakes.plain_local.to_string())),
    ("quorum_size", Maybe(|n| n.member.as_ref().map(|m| m.voters.to_string()))),
    ("min_proposal_size", Maybe(|n| proposal_bytes(n, |sizes| sizes.min))),
    ("max_proposal_size", Maybe(|n| proposal_bytes(n, |sizes| sizes.max))),
    ("last_proposal_size", Maybe(|n| proposal_bytes(n, |sizes| sizes.last))),
    ("pending_syncs", Maybe(|n| (n.mode == "leader").then(|| n.pending_syncs.to_string()))),
    ("leader_uptime", Maybe(|n| leading(n, |_, uptime_ms| uptime_ms))),
    ("learners", Maybe(|n| leading(n, |l, _| count(l.learners.len())))),
    ("synced_followers", Maybe(|n| leading(n, |l, _| synced(l, LearnerKind::Follower)))),
    ("synced_non_voting_followers", Maybe(|n| leading(n, |_, _| 0))),
    ("synced_observers", Maybe(|n| leading(n, |l, _| synced(l, LearnerKind::Observer)))),
    ("quota_bytes_limit_per_namespace", Each(|n| quotas(n, |q| q.bytes_max.unwrap_or(-1)))),
    ("quota_count_usage_per_namespace", Each(|n| quotas(n, |q| q.count))),
    ("quota_count_limit_per_namespace", Each(|n| quotas(n, |q| q.count_max.unwrap_or(-1)))),
    ("quota_bytes_usage_per_namespace", Each(|n| quotas(n, |q| q.bytes))),
    ("watch_bytes", Zero),
    ("stale_requests_dropped", One(|n| throttle(n).stale_dropped.to_string())),
    ("throttled_ops", One(|n| throttle(n).throttled.to_string())),
    ("insecure_admin_count", Zero),
    ("connection_rejected", One(|n| (n.totals.rejected + n.connections.rejected).to_string())),
    ("sessionless_connections_expired", One(|n| n.counts.shard.sessionless_expired.to_string())),
    ("dead_watchers_queued", Zero),
    ("stale_requests", One(|n| throttle(n).stale.to_string())),
    ("connection_drop_count", One(|n| n.counts.shard.dropped.to_string())),
    ("response_packet_cache_hits", Zero),
    ("bytes_received_count", One(|n| n.counts.shard.received_bytes.to_string())),
    ("add_dead_watcher_stall_time", Zero),
    ("request_throttle_wait_count", One(|n| throttle(n).waits.to_string())),
    ("requests_not_forwarded_to_commit_processor", Zero),
    ("response_packet_cache_misses", Zero),
    ("prep_processor_request_queued", One(|n| n.batch.sizes().sum.to_string())),
    ("stale_replies", One(|n| throttle(n).stale_replies.to_string())),
    ("response_bytes", One(|n| n.counts.shard.reply_bytes_sum.to_string())),
    ("ensemble_auth_fail", Zero),
    ("diff_count", One(|n| replicated(n, |r| r.diffs).to_string())),
    ("connection_revalidate_count", One(|n| n.counts.shard.revalidations.to_string())),
    (
        "quit_leading_due_to_disloyal_voter",
        One(|n| replicated(n, |r| r.disloyal_voters).to_string()),
    ),
    ("unrecoverable_error_count", Zero),
    ("unsuccessful_handshake", One(|n| n.handshakes.unsuccessful.to_string())),
    ("commit_count", One(|n| n.totals.ordered.1.to_string())),
    ("outstanding_changes_queued", Zero),
    ("request_commit_queued", Zero),
    ("ensemble_auth_skip", Zero),
    ("skip_learner_request_to_next_processor_count", Zero),
    ("proposal_count", One(|n| n.totals.ordered.0.to_string())),
    ("large_requests_rejected", One(|n| throttle(n).large_rejected.to_string())),
    ("outstanding_changes_removed", Zero),
    ("restore_error_count", Zero),
    ("cnxn_closed_without_zk_server_running", Zero),
    ("looking_count", One(|n| member(n, |m| m.looks).to_string())),
    ("snapshot_rate_limited_count", One(|n| n.snapshots_limited.to_string())),
    ("learner_proposal_received_count", One(|n| accepted(n).to_string())),
    ("digest_mismatches_count", One(|n| replicated(n, |r| r.divergences).to_string())),
    ("dead_watchers_cleared", Zero),
    ("ensemble_auth_success", Zero),
    ("learner_commit_received_count", One(|n| n.totals.learned.1.to_string())),
    ("snapshot_error_count", One(|n| n.totals.snapshots_failed.to_string())),
    ("connection_request_count", One(|n| connection_requests(n).to_string())),
    ("response_packet_get_children_cache_misses", Zero),
    ("snap_count", One(|n| replicated(n, |r| r.snaps).to_string())),
    ("stale_sessions_expired", One(|n| n.totals.expired.to_string())),
    ("restore_rate_limited_count", Zero),
    ("response_packet_get_children_cache_hits", Zero),
    ("sync_processor_request_queued", One(|n| n.totals.records.to_string())),
    ("tls_handshake_exceeded", One(|n| n.handshakes.exceeded.to_string())),
    ("revalidate_count", One(|n| forwarded_renewals(n).to_string())),
    ("quota_exceeded_error_per_namespace", Each(quotas_refused)),
    ("socket_closing_time", NoBasic),
    ("proposal_process_time", NoBasic),
    ("leader_unavailable_time", Basic(|n| member(n, |m| m.leader_unavailable))),
    ("node_created_watch_count", Basic(|n| fired(n, EventType::NodeCreated))),
    ("session_queues_drained", NoBasic),
    ("write_commit_proc_req_queued", NoBasic),
    ("connection_token_deficit", Basic(token_deficit)),
    ("read_commit_proc_req_queued", NoBasic),
    ("node_deleted_watch_count", Basic(|n| fired(n, EventType::NodeDeleted))),
    ("startup_txns_load_time", Basic(|n| replayed(n, n.startup.log_ms))),
    ("sync_processor_queue_size", Basic(|n| n.group.sizes())),
    ("follower_sync_time", Basic(|n| syncs(n, PeerRole::Participant))),
    ("prep_processor_queue_size", Basic(|n| n.batch.sizes())),
    ("fsynctime", Basic(|n| n.fsync)),
    ("inflight_snap_count", Basic(|n| replicated(n, |r| r.inflight_snaps))),
    ("reads_issued_from_session_queue", NoBasic),
    ("restore_time", NoBasic),
    ("learner_request_processor_queue_size", NoBasic),
    ("snapshottime", Basic(|n| n.snapshot)),
    ("unavailable_time", Basic(|n| member(n, |m| m.unavailable))),
    ("startup_txns_loaded", Basic(|n| replayed(n, n.startup.transactions))),
    ("reads_after_write_in_session_queue", NoBasic),
    ("requests_in_session_queue", NoBasic),
    ("write_commit_proc_issued", NoBasic),
    ("prep_process_time", Basic(|n| n.prepare.millis())),
    ("pending_session_queue_size", NoBasic),
    ("time_waiting_empty_pool_in_commit_processor_read_ms", NoBasic),
    ("commit_process_time", Basic(|n| n.apply.millis())),
    ("dbinittime", Basic(|n| once(n.startup.total_ms))),
    ("inflight_diff_count", Basic(|n| replicated(n, |r| r.inflight_diffs))),
    ("netty_queued_buffer_capacity", NoBasic),
    ("election_time", Basic(|n| member(n, |m| m.elections))),
    ("commit_commit_proc_req_queued", NoBasic),
    ("sync_processor_batch_size", Basic(|n| n.group.sizes())),
    ("node_children_watch_count", Basic(|n| fired(n, EventType::NodeChildrenChanged))),
    ("write_batch_time_in_commit_processor", Basic(|n| n.apply.millis())),
    ("read_commit_proc_issued", NoBasic),
    ("concurrent_request_processing_in_commit_processor", NoBasic),
    ("observer_sync_time", Basic(|n| syncs(n, PeerRole::Observer))),
    ("node_changed_watch_count", Basic(|n| fired(n, EventType::NodeDataChanged))),
    ("sync_process_time", Basic(|n| n.fsync)),
    ("startup_snap_load_time", Basic(|n| once(n.startup.snapshot_ms))),
    ("prep_processor_queue_time_ms", NoAdvanced),
    ("jvm_pause_time_ms", NoAdvanced),
    ("close_session_prep_time", NoAdvanced),
    ("read_commitproc_time_ms", NoAdvanced),
    ("updatelatency", Advanced(|n| n.counts.updates.millis())),
    ("local_write_committed_time_ms", NoAdvanced),
    ("request_throttle_queue_time_ms", Advanced(|n| n.counts.held.millis())),
    ("readlatency", Advanced(|n| n.counts.reads.millis())),
    ("quorum_ack_latency", Advanced(|n| replicated(n, |r| r.quorum_acks.millis()))),
    ("om_commit_process_time_ms", NoAdvanced),
    ("read_final_proc_time_ms", NoAdvanced),
    ("commit_propagation_latency", Advanced(|n| replicated(n, |r| r.commits.millis()))),
    ("dead_watchers_cleaner_latency", NoAdvanced),
    ("write_final_proc_time_ms", Advanced(|n| n.apply.millis())),
    ("proposal_ack_creation_latency", Advanced(|n| replicated(n, |r| r.own_acks.millis()))),
    ("proposal_latency", Advanced(|n| replicated(n, |r| r.proposals.millis()))),
    ("om_proposal_process_time_ms", NoAdvanced),
    ("sync_processor_queue_and_flush_time_ms", Advanced(|n| n.settle.millis())),
    ("propagation_latency", Advanced(propagation)),
    ("server_write_committed_time_ms", NoAdvanced),
    ("sync_processor_queue_time_ms", Advanced(|n| n.gather.millis())),
    ("sync_processor_queue_flush_time_ms", Advanced(|n| n.fsync)),
    ("write_commitproc_time_ms", NoAdvanced),
    ("ack_latency", EachAdvanced(acks)),
    ("ringkeeper_fsync_p50_us", One(|n| n.fsync_us[0].to_string())),
    ("ringkeeper_fsync_p99_us", One(|n| n.fsync_us[3].to_string())),
    ("ringkeeper_read_p99_us", One(|n| p99(&n.counts.reads).to_string())),
    ("ringkeeper_update_p99_us", One(|n| p99(&n.counts.updates).to_string())),
    ("ringkeeper_group_bytes_avg", One(|n| (n.totals.bytes / n.totals.commits.max(1)).to_string())),
    ("ringkeeper_audit_lines_lost", Maybe(|n| n.audit_lost.map(|lost| lost.to_string()))),
];

/// What only a member of an ensemble has.
fn member<T: Default>(numbers: &Numbers, value: impl FnOnce(&MemberNumbers) -> T) -> T {
    numbers.member.as_ref().map(value).unwrap_or_default()
}

/// What only a member of an ensemble counts or measures.
fn replicated<T: Default>(numbers: &Numbers, value: impl FnOnce(&ReplicationNumbers) -> T) -> T {
    member(numbers, |member| value(&member.replication))
}

/// A server on its own has committed what is on its disk.
fn propagation(numbers: &Numbers) -> Summary {
    match &numbers.member {
        Some(member) => member.replication.propagation.millis(),
        None => numbers.settle.millis(),
    }
}

/// From the proposal of a group until a follower has acknowledged it, by follower.
fn acks(numbers: &Numbers) -> Vec<(String, Summary)> {
    let acks = numbers.member.iter().flat_map(|member| &member.replication.acks);
    acks.map(|(server, times)| (server.0.to_string(), times.millis())).collect()
}

/// Sessions that clients went on with here, and that the leader was asked for.
fn forwarded_renewals(numbers: &Numbers) -> u64 {
    let follows = numbers.member.is_some() && numbers.mode != "leader";
    if follows { numbers.counts.shard.revalidations } else { 0 }
}

/// What only a leader has; beside it, for how long it has led, milliseconds.
fn leading(numbers: &Numbers, value: fn(&LeadingReport, i64) -> i64) -> Option<String> {
    let report = &numbers.member.as_ref()?.report;
    let leading = report.leading.as_ref().filter(|leading| leading.is_established)?;
    Some(value(leading, numbers.uptime_ms - report.since.0).to_string())
}

fn synced(leading: &LeadingReport, kind: LearnerKind) -> i64 {
    count(leading.count(kind).1)
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Synchronizations with a leader, of a server in this role.
fn syncs(numbers: &Numbers, role: PeerRole) -> Summary {
    member(
        numbers,
        |member| {
            if member.report.role == role { member.syncs } else { Summary::default() }
        },
    )
}

/// The leader that an observer follows, or -1.
fn observer_master_id(numbers: &Numbers) -> Option<String> {
    let report = &numbers.member.as_ref()?.report;
    let leader = report.leader.as_ref().map_or(-1, |leader| i64::from(leader.id.0));
    (report.role == PeerRole::Observer).then(|| leader.to_string())
}

fn quotas(numbers: &Numbers, of: fn(&QuotaSum) -> i64) -> Vec<(&str, String)> {
    numbers.quotas.iter().map(|(namespace, sum)| (&**namespace, of(sum).to_string())).collect()
}

fn quotas_refused(numbers: &Numbers) -> Vec<(&str, String)> {
    let refused = numbers.quotas_refused.iter();
    refused.map(|(namespace, count)| (&**namespace, count.to_string())).collect()
}

fn throttle(numbers: &Numbers) -> ThrottleCounters {
    numbers.counts.shard.throttle
}

/// Those that the limit of new connections turned away are none, as in ZooKeeper.
fn connection_requests(numbers: &Numbers) -> u64 {
    numbers.counts.shard.connection_requests.saturating_sub(numbers.connections.rejected)
}

fn token_deficit(numbers: &Numbers) -> Summary {
    let tally = numbers.connections;
    Summary {
        avg: tally.missing as f64 / tally.admitted.max(1) as f64,
        min: tally.missing_min,
        max: tally.missing_max,
        // Without a limit there are no tokens, and none is missing to anybody.
        count: if tally.admitted > 0 { tally.admitted } else { connection_requests(numbers) },
        sum: tally.missing,
        percentiles: None,
    }
}

/// Proposals of a leader that this server has in its log; an observer gets none.
fn accepted(numbers: &Numbers) -> u64 {
    let votes = |member: &MemberNumbers| member.report.role == PeerRole::Participant;
    if numbers.member.as_ref().is_some_and(votes) { numbers.totals.learned.0 } else { 0 }
}

/// -1 where nothing was proposed yet.
fn proposal_bytes(numbers: &Numbers, of: fn(&ProposalSizes) -> u64) -> Option<String> {
    let bytes = || numbers.proposals.as_ref().map_or(-1, |sizes| of(sizes).cast_signed());
    (numbers.mode == "leader").then(|| bytes().to_string())
}

/// -1 where nothing was replied yet.
fn reply_bytes(numbers: &Numbers, of: fn(&ReplyBytes) -> u64) -> String {
    let bytes = numbers.counts.shard.reply_bytes.as_ref();
    bytes.map_or_else(|| "-1".to_owned(), |bytes| of(bytes).to_string())
}

fn p99(times: &Latencies) -> u64 {
    times.sizes().percentiles.unwrap_or_default()[3]
}

fn fired(numbers: &Numbers, event: EventType) -> Summary {
    let fired = numbers.counts.shard.fired[event as usize];
    Summary {
        avg: fired.watches as f64 / fired.changes.max(1) as f64,
        min: fired.min,
        max: fired.max,
        count: fired.changes,
        sum: fired.watches,
        percentiles: None,
    }
}

/// What is noted only where there was something to replay, as in ZooKeeper.
fn replayed(numbers: &Numbers, value: u64) -> Summary {
    if numbers.startup.transactions == 0 { Summary::default() } else { once(value) }
}

/// Something that happens once.
fn once(value: u64) -> Summary {
    Summary {
        avg: value as f64,
        min: value,
        max: value,
        count: 1,
        sum: value,
        percentiles: Some([value; 5]),
    }
}
