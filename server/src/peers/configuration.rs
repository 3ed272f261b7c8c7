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
        let db = view.read();
        if db.applied() < zxid {
            return None;
        }
        // Whatever it says, it is looked at once.
        self.changing = None;
        let node = db.tree.find(CONFIG_NODE).expect("every tree has it");
        let named = self.parse(&String::from_utf8_lossy(db.tree.data(node)?))?;
        self.take(named)
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

#[cfg(test)]
mod tests {
    use ringkeeper_engine::SessionId;
    use ringkeeper_engine::database::{Database, Interest};
    use ringkeeper_engine::tree::Tree;
    use ringkeeper_engine::txn::{Txn, TxnBody};

    use super::*;
    use crate::config::ensemble::tests::observer_of_three;

    const NEWER: &str = "server.1=a:1:2:participant\nserver.4=d:1:2:observer\nversion=100000005";

    fn parts() -> (Configuration, View) {
        let view = View::new(Database::new(Tree::new(0), []));
        (Configuration::new(observer_of_three()), view)
    }

    fn data(view: &View) -> Option<String> {
        let db = view.read();
        let node = db.tree.find(CONFIG_NODE).expect("every tree has it");
        db.tree.data(node).map(|data| String::from_utf8(data.to_vec()).unwrap())
    }

    fn ids(voters: Option<Vec<Member>>) -> Option<Vec<u8>> {
        voters.map(|voters| voters.iter().map(|voter| voter.id.0).collect())
    }

    #[test]
    fn leader_that_says_nothing_leaves_what_the_file_says() {
        let own = observer_of_three().text();
        for said in [None, Some(&b""[..]), Some(b"\xff\xfe")] {
            let (mut configuration, view) = parts();
            assert_eq!(configuration.adopt(said, &view), None);
            assert_eq!(data(&view), Some(own.clone()));
        }
    }

    #[test]
    fn newer_members_of_the_leader_are_written_and_their_voters_returned_once() {
        let (mut configuration, view) = parts();
        assert_eq!(ids(configuration.adopt(Some(NEWER.as_bytes()), &view)), Some(vec![1]));
        assert_eq!(data(&view).as_deref(), Some(NEWER));
        let node = view.read().tree.find(CONFIG_NODE).unwrap();
        let stat = view.read().tree.stat(node);
        assert_eq!((stat.version, stat.mzxid), (-1, 0x1_0000_0005));
        assert_eq!(configuration.adopt(Some(NEWER.as_bytes()), &view), None);
        // The next leader's word counts for clients, whatever it is.
        assert_eq!(configuration.adopt(None, &view), None);
        assert_eq!(data(&view), Some(observer_of_three().text()));
    }

    #[test]
    fn members_that_cannot_be_read_or_among_whom_none_votes_change_no_voters() {
        let (mut configuration, view) = parts();
        let before = data(&view);
        assert_eq!(configuration.adopt(Some(b"no members"), &view), None);
        assert_eq!(data(&view), before);
        let observers = b"server.1=a:1:2:observer\nversion=7";
        assert_eq!(configuration.adopt(Some(observers), &view), None);
    }

    #[test]
    fn change_that_cannot_be_read_is_looked_at_once() {
        let (mut configuration, view) = parts();
        let zxid = Zxid::new(1, 1);
        configuration.changes_at(zxid);
        let (path, data) = (CONFIG_NODE.into(), Some(b"\xff"[..].into()));
        let body = TxnBody::SetData { path, data, version: -1 };
        let (session, time) = (SessionId(1), Millis(0));
        view.write().apply(&Txn { session, cxid: 0, zxid, time, body }, Interest::None);
        assert_eq!(configuration.take_change(&view), None);
        assert_eq!(configuration.changing, None);
    }

    #[test]
    fn change_of_the_members_counts_when_it_is_applied_and_once() {
        let (mut configuration, view) = parts();
        let zxid = Zxid::new(1, 1);
        configuration.changes_at(zxid);
        assert_eq!(configuration.take_change(&view), None);
        let body = TxnBody::SetData {
            path: CONFIG_NODE.into(),
            data: Some(NEWER.as_bytes().into()),
            version: -1,
        };
        let (session, time) = (SessionId(1), Millis(0));
        view.write().apply(&Txn { session, cxid: 0, zxid, time, body }, Interest::None);
        assert_eq!(ids(configuration.take_change(&view)), Some(vec![1]));
        assert_eq!(configuration.take_change(&view), None);
    }
}
