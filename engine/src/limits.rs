//! Every bound of a node, in one place. Units are in the names.

/// Default of `jute.maxbuffer`: the largest request payload.
pub const FRAME_BYTES_MAX: usize = 0xf_ffff;
/// Sub-operations in one multi; a frame holds four times as many. This bounds the work
/// behind one zxid, which is done at once.
pub const MULTI_OPS_MAX: usize = 16_384;
/// Reads in one multiRead; a frame bounds it anyway.
pub const MULTI_READS_MAX: usize = 65_536;
/// Components of a path. ZooKeeper has no limit; ours keeps walks towards the root short and is
/// far beyond what a frame of single-letter components is used for in practice.
pub const PATH_DEPTH_MAX: usize = 2_000;
/// Milliseconds of the longest TTL: 40 bits.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;
/// Bytes of data in a reply to multiRead.
pub const MULTI_READ_BYTES_MAX: usize = 32 << 20;
/// Names of children in a reply to multiRead.
pub const MULTI_READ_NAMES_MAX: usize = 65_536;
/// Names of a long list that are made in one portion. Shorter lists are made at once.
pub const LISTING_PORTION: usize = 4_096;
/// Bytes of results of a multiRead that are made in one portion: one result may go beyond it.
/// Shorter replies are made at once.
pub const LISTING_BYTES: usize = 1 << 20;
/// Bytes of paths, and 64 for each, of ephemeral nodes that one step of the sequencer lets go with
/// their sessions. The rest follows when these are gone.
pub const CLOSE_BYTES_MAX: usize = 256 << 10;
/// Names of all long lists in one turn of a shard.
pub const TURN_NAMES: usize = 16_384;
/// Work of one turn of a shard for what has just arrived, in units of about 100 ns on one core: see
/// `shard::work`. What is left goes on in the next turn.
pub const TURN_WORK: usize = 20_000;
/// Work of one turn for one connection. A request may take more; its connection waits the longer
/// for its next one.
pub const CONN_WORK: usize = 4_000;
/// Transactions applied in one critical section of the write lock.
pub const APPLY_BATCH: usize = 32;
/// Bytes of replies to reads that one critical section of the write lock may make.
pub const APPLY_READ_BYTES: usize = 1 << 20;
/// Znodes copied under one hold of the guard while a snapshot is taken.
pub const SNAPSHOT_SLICE_NODES: usize = 1_024;
/// Bytes of old images of nodes that a snapshot under way may have waiting. Beyond them nothing is
/// applied until its writer has taken some.
pub const SNAPSHOT_BACKLOG_BYTES: usize = 256 << 20;
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
/// Bytes of replies and notifications waiting in all connections together, from which on sockets
/// are not read where something waits, and large replies are not made.
pub const OUT_BYTES_MAX: usize = 512 << 20;
/// Bytes of a reply that is large.
pub const LARGE_REPLY_BYTES: usize = 64 << 10;
/// Requests waiting in one connection's pipeline after which its socket is not read.
pub const CONN_PIPELINE_MAX: usize = 4_096;
/// Watches of gone connections that are cleared in one tick of a shard.
pub const WATCH_SWEEP: usize = 16_384;
/// Auth identities one connection may collect.
pub const CONN_IDENTITIES_MAX: usize = 128;
/// Bytes of the identities that one connection may collect.
pub const CONN_IDENTITY_BYTES_MAX: usize = 64 << 10;
/// Entries of an access control list that a client may set. ZooKeeper has no limit of its own;
/// a frame holds 80,000.
pub const ACL_ENTRIES_MAX: usize = 8_192;
/// Bytes that `auth` may add to one list: it stands for all identities of a connection, so that a
/// request of 60 bytes becomes one of 4 KiB at most.
pub const ACL_EXPANDED_BYTES_MAX: usize = 4 << 10;
/// Bytes that `auth` may add to all lists of one transaction.
pub const TXN_EXPANDED_BYTES_MAX: usize = 1 << 20;
/// Bytes of memory from which on a list counts as large.
pub const ACL_LARGE_BYTES: usize = 1 << 10;
/// Bytes of memory that large lists which differ may take; a request that sets one more is refused.
/// What the log, a snapshot or another leader brings is taken all the same.
pub const ACL_LARGE_TOTAL_BYTES_MAX: usize = 256 << 20;
/// Bytes of a quota's limits or usage that are looked at. What the server or a client's library
/// writes takes 140 at most; every change below the quota reads them, so a client that sets more is
/// refused, and more that is there already counts as text that cannot be read.
pub const QUOTA_TEXT_BYTES_MAX: usize = 256;
/// Bytes of data in one packet of a peer: a transaction of another leader may be far larger than a
/// request (the end of a session names all its nodes).
pub const PEER_DATA_BYTES_MAX: usize = 64 << 20;
/// Identities in one packet of a peer, which may let its connections have more than this server.
pub const PEER_IDENTITIES_MAX: usize = 1_024;
/// Bytes of all identities in one packet of a peer.
pub const PEER_IDENTITY_BYTES_MAX: usize = 4 << 20;
/// Bytes of one election message, ZooKeeper's `PACKETMAXSIZE`.
pub const ELECTION_BYTES_MAX: usize = 512 << 10;
/// Bytes of the addresses that an election connection begins with, ZooKeeper's `maxBuffer`.
pub const ELECTION_ADDRESS_BYTES_MAX: usize = 2_048;
/// Bytes of one field of a state that another leader sends: a path, data, an identity.
pub const SNAP_FIELD_BYTES_MAX: usize = 64 << 20;
