//! Error codes of the client protocol.

/// What a reply header carries in `err`. Numbers are the protocol's; the names are ZooKeeper's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum Code {
    /// Success.
    Ok = 0,
    /// The server could not do it for a reason of its own (its disk is full, for example).
    SystemError = -1,
    /// An operation after the failing one of a multi.
    RuntimeInconsistency = -2,
    /// The request could not be parsed.
    MarshallingError = -5,
    /// Unknown operation, or one that this configuration does not offer.
    Unimplemented = -6,
    /// Bad path, flags, TTL, or a node that may not be touched.
    BadArguments = -8,
    /// The proposed ensemble has no quorum.
    NewConfigNoQuorum = -13,
    /// Another reconfiguration is under way.
    ReconfigInProgress = -14,
    /// The node does not exist.
    NoNode = -101,
    /// The ACL does not allow it.
    NoAuth = -102,
    /// The expected version is not the current one.
    BadVersion = -103,
    /// Ephemeral nodes have no children.
    NoChildrenForEphemerals = -108,
    /// The node exists already.
    NodeExists = -110,
    /// The node has children.
    NotEmpty = -111,
    /// The session is gone.
    SessionExpired = -112,
    /// The ACL list is not acceptable.
    InvalidAcl = -114,
    /// The authentication failed; the connection is closed after this.
    AuthFailed = -115,
    /// The session is owned by another server.
    SessionMoved = -118,
    /// A write reached a server that only serves reads.
    NotReadOnly = -119,
    /// A local session cannot own ephemeral nodes.
    EphemeralOnLocalSession = -120,
    /// There was no such watch.
    NoWatcher = -121,
    /// Reconfiguration is switched off.
    ReconfigDisabled = -123,
    /// Authentication is enforced and missing.
    SessionClosedRequireSaslAuth = -124,
    /// A hard quota would be exceeded.
    QuotaExceeded = -125,
    /// The request waited too long in the throttle.
    ThrottledOp = -127,
}

impl Code {
    /// Every code, for parsing and for the documentation.
    pub const ALL: [Code; 25] = [
        Code::Ok,
        Code::SystemError,
        Code::RuntimeInconsistency,
        Code::MarshallingError,
        Code::Unimplemented,
        Code::BadArguments,
        Code::NewConfigNoQuorum,
        Code::ReconfigInProgress,
        Code::NoNode,
        Code::NoAuth,
        Code::BadVersion,
        Code::NoChildrenForEphemerals,
        Code::NodeExists,
        Code::NotEmpty,
        Code::SessionExpired,
        Code::InvalidAcl,
        Code::AuthFailed,
        Code::SessionMoved,
        Code::NotReadOnly,
        Code::EphemeralOnLocalSession,
        Code::NoWatcher,
        Code::ReconfigDisabled,
        Code::SessionClosedRequireSaslAuth,
        Code::QuotaExceeded,
        Code::ThrottledOp,
    ];

    /// The number on the wire.
    pub const fn to_wire(self) -> i32 {
        self as i32
    }

    /// The code of a number, if it is one that this server knows.
    pub fn from_wire(raw: i32) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.to_wire() == raw)
    }
}
