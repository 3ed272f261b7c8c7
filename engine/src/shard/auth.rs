//! Authentication: done when its packet is read, not behind outstanding requests.

use std::sync::Arc;

use super::arrival::Arrival;
use super::client_end::ClientEnd;
use super::{Shard, Turn};
use crate::acl;
use crate::wire::opcode::op;
use crate::wire::{Malformed, Put, Reader};
use crate::{Code, Zxid};

impl Shard {
    pub(super) fn authenticate(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        if arrival.header.op == op::SASL {
            self.sasl(turn, arrival)
        } else {
            self.auth(turn, arrival)
        }
    }

    fn auth(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        let Ok((scheme, auth)) = auth_packet(&mut arrival.reader()) else {
            return turn.conn.abort_for(ClientEnd::Malformed);
        };
        let mut ids = turn.conn.ids.to_vec();
        let settings = &self.settings.ops.auth;
        let ip = turn.conn.peer.ip();
        let result = acl::authenticate(settings, &scheme, auth.as_deref(), &mut ids, ip);
        if result == Err(acl::AuthFailure::WrongEnsemble) {
            // The client means another ensemble: ZooKeeper does not even answer.
            self.counters.auth_failed += 1;
            return turn.conn.abort_for(ClientEnd::OtherEnsemble);
        }
        let code = if result.is_ok() { Code::Ok } else { Code::AuthFailed };
        self.reply(turn, arrival.reply(Zxid::ZERO, code), |_| {});
        if result.is_ok() {
            turn.conn.ids = Arc::from(ids);
        } else {
            self.counters.auth_failed += 1;
            turn.conn.close_for(ClientEnd::AuthFailed);
        }
    }

    /// No mechanism is configured: an empty token says so.
    fn sasl(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        if !matches!(arrival.reader().buffer(), Ok(Some(_))) {
            return turn.conn.abort_for(ClientEnd::Malformed);
        }
        let reply = arrival.reply(Zxid::ZERO, Code::Ok);
        self.reply(turn, reply, |out| out.put_buffer(None));
    }
}

type AuthPacket = (String, Option<Vec<u8>>);

fn auth_packet(reader: &mut Reader<'_>) -> Result<AuthPacket, Malformed> {
    reader.int()?;
    let scheme = reader.ustring()?.unwrap_or_default().into_owned();
    let auth = reader.buffer()?.map(<[u8]>::to_vec);
    Ok((scheme, auth))
}
