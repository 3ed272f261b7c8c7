//! reconfig (16), as a standalone server answers it, and as another leader has ordered it.

use std::sync::Arc;

use super::apply::{Applying, OpResult};
use super::prepare::Prepare;
use super::{Write, set_data};
use crate::Code;
use crate::tree::Misfit;
use crate::txn::{CONFIG_NODE, TxnBody};
use crate::wire::opcode::op;
use crate::wire::{Malformed, Put, Reader};

/// A request to change the members of the ensemble.
#[derive(Clone, PartialEq, Debug)]
pub struct Reconfig {
    /// Servers to add.
    pub joining: Option<Box<str>>,
    /// Ids of servers to remove.
    pub leaving: Option<Box<str>>,
    /// All members, instead of the two others.
    pub new_members: Option<Box<str>>,
    /// The version of the configuration that this builds on, -1 for any.
    pub from_config: i64,
}

impl Reconfig {
    /// Reads the request record.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        Ok(Write::Reconfig(Reconfig {
            joining: reader.ustring()?.map(Box::from),
            leaving: reader.ustring()?.map(Box::from),
            new_members: reader.ustring()?.map(Box::from),
            from_config: reader.long()?,
        }))
    }

    /// Appends the request record; returns the operation code.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> i32 {
        let lists = [&self.joining, &self.leaving, &self.new_members].map(Option::as_deref);
        put_record(lists, self.from_config, out);
        op::RECONFIG
    }
}

/// Appends a request record: joining, leaving and new members, and the version they build on.
pub(crate) fn put_record(lists: [Option<&str>; 3], from_config: i64, out: &mut Vec<u8>) {
    lists.iter().for_each(|list| out.put_buffer(list.map(str::as_bytes)));
    out.put_long(from_config);
}

/// Always a refusal: switched off, or not possible without an ensemble.
pub fn prepare(prepare: &Prepare<'_>) -> Result<TxnBody, Code> {
    if !prepare.settings.reconfig_enabled {
        return Err(Code::ReconfigDisabled);
    }
    Err(Code::Unimplemented)
}

/// Applies a change of the members: new data of the node that shows them, with its watches.
pub(crate) fn apply(
    data: Option<&[u8]>,
    version: i32,
    applying: &mut Applying<'_>,
) -> Result<OpResult, Misfit> {
    set_data::apply(&Arc::from(CONFIG_NODE), data, version, applying)?;
    let id = applying.tree.find(CONFIG_NODE).expect("every tree has it");
    let stat = Box::new(applying.tree.stat(id));
    Ok(OpResult::Reconfigured { data: data.map(Box::from), stat })
}
