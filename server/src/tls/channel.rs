//! The TLS of one connection, without its socket: wire bytes in, plain bytes out, and back.

use std::fmt;
use std::io::{BufRead, ErrorKind, Write};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, SupportedCipherSuite};

/// The first byte of a connection that begins with TLS: the record type of a handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// The first byte of every version of a record: SSL 3 and TLS alike.
const RECORD_MAJOR: u8 = 3;
/// Bytes of a handshake that wait for their step, from which on the socket is not read.
const HELD_BYTES: usize = 64 << 10;
/// A buffer that has grown beyond this is given back to the allocator.
const BUFFER_BYTES_KEPT: usize = 64 << 10;
/// Plain bytes of a record.
const RECORD_BYTES: usize = 16 << 10;
/// Records of TLS 1.2 that are kept for its handshake and its end.
const RECORDS_KEPT: u64 = 8;
/// Bytes of a failed first record that the log shows.
const SHOWN_BYTES: usize = 8;

/// What a connection to a port for both begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstByte {
    /// A handshake of TLS.
    Tls,
    /// Anything else: a plain client.
    Plain,
}

impl FirstByte {
    /// Tells by the first byte, so that it does not matter how the others are cut.
    pub fn of(byte: u8) -> FirstByte {
        if byte == HANDSHAKE_RECORD { FirstByte::Tls } else { FirstByte::Plain }
    }
}

/// What is known when the handshake is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// The version of TLS.
    pub version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub suite: Option<SupportedCipherSuite>,
    /// The certificate of the client, verified; none where it has shown none.
    pub certificate: Option<CertificateDer<'static>>,
}

/// What comes out of received bytes, in this order: first the facts, then plain bytes.
#[derive(Debug)]
pub enum ChannelEvent<'a> {
    /// The handshake is over.
    Established(Facts),
    /// Plain bytes.
    Plain(&'a [u8]),
    /// The client has closed its side with close_notify.
    Ended,
}

/// Why a channel cannot go on.
#[derive(Clone, PartialEq, Debug)]
pub enum ChannelFailure {
    /// The connection does not begin with TLS; these are its first bytes.
    NoTls(Vec<u8>),
    /// The rules of TLS are broken, or a certificate is refused.
    Broken(rustls::Error),
    /// The keys of TLS 1.2 have encrypted as much as they may, and it cannot change them.
    KeysUsedUp,
}

impl fmt::Display for ChannelFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChannelFailure::NoTls(bytes) => {
                f.write_str("it does not begin with TLS but with ")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            ChannelFailure::Broken(error) => error.fmt(f),
            ChannelFailure::KeysUsedUp => f.write_str("the keys of TLS 1.2 are used up"),
        }
    }
}

/// How far a channel has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelState {
    /// Nothing has arrived at a port for both.
    Detecting,
    /// The handshake is under way.
    Handshake,
    /// Plain bytes go in both directions.
    Established,
    /// It has failed: only what is to be sent is left.
    Failed,
}

/// The TLS of one connection.
pub struct Channel {
    session: Box<ServerConnection>,
    state: ChannelState,
    /// Bytes of the handshake that wait for their step.
    held: Vec<u8>,
    /// Encrypted bytes that the socket has not taken.
    wire: Vec<u8>,
    /// The first bytes, until they are known to be TLS.
    begin: Vec<u8>,
    /// close_notify is in `wire`, or was sent.
    notified: bool,
    /// Records that the keys may still encrypt. Behind them rustls would drop what is written.
    records_left: u64,
}

