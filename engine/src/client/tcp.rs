//! The edge of the client: one blocking socket around a [`Core`], for tests and tools.
//!
//! Pings are sent while it waits for something; a client that does nothing for a third of its
//! session timeout has to call [`Client::ping`] itself.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge that opens sockets and has a clock"
)]

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::core::{Broken, Core, Event, Message, Options, Phase, Pulse, Session, Violation};
use super::reply::Body;
use super::request::Request;
use crate::sasl::NoProof;
use crate::wire::Malformed;
use crate::{Code, Millis};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the request.
    #[error("refused with {0}{name}", name = code_name(*.0))]
    Refused(i32),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server knows no such session.
    #[error("the session has expired")]
    Expired,
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
    /// The server's bytes make no sense.
    #[error("the server sent {0}")]
    Broken(#[from] Broken),
    /// A reply's record is not what its operation is answered with.
    #[error("a reply that cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// An exchange of SASL that the server did not refuse has proven nothing.
    #[error("SASL failed: {0}")]
    Sasl(#[from] NoProof),
    /// The server broke the protocol's order.
    #[error("the server broke the order: {0}")]
    Violation(#[from] Violation),
}

impl Error {
    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused(raw) => Code::from_wire(*raw),
            Error::Io(_)
            | Error::Sasl(_)
            | Error::Closed
            | Error::Expired
            | Error::Timeout
            | Error::Broken(_)
            | Error::Malformed(_)
            | Error::Violation(_) => None,
        }
    }
}

fn code_name(raw: i32) -> String {
    Code::from_wire(raw).map(|code| format!(" ({code:?})")).unwrap_or_default()
}

/// A reply that outlives the buffer it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Number of the request.
    pub xid: i32,
    /// Operation code of the request.
    pub op: i32,
    /// The newest zxid that the server had applied.
    pub zxid: i64,
    /// A [`Code`] as a number.
    pub err: i32,
    /// The record, as bytes.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The record, for decoding.
    pub fn body(&self) -> Body<'_> {
        Body(&self.bytes)
    }

    /// Turns a refusal into an error.
    pub fn accepted(self) -> Result<Answer, Error> {
        if self.err == 0 { Ok(self) } else { Err(Error::Refused(self.err)) }
    }
}

/// A blocking client.
#[derive(Debug)]
pub struct Client {
    core: Core<()>,
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Event<'static>>,
    epoch: Instant,
    patience: Duration,
}

impl Client {
    /// Opens a new session.
    pub fn connect(server: impl ToSocketAddrs, options: Options) -> Result<Client, Error> {
        Client::resume(server, options, Session::default())
    }

    /// Re-attaches a session of this or another process.
    pub fn resume(
        server: impl ToSocketAddrs,
        options: Options,
        session: Session,
    ) -> Result<Client, Error> {
        let mut client = Client {
            core: Core::resume(options, session),
            stream: dial(server)?,
            input: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            epoch: Instant::now(),
            patience: Duration::from_secs(10),
        };
        client.shake_hands()?;
        Ok(client)
    }

    /// Takes the session up again over a new connection, to the same or another server. The old
    /// connection is dropped; requests that waited on it are forgotten.
    pub fn reattach(&mut self, server: impl ToSocketAddrs) -> Result<(), Error> {
        self.cut();
        self.stream = dial(server)?;
        self.shake_hands()
    }

    /// Drops the connection without ending the session, as a crash of the client would.
    pub fn cut(&mut self) {
        // The server may have closed it first, which is just as good.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.core.disconnect();
        self.input.clear();
        self.output.clear();
    }

    /// How long a call waits for the server: 10 s by default.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// What takes this session up again.
    pub fn session(&self) -> Session {
        self.core.session()
    }

