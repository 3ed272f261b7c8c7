//! The session storm: connect, close, and again.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::Millis;
use ringkeeper_engine::client::{Core, Message, Options, Request};

use crate::drive::link::Route;
use crate::drive::rt::Socket;
use crate::drive::run_state::RunState;
use crate::model::clock::Nanos;
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::window::Times;
use crate::record::tally::Tally;
use crate::verify::fault::{Fault, FaultKind};

/// Failures in a row after which a lane stops: the server is gone.
const FAILURES_MAX: u32 = 3;
/// How long a connection is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One lane of the storm: a session at a time.
pub(crate) struct Storm {
    /// Where to: servers are tried in turn until one accepts the connection.
    pub route: Route,
    pub options: Options,
    pub run_state: Arc<RunState>,
    pub tally: Rc<RefCell<Tally>>,
}

/// When a session began, was open and was closed.
struct SessionTimes {
    started: Nanos,
    open: Nanos,
    closed: Nanos,
}

impl Storm {
    /// Opens and closes sessions until the course is over.
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        while failures < FAILURES_MAX && self.run_state.may_start(self.run_state.clock.now(), 1) {
            match self.open_and_close().await {
                Ok(times) => {
                    failures = 0;
                    self.record(&times);
                }
                Err(fault) => {
                    failures += 1;
                    let op = Op { kind: Kind::Session, key: 0, seq: 0 };
                    self.tally.borrow_mut().refuse(op, fault);
                }
            }
        }
    }

    fn record(&self, times: &SessionTimes) {
        let mut tally = self.tally.borrow_mut();
        let SessionTimes { started, open, closed } = *times;
        let span = |from, ended| Times { intended: from, started: from, ended };
        tally.checked += 2;
        tally.record(Kind::Connect, span(started, open));
        tally.record(Kind::Close, span(open, closed));
        tally.record(Kind::Session, span(started, closed));
    }

    async fn connect(&mut self) -> io::Result<Socket> {
        let mut tried = 1;
        loop {
            match Socket::connect(self.route.server(), TIMEOUT).await {
                Err(_) if tried < self.route.len() => {
                    self.route.turn();
                    tried += 1;
                }
                connected => return connected,
            }
        }
    }

    async fn open_and_close(&mut self) -> Result<SessionTimes, Fault> {
        let clock = self.run_state.clock;
        let started = clock.now();
        let socket = self.connect().await.map_err(lost)?;
        let mut core: Core<()> = Core::new(self.options);
        let (mut out, mut input) = (Vec::new(), Vec::new());
        core.connect(Millis(0), &mut out);
        (out, input) = exchange(&socket, &mut core, out, input).await?;
        let open = clock.now();
        out.clear();
        core.request(&Request::CloseSession, (), &mut out);
        (_, input) = exchange(&socket, &mut core, out, input).await?;
        let closed = clock.now();
        // The server closes the connection: waiting for that leaves no port in TIME_WAIT here.
        let _ = socket.read(input).await;
        Ok(SessionTimes { started, open, closed })
    }
}

/// Sends, and waits for the one message that answers.
async fn exchange(
    socket: &Socket,
    core: &mut Core<()>,
    out: Vec<u8>,
    mut input: Vec<u8>,
) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let (sent, out) = socket.write_all(out).await;
    sent.map_err(lost)?;
    loop {
        let (got, back) = socket.read(input).await;
        input = back;
        if got.map_err(lost)? == 0 {
            return Err(Fault::new(FaultKind::Lost, "the server closed a young session"));
        }
        let mut rest = &input[..];
        let message = core
            .receive(&mut rest)
            .map_err(|error| Fault::new(FaultKind::Malformed, error.to_string()))?;
        let Some(message) = message else { continue };
        check(&message)?;
        if let Some(violation) = core.take_violations().first() {
            return Err((*violation).into());
        }
        input.clear();
        return Ok((out, input));
    }
}

fn check(message: &Message<'_, ()>) -> Result<(), Fault> {
    match message {
        Message::Connected(_) => Ok(()),
        Message::Reply(reply) if reply.err == 0 => Ok(()),
        Message::Reply(reply) => {
            Err(Fault::new(FaultKind::ErrorCode, format!("close answered with {}", reply.err)))
        }
        Message::Expired => Err(Fault::new(FaultKind::Lost, "a new session was refused")),
        Message::Event(_) | Message::Pong | Message::Stray(_) => {
            Err(Fault::new(FaultKind::Order, "something that was not requested"))
        }
    }
}

fn lost(error: io::Error) -> Fault {
    Fault::new(FaultKind::Lost, error.to_string())
}