impl Channel {
    /// A channel that begins in `state`.
    ///
    /// # Errors
    /// Where rustls cannot use the configuration.
    pub fn new(config: Arc<ServerConfig>, state: ChannelState) -> Result<Channel, rustls::Error> {
        let mut session = Box::new(ServerConnection::new(config)?);
        // What is bounded is the output of the connection, and what is sealed counts there.
        session.set_buffer_limit(None);
        let (held, wire, begin) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Channel { session, state, held, wire, begin, notified: false, records_left: 0 })
    }

    /// How far it has come.
    pub fn state(&self) -> ChannelState {
        self.state
    }

    /// The first byte has shown that this is TLS.
    pub fn begin_handshake(&mut self) {
        assert!(self.state == ChannelState::Detecting, "a handshake begins once");
        self.state = ChannelState::Handshake;
    }

    /// Keeps bytes of the handshake until [`Channel::step`].
    pub fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether so many bytes are held that no more should be read.
    pub fn is_full(&self) -> bool {
        self.held.len() >= HELD_BYTES
    }

    /// Goes on with the handshake, and with what came behind it, as far as bytes are held.
    ///
    /// # Errors
    /// The channel has failed; an alert may be among what is to be sent.
    pub fn step(&mut self, on: &mut dyn FnMut(ChannelEvent<'_>)) -> Result<(), ChannelFailure> {
        let held = std::mem::take(&mut self.held);
        self.receive(&held, on)
    }

    /// Takes bytes from the wire. Every plain byte has been given to `on` when this returns.
    ///
    /// # Errors
    /// As [`Channel::step`].
    pub fn receive(
        &mut self,
        bytes: &[u8],
        on: &mut dyn FnMut(ChannelEvent<'_>),
    ) -> Result<(), ChannelFailure> {
        if self.state == ChannelState::Failed {
            return Ok(());
        }
        let received = self.check_begin(bytes).and_then(|()| self.decrypt(bytes, on));
        if let Err(failure) = &received {
            self.state = ChannelState::Failed;
            self.held = Vec::new();
            match failure {
                // As ZooKeeper: who does not speak TLS is not answered.
                ChannelFailure::NoTls(_) => self.wire = Vec::new(),
                ChannelFailure::Broken(_) | ChannelFailure::KeysUsedUp => self.take_records(),
            }
        }
        received
    }

    /// The header of the first record tells whether this is TLS at all.
    fn check_begin(&mut self, bytes: &[u8]) -> Result<(), ChannelFailure> {
        if self.state != ChannelState::Handshake || self.begin.len() >= SHOWN_BYTES {
            return Ok(());
        }
        let missing = SHOWN_BYTES - self.begin.len();
        self.begin.extend(bytes.iter().take(missing));
        // Fewer than a header are waited for, as in ZooKeeper.
        let [kind, major, _, _, _, ..] = self.begin[..] else { return Ok(()) };
        if kind == HANDSHAKE_RECORD && major == RECORD_MAJOR {
            return Ok(());
        }
        Err(ChannelFailure::NoTls(self.begin.clone()))
    }

    fn decrypt(
        &mut self,
        mut rest: &[u8],
        on: &mut dyn FnMut(ChannelEvent<'_>),
    ) -> Result<(), ChannelFailure> {
        while !rest.is_empty() {
            let taken = self.session.read_tls(&mut rest).map_err(unreadable)?;
            let io = self.session.process_new_packets().map_err(ChannelFailure::Broken)?;
            if self.state == ChannelState::Handshake && !self.session.is_handshaking() {
                self.state = ChannelState::Established;
                self.begin = Vec::new();
                self.records_left = records_of(self.session.negotiated_cipher_suite());
                on(ChannelEvent::Established(self.facts()));
            }
            self.drain(on)?;
            if io.peer_has_closed() {
                on(ChannelEvent::Ended);
                return Ok(());
            }
            if taken == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Hands over every plain byte: what stays would stop rustls from reading on.
    fn drain(&mut self, on: &mut dyn FnMut(ChannelEvent<'_>)) -> Result<(), ChannelFailure> {
        let mut reader = self.session.reader();
        loop {
            let plain = match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(plain) => plain,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(unreadable(error)),
            };
            let len = plain.len();
            on(ChannelEvent::Plain(plain));
            reader.consume(len);
        }
    }

    fn facts(&self) -> Facts {
        let chain = self.session.peer_certificates().unwrap_or_default();
        Facts {
            version: self.session.protocol_version(),
            suite: self.session.negotiated_cipher_suite(),
            certificate: chain.first().map(|leaf| leaf.clone().into_owned()),
        }
    }

    /// Encrypts what is to be sent, and empties it; one record for at most 16 KiB. What the
    /// handshake has to say comes first.
    ///
    /// # Errors
    /// Where the keys are used up: it is not sent, and the client is told of the end.
    pub fn seal(&mut self, plain: &mut Vec<u8>) -> Result<(), ChannelFailure> {
        if self.state == ChannelState::Established && !plain.is_empty() {
            let records = plain.len().div_ceil(RECORD_BYTES) as u64;
            let Some(left) = self.records_left.checked_sub(records) else {
                self.finish();
                self.state = ChannelState::Failed;
                return Err(ChannelFailure::KeysUsedUp);
            };
            self.records_left = left;
            let written = self.session.writer().write_all(plain);
            assert!(written.is_ok(), "a buffer without a limit has taken all");
            plain.clear();
            plain.shrink_to(BUFFER_BYTES_KEPT);
        }
        self.take_records();
        Ok(())
    }

    /// Nothing is sent behind this: the client reads a clean end.
    pub fn finish(&mut self) {
        if self.state == ChannelState::Established && !self.notified {
            self.notified = true;
            self.session.send_close_notify();
            self.take_records();
        }
    }

    /// What the socket has to send. The caller takes from it what was sent.
    pub fn wire(&mut self) -> &mut Vec<u8> {
        &mut self.wire
    }

    /// Whether the socket has to send something that is no reply.
    pub fn has_records(&self) -> bool {
        self.session.wants_write()
    }

    fn take_records(&mut self) {
        while self.session.wants_write() {
            let written = self.session.write_tls(&mut self.wire);
            assert!(written.is_ok_and(|count| count > 0), "memory takes every byte");
        }
    }
}

/// How many records the keys of a connection may encrypt behind its handshake.
fn records_of(suite: Option<SupportedCipherSuite>) -> u64 {
    match suite {
        Some(SupportedCipherSuite::Tls12(suite)) => {
            suite.common.confidentiality_limit.saturating_sub(RECORDS_KEPT)
        }
        // It changes its keys.
        Some(SupportedCipherSuite::Tls13(_)) => u64::MAX,
        None => 0,
    }
}

fn unreadable(error: std::io::Error) -> ChannelFailure {
    ChannelFailure::Broken(rustls::Error::General(error.to_string()))
}

#[cfg(test)]
mod tests {
    use rustls::crypto::{CipherSuiteCommon, CryptoProvider, aws_lc_rs};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, Tls12CipherSuite};

    use super::*;

    const SUITE: SupportedCipherSuite =
        aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

    /// TLS 1.2 whose keys are good for so few records that a test can use them up.
    fn short_lived(records: u64) -> Arc<CryptoProvider> {
        let SupportedCipherSuite::Tls12(suite) = SUITE else { panic!("it is one of TLS 1.2") };
        let CipherSuiteCommon { suite: name, hash_provider, .. } = suite.common;
        let common =
            CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit: records };
        let suite: &'static Tls12CipherSuite = Box::leak(Box::new(Tls12CipherSuite {
            common,
            prf_provider: suite.prf_provider,
            kx: suite.kx,
            sign: suite.sign,
            aead_alg: suite.aead_alg,
        }));
        let cipher_suites = vec![SupportedCipherSuite::Tls12(suite)];
        Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
    }

    fn pair(provider: &Arc<CryptoProvider>) -> (ClientConnection, Channel) {
        let signed = rcgen::generate_simple_self_signed(vec!["zk".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], PrivateKeyDer::from(key))
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("zk").unwrap();
        let client = ClientConnection::new(Arc::new(client), name).unwrap();
        (client, Channel::new(Arc::new(server), ChannelState::Handshake).unwrap())
    }

    fn shake_hands(client: &mut ClientConnection, channel: &mut Channel) {
        while client.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            channel.receive(&wire, &mut |_| {}).unwrap();
            channel.seal(&mut Vec::new()).unwrap();
            client.read_tls(&mut &channel.wire().split_off(0)[..]).unwrap();
            client.process_new_packets().unwrap();
        }
    }

    #[test]
    fn channel_whose_keys_are_used_up_fails_and_loses_no_reply_silently() {
        let provider = short_lived(RECORDS_KEPT + 5);
        let (mut client, mut channel) = pair(&provider);
        shake_hands(&mut client, &mut channel);
        let sealed = (0..20).take_while(|_| channel.seal(&mut b"reply".to_vec()).is_ok()).count();
        assert_eq!(sealed, 5);
        assert_eq!(channel.state(), ChannelState::Failed);
        client.read_tls(&mut &channel.wire()[..]).unwrap();
        assert!(client.process_new_packets().unwrap().peer_has_closed(), "it hears of the end");
    }
}
