//! The members of the ensemble as its leader has them.
//!
//! `/zookeeper/config` is no part of what is replicated: each server writes it itself when it is
//! synchronized, from what its leader says. A change of the members is a transaction as any other.

use ringkeeper_engine::txn::CONFIG_NODE;
use ringkeeper_engine::{Millis, Zxid};

use crate::config::{Ensemble, Member, NamedMembers, PeerRole};
use crate::node::clock::wall;
use crate::node::view::View;

/// What this server knows of the members.
pub(crate) struct Configuration {
    own: Ensemble,
    /// The version of what holds.
    version: u64,
    /// A change of the members that is not applied yet.
    changing: Option<Zxid>,
}

impl Configuration {
    /// What the configuration file says.
    pub(crate) fn new(own: Ensemble) -> Configuration {
        let version = own.version;
        Configuration { own, version, changing: None }
    }

    /// Writes what the leader says into the node that clients read; nothing where it says nothing.
    /// Returns who votes, where that is newer than what holds.
    pub(super) fn adopt(&mut self, text: Option<&[u8]>, view: &View) -> Option<Vec<Member>> {
        let own;
        let text = match text.map(std::str::from_utf8) {
            Some(Ok(text)) if !text.is_empty() => text,
            _ => {
                own = self.own.text();
                &own
            }
        };
        let named = self.parse(text)?;
        write(view, text, &named, wall());
        self.take(named)
    }

    /// The members change by this transaction, which is applied soon or already.
    pub(super) fn changes_at(&mut self, zxid: Zxid) {
        self.changing = Some(zxid);
    }

    /// Who votes after a change that is applied now.
    pub(super) fn take_change(&mut self, view: &View) -> Option<Vec<Member>> {
        let zxid = self.changing?;
        let named = {
            let db = view.read();
            if db.applied() < zxid {
                return None;
            }
            let node = db.tree.find(CONFIG_NODE).expect("every tree has it");
            self.parse(std::str::from_utf8(db.tree.data(node)?).ok()?)
        };
        self.changing = None;
        self.take(named?)
    }

    fn parse(&self, text: &str) -> Option<NamedMembers> {
        match NamedMembers::parse(text) {
            Ok(named) => Some(named),
            Err(why) => {
                tracing::warn!("the members that the leader names cannot be read: {why}");
                None
            }
        }
    }

    fn take(&mut self, named: NamedMembers) -> Option<Vec<Member>> {
        if named.version <= self.version {
            return None;
        }
        self.version = named.version;
        let numbers: Vec<String> = named.members.iter().map(|it| it.id.0.to_string()).collect();
        tracing::info!(
            version = format!("{:x}", named.version),
            "the members of the ensemble are now servers {}; write them into the configuration \
             of this server",
            numbers.join(", ")
        );
        let votes = |member: &Member| member.role == PeerRole::Participant;
        let voters: Vec<Member> = named.members.into_iter().filter(votes).collect();
        (!voters.is_empty()).then_some(voters)
    }
}

fn write(view: &View, text: &str, named: &NamedMembers, now: Millis) {
    let mut db = view.write();
    let node = db.tree.find(CONFIG_NODE).expect("every tree has it");
    if db.tree.data(node) != Some(text.as_bytes()) {
        // ZooKeeper's version of this node is -1 for ever.
        db.tree.set_data(node, Some(text.as_bytes()), -1, Zxid(named.version), now);
    }
}
