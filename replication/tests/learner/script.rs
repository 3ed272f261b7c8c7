//! What a scripted leader says.

use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::peer::{LeaderPacket, PROTOCOL_VERSION};
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

/// A packet of a leader, without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    LeaderEpoch(u32),
    Diff(Zxid),
    Trunc(Zxid),
    Snap(Zxid),
    NewLeader(u32),
    UpToDate,
    Proposal(Zxid),
    /// A proposal that changes the members.
    Reconfig(Zxid),
    Commit(Zxid),
    CommitAndActivate(Zxid, i64),
    Inform(Zxid),
    InformAndActivate(Zxid, i64),
    /// The same with a transaction that changes no members.
    ActivateOther(Zxid),
    Ping(Zxid),
    Revalidate,
    Sync,
}

pub(crate) use Said::{
    Commit, CommitAndActivate, Diff, Inform, InformAndActivate, LeaderEpoch, NewLeader, Ping,
    Proposal, Reconfig, Revalidate, Snap, Sync, Trunc, UpToDate,
};

/// The configuration that scripted leaders have.
pub(crate) const CONFIG: &[u8] = b"server.1=a\nversion=0";

pub(crate) const fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

/// A transaction with this zxid, as it stands in a proposal.
pub(crate) fn payload(zxid: Zxid, body: TxnBody) -> Vec<u8> {
    let (session, cxid, time) = (SessionId(9), 1, Millis(5));
    let txn = Txn { session, cxid, zxid, time, body };
    let mut bytes = Vec::new();
    Entry { txn, lists_paths: true, digest: None }.write(&mut bytes);
    bytes
}

pub(crate) fn refusal() -> TxnBody {
    TxnBody::Error(Code::NoNode)
}

fn reconfig() -> TxnBody {
    TxnBody::Reconfig { data: Some(CONFIG.into()), version: -1 }
}

impl Said {
    /// Calls `take` with the packet.
    pub(crate) fn packet(self, take: impl FnOnce(LeaderPacket<'_>)) {
        let protocol = PROTOCOL_VERSION;
        let txn;
        take(match self {
            LeaderEpoch(epoch) => {
                LeaderPacket::LeaderInfo { zxid: z(epoch, 0), protocol, extension: &[] }
            }
            Diff(zxid) => LeaderPacket::Diff { zxid },
            Trunc(zxid) => LeaderPacket::Trunc { zxid },
            Snap(zxid) => LeaderPacket::Snap { zxid },
            NewLeader(epoch) => LeaderPacket::NewLeader { zxid: z(epoch, 0), config: Some(CONFIG) },
            UpToDate => LeaderPacket::UpToDate,
            Proposal(zxid) => {
                txn = payload(zxid, refusal());
                LeaderPacket::Proposal { zxid, txn: &txn }
            }
            Reconfig(zxid) => {
                txn = payload(zxid, reconfig());
                LeaderPacket::Proposal { zxid, txn: &txn }
            }
            Commit(zxid) => LeaderPacket::Commit { zxid },
            CommitAndActivate(zxid, designated) => {
                LeaderPacket::CommitAndActivate { zxid, designated }
            }
            Inform(zxid) => {
                txn = payload(zxid, refusal());
                LeaderPacket::Inform { zxid, txn: &txn }
            }
            InformAndActivate(zxid, designated) => {
                txn = payload(zxid, reconfig());
                LeaderPacket::InformAndActivate { zxid, designated, txn: &txn }
            }
            Said::ActivateOther(zxid) => {
                txn = payload(zxid, refusal());
                LeaderPacket::InformAndActivate { zxid, designated: 1, txn: &txn }
            }
            Ping(zxid) => LeaderPacket::Ping { zxid },
            Revalidate => LeaderPacket::Revalidate { session: SessionId(9), valid: true },
            Sync => LeaderPacket::Sync,
        });
    }
}
