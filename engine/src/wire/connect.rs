//! The session handshake.

use super::header::finish_frame;
use super::jute::{Malformed, Put, Reader};

/// Bytes of a session password.
pub const PASSWORD_BYTES: usize = 16;

/// A session's secret, needed to take the session up again.
pub type Password = [u8; PASSWORD_BYTES];

/// The first frame of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    /// Ignored, as Apache ZooKeeper does.
    pub protocol_version: i32,
    /// The newest zxid that the client has seen; a server behind it must not serve the client.
    pub last_zxid_seen: i64,
    /// The timeout requested, milliseconds.
    pub timeout_ms: i32,
    /// 0 for a new session.
    pub session: i64,
    /// Null, empty and too long passwords are legal for a new session.
    pub password: Option<Vec<u8>>,
    /// `None` from clients of 3.3 and older, which do not send the flag.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Reads the payload of the first frame.
    pub fn read(payload: &[u8]) -> Result<ConnectRequest, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(ConnectRequest {
            protocol_version: reader.int()?,
            last_zxid_seen: reader.long()?,
            timeout_ms: reader.int()?,
            session: reader.long()?,
            password: reader.buffer()?.map(<[u8]>::to_vec),
            read_only: reader.bool().ok(),
        })
    }

    /// Writes the whole frame, length included.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_int(0);
        out.put_int(self.protocol_version);
        out.put_long(self.last_zxid_seen);
        out.put_int(self.timeout_ms);
        out.put_long(self.session);
        out.put_buffer(self.password.as_deref());
        if let Some(flag) = self.read_only {
            out.put_bool(flag);
        }
        finish_frame(out, start);
    }
}

/// The server's answer. Timeout, session and password of zero mean "that session is gone".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    /// Milliseconds agreed.
    pub timeout_ms: i32,
    /// The session.
    pub session: i64,
    /// Its password.
    pub password: Password,
    /// Sent only where the request carried the flag; true only on a read-only server.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// What a client turns into "session expired". Mirrors the presence of the flag.
    pub fn expired(read_only: Option<bool>) -> ConnectResponse {
        ConnectResponse { timeout_ms: 0, session: 0, password: [0; PASSWORD_BYTES], read_only }
    }

    /// Writes the whole frame, length included.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_int(0);
        out.put_int(0);
        out.put_int(self.timeout_ms);
        out.put_long(self.session);
        out.put_buffer(Some(&self.password));
        if let Some(flag) = self.read_only {
            out.put_bool(flag);
        }
        finish_frame(out, start);
    }

    /// Reads the payload, for clients.
    pub fn read(payload: &[u8]) -> Result<ConnectResponse, Malformed> {
        let mut reader = Reader::new(payload);
        reader.int()?;
        let timeout_ms = reader.int()?;
        let session = reader.long()?;
        let password = reader.buffer()?.ok_or(Malformed::Null)?;
        let password = password.try_into().map_err(|_| Malformed::Value)?;
        Ok(ConnectResponse { timeout_ms, session, password, read_only: reader.bool().ok() })
    }
}