    /// The timeout agreed.
    pub fn timeout_ms(&self) -> i32 {
        self.core.timeout_ms()
    }

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.core.phase()
    }

    /// Requests that wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Puts a request into the output buffer without sending it; [`Client::flush`] and every
    /// receiving call send.
    pub fn queue(&mut self, request: &Request<'_>) -> i32 {
        self.core.request(request, (), &mut self.output)
    }

    /// As [`Client::queue`], under a xid of the caller.
    pub fn queue_as(&mut self, xid: i32, request: &Request<'_>) {
        self.core.request_as(xid, request, (), &mut self.output);
    }

    /// Puts bytes that no client would send into the output buffer.
    pub fn queue_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<(), Error> {
        if !self.output.is_empty() {
            let sent = self.stream.write_all(&self.output);
            self.output.clear();
            self.core.sent(self.now());
            sent?;
        }
        Ok(())
    }

    /// The next reply, in the order in which the server sent it. Refusals are answers here.
    pub fn receive(&mut self) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.step(deadline)? {
                Step::Answer(answer) => return Ok(answer),
                Step::Expired => return Err(Error::Expired),
                Step::Connected | Step::Event | Step::Pong => {}
            }
        }
    }

    /// Sends one request and waits for its reply. Refusals are answers here.
    pub fn call(&mut self, request: &Request<'_>) -> Result<Answer, Error> {
        self.queue(request);
        self.receive()
    }

    /// Sends one request and waits for its reply, which must not be a refusal.
    pub fn done(&mut self, request: &Request<'_>) -> Result<Answer, Error> {
        self.call(request)?.accepted()
    }

    /// Sends a ping and waits for the answer.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.queue(&Request::Ping);
        let deadline = Instant::now() + self.patience;
        loop {
            match self.step(deadline)? {
                Step::Pong => return Ok(()),
                Step::Expired => return Err(Error::Expired),
                Step::Connected | Step::Event | Step::Answer(_) => {}
            }
        }
    }

    /// The oldest event that was received and not taken yet, without waiting.
    pub fn take_event(&mut self) -> Option<Event<'static>> {
        self.events.pop_front()
    }

    /// Waits for an event; `None` if none came within `patience`.
    pub fn wait_event(&mut self, patience: Duration) -> Result<Option<Event<'static>>, Error> {
        let deadline = Instant::now() + patience;
        while self.events.is_empty() {
            match self.step(deadline) {
                Ok(_) => {}
                Err(Error::Timeout) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.events.pop_front())
    }

    /// Ends the session.
    pub fn close(mut self) -> Result<(), Error> {
        self.done(&Request::CloseSession).map(drop)
    }

    fn shake_hands(&mut self) -> Result<(), Error> {
        let now = self.now();
        self.core.connect(now, &mut self.output);
        let deadline = Instant::now() + self.patience;
        loop {
            match self.step(deadline)? {
                Step::Connected => return Ok(()),
                Step::Expired => return Err(Error::Expired),
                Step::Event | Step::Answer(_) | Step::Pong => {}
            }
        }
    }

    /// Handles one message, reading from the socket until there is one.
    fn step(&mut self, deadline: Instant) -> Result<Step, Error> {
        self.flush()?;
        loop {
            if let Some(step) = self.parse()? {
                return self.core.take_violations().first().map_or(Ok(step), |v| Err((*v).into()));
            }
            self.read(deadline)?;
        }
    }

    fn parse(&mut self) -> Result<Option<Step>, Error> {
        let mut rest = &self.input[..];
        let step = match self.core.receive(&mut rest)? {
            None => return Ok(None),
            Some(Message::Connected(_)) => Step::Connected,
            Some(Message::Expired) => Step::Expired,
            Some(Message::Pong) => Step::Pong,
            Some(Message::Stray(header)) => {
                return Err(Violation::Stray { got: header.xid }.into());
            }
            Some(Message::Event(event)) => {
                let path = event.path.into_owned().into();
                self.events.push_back(Event { path, ..event });
                Step::Event
            }
            Some(Message::Reply(reply)) => Step::Answer(Answer {
                xid: reply.xid,
                op: reply.op,
                zxid: reply.zxid,
                err: reply.err,
                bytes: reply.body.0.to_vec(),
            }),
        };
        let taken = self.input.len() - rest.len();
        self.input.drain(..taken);
        Ok(Some(step))
    }

    /// Reads what there is, waiting until the deadline and pinging meanwhile.
    fn read(&mut self, deadline: Instant) -> Result<(), Error> {
        let third = Duration::from_millis(self.core.timeout_ms().max(3) as u64 / 3);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout);
            }
            self.stream.set_read_timeout(Some(left.min(third)))?;
            let len = self.input.len();
            self.input.resize(len + READ_BYTES, 0);
            let got = self.stream.read(&mut self.input[len..]);
            self.input.truncate(len + *got.as_ref().unwrap_or(&0));
            match got {
                Ok(0) => return Err(Error::Closed),
                Ok(_) => {
                    self.core.heard(self.now());
                    return Ok(());
                }
                Err(error) if is_timeout(error.kind()) => self.keep_alive()?,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(Error::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A server that is silent is left to the caller's patience: tests wait for slow ones.
    fn keep_alive(&mut self) -> Result<(), Error> {
        match self.core.pulse(self.now()) {
            Pulse::Ping | Pulse::Dead if self.core.phase() == Phase::Open => {
                self.queue(&Request::Ping);
                self.flush()
            }
            Pulse::Ping | Pulse::Dead | Pulse::Quiet => Ok(()),
        }
    }

    fn now(&self) -> Millis {
        Millis(i64::try_from(self.epoch.elapsed().as_millis()).expect("a process's age in ms"))
    }
}

/// What one message was.
enum Step {
    Connected,
    Expired,
    Answer(Answer),
    Event,
    Pong,
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn dial(server: impl ToSocketAddrs) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a four-letter word to a server and returns the whole text.
pub fn four_letter_word(server: impl ToSocketAddrs, word: &str) -> Result<String, Error> {
    let mut stream = dial(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
