//! reconfig (16), as a standalone server answers it.

use super::Write;
use super::prepare::Prepare;
use crate::Code;
use crate::txn::TxnBody;
use crate::wire::{Malformed, Reader};

/// Reads the request record; what it asks for does not matter to a standalone server.
pub fn decode(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
    reader.ustring()?;
    reader.ustring()?;
    reader.ustring()?;
    reader.long()?;
    Ok(Write::Reconfig)
}

/// Always a refusal: switched off, or not possible without an ensemble.
pub fn prepare(prepare: &Prepare<'_>) -> Result<TxnBody, Code> {
    if !prepare.settings.reconfig_enabled {
        return Err(Code::ReconfigDisabled);
    }
    Err(Code::Unimplemented)
}
