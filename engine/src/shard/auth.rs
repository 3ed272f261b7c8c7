//! Authentication: done when its packet is read, not behind outstanding requests.

use std::sync::Arc;

use super::arrival::Arrival;
use super::client_end::ClientEnd;
use super::{Shard, Turn};
use crate::acl;
use crate::sasl::{AfterFailure, Refusal, Step};
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

    /// One step of a SASL exchange. Where no users are configured, a null token says so.
    fn sasl(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        let mut reader = arrival.reader();
        let Ok(Some(token)) = reader.buffer() else {
            return turn.conn.abort_for(ClientEnd::Malformed);
        };
        let settings = Arc::clone(&self.settings);
        let Some(credentials) = &settings.sasl.credentials else {
            return self.reply_token(turn, arrival, Code::Ok, None);
        };
        match turn.conn.sasl.step(token, credentials, &mut self.nonces) {
            Ok(Step::Challenge(token)) => self.reply_token(turn, arrival, Code::Ok, Some(&token)),
            Ok(Step::Proven { user, token }) => {
                let mut ids = turn.conn.ids.to_vec();
                match acl::add_sasl_user(&mut ids, &user, &settings.sasl.super_users) {
                    Ok(()) => {
                        turn.conn.ids = Arc::from(ids);
                        self.reply_token(turn, arrival, Code::Ok, Some(&token));
                    }
                    Err(_) => self.sasl_failed(turn, arrival),
                }
            }
            Err(Refusal::Unanswered(_)) => {
                self.counters.auth_failed += 1;
                turn.conn.abort_for(ClientEnd::AuthFailed);
            }
            Err(
                Refusal::Ended
                | Refusal::TooLong
                | Refusal::Malformed
                | Refusal::Field(_)
                | Refusal::Proof,
            ) => self.sasl_failed(turn, arrival),
        }
    }

    /// The connection ends, be it authenticated otherwise, unless the settings let it go on.
    fn sasl_failed(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        self.counters.auth_failed += 1;
        let is_required = acl::requires(&self.settings.ops.auth, acl::scheme::SASL);
        let (code, closes) = match self.settings.sasl.after_failure {
            _ if is_required => (Code::SessionClosedRequireSaslAuth, true),
            AfterFailure::Close => (Code::AuthFailed, true),
            AfterFailure::GoOn => (Code::Ok, false),
        };
        self.reply_token(turn, arrival, code, None);
        if closes {
            turn.conn.close_for(ClientEnd::AuthFailed);
        }
    }

    fn reply_token(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: Arrival<'_>,
        code: Code,
        token: Option<&[u8]>,
    ) {
        let reply = arrival.reply(Zxid::ZERO, code);
        self.reply(turn, reply, |out| out.put_buffer(token));
    }
}

type AuthPacket = (String, Option<Vec<u8>>);

fn auth_packet(reader: &mut Reader<'_>) -> Result<AuthPacket, Malformed> {
    reader.int()?;
    let scheme = reader.ustring()?.unwrap_or_default().into_owned();
    let auth = reader.buffer()?.map(<[u8]>::to_vec);
    Ok((scheme, auth))
}
