//! Looking at everything of a tree that does not change meanwhile, a part at a time: there is no
//! borrow between the parts.

use super::Tree;
use super::acls::AclId;
use super::node::NodeId;
use crate::txn::AclList;

impl Tree {
    /// The child that was created first. With [`Tree::next_sibling`] and [`Tree::parent`] every
    /// node is met, parents before their children, and nothing is kept but where one is.
    pub fn first_child(&self, id: NodeId) -> Option<NodeId> {
        self.child_nodes(id).next()
    }

    /// The child of the same parent that comes next.
    pub fn next_sibling(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).next
    }

    /// The number of a node's access control list among [`Tree::numbered_acls`]. The open list has
    /// none.
    pub fn acl_number(&self, id: NodeId) -> Option<u32> {
        let AclId(number) = self.node(id).acl;
        (AclId(number) != AclId::OPEN).then_some(number)
    }

    /// The lists from this number on, ascending, without the open one. Numbers begin with 1; where
    /// lists are not used any more, some are left out.
    pub fn numbered_acls(&self, from: u32) -> impl Iterator<Item = (u32, &AclList)> {
        let numbers = from.max(AclId::OPEN.0 + 1)..self.acls.end();
        numbers.filter_map(|number| Some((number, self.acls.in_use(number)?)))
    }

    /// How many lists have a number.
    pub fn numbered_acls_count(&self) -> usize {
        self.acls.count()
    }
}
