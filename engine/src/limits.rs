//! Every bound of a node, in one place. Units are in the names.

/// Default of `jute.maxbuffer`: the largest request payload.
pub const FRAME_BYTES_MAX: usize = 0xf_ffff;
/// Sub-operations in one multi; a frame bounds it anyway (an empty delete takes 17 bytes), this
/// bounds the work behind one zxid.
pub const MULTI_OPS_MAX: usize = 65_536;
/// Components of a path. ZooKeeper has no limit; ours keeps walks towards the root short and is
/// far beyond what a frame of single-letter components is used for in practice.
pub const PATH_DEPTH_MAX: usize = 2_000;
/// Milliseconds of the longest TTL: 40 bits.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;
/// Transactions applied in one critical section of the write lock.
pub const APPLY_BATCH: usize = 32;
/// Bytes of replies to reads that one critical section of the write lock may make.
pub const APPLY_READ_BYTES: usize = 1 << 20;
/// Znodes copied under one hold of the guard while a snapshot is taken.
pub const SNAPSHOT_SLICE_NODES: usize = 1_024;
/// New connections whose first bytes are served at one moment: each may request a session.
pub const NEW_CONNECTIONS_MAX: usize = 64;
/// Lines that wait for the audit log in one shard, from which on it takes in no write. Answers that
/// are on their way then add theirs.
pub const AUDIT_LINES_MAX: usize = 4_096;
/// The same in bytes: a line may be as long as its request.
pub const AUDIT_BYTES_MAX: usize = 4 << 20;
/// Bytes of a group after which the sequencer stops gathering until the device is free.
pub const GROUP_BYTES_MAX: usize = 4 << 20;
/// Bytes of replies waiting in one connection after which its socket is not read.
pub const CONN_OUT_BYTES_SOFT: usize = 1 << 20;
/// Bytes of replies and notifications waiting in one connection after which it is closed.
pub const CONN_OUT_BYTES_HARD: usize = 64 << 20;
/// Requests waiting in one connection's pipeline after which its socket is not read.
pub const CONN_PIPELINE_MAX: usize = 4_096;
/// Watches of gone connections that are cleared in one tick of a shard.
pub const WATCH_SWEEP: usize = 16_384;
/// Auth identities one connection may collect.
pub const CONN_IDENTITIES_MAX: usize = 1_024;
/// Bytes of data in one packet of a peer: a transaction of another leader may be far larger than a
/// request (the end of a session names all its nodes).
pub const PEER_DATA_BYTES_MAX: usize = 64 << 20;
/// Bytes of all identities in one packet of a peer.
pub const PEER_IDENTITY_BYTES_MAX: usize = 4 << 20;
/// Bytes of one election message, ZooKeeper's `PACKETMAXSIZE`.
pub const ELECTION_BYTES_MAX: usize = 512 << 10;
/// Bytes of the addresses that an election connection begins with, ZooKeeper's `maxBuffer`.
pub const ELECTION_ADDRESS_BYTES_MAX: usize = 2_048;
/// Bytes of one field of a state that another leader sends: a path, data, an identity.
pub const SNAP_FIELD_BYTES_MAX: usize = 64 << 20;
