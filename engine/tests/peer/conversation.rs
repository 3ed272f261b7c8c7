//! Recorded conversations; `golden/peer/README.md` describes them.

/// Who sent a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sender {
    /// A learner, or the server that dialled.
    Learner,
    /// The leader, or the server that was dialled.
    Leader,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) sender: Sender,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

macro_rules! conversations {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../golden/peer/", $name, ".hex")))),*]
    };
}

/// Those of quorum ports.
const QUORUM: &[(&str, &str)] = conversations![
    "quorum-follower-first-start-by-diff",
    "quorum-follower-first-start-by-snap",
    "quorum-observer-by-snap",
    "quorum-observer-by-diff",
    "quorum-leader-rejoins-by-trunc",
    "quorum-follower-rejoins-in-later-epoch",
    "quorum-follower-far-behind-by-snap",
];

/// Those of election ports.
const ELECTION: &[(&str, &str)] = conversations![
    "election-dials-larger-id",
    "election-first-round",
    "election-second-round",
    "election-round-4",
];

/// The conversations of quorum ports, with their names.
pub(crate) fn quorum() -> impl Iterator<Item = (&'static str, Vec<Message>)> {
    QUORUM.iter().map(|(name, text)| (*name, read(text)))
}

/// The conversations of election ports, with their names.
pub(crate) fn election() -> impl Iterator<Item = (&'static str, Vec<Message>)> {
    ELECTION.iter().map(|(name, text)| (*name, read(text)))
}

/// One conversation of a quorum port.
pub(crate) fn named(name: &str) -> Vec<Message> {
    quorum().find(|(found, _)| *found == name).expect("it is listed").1
}

/// What one side said, in order.
pub(crate) fn said(messages: &[Message], sender: Sender) -> Vec<&Message> {
    messages.iter().filter(|message| message.sender == sender).collect()
}

fn read(text: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for line in text.lines() {
        match line.split_at(2) {
            ("  ", hex) => {
                let last = messages.last_mut().expect("a message begins with its name");
                last.bytes.extend(hex.as_bytes().chunks(2).map(byte));
            }
            (sender, name) => {
                let sender = match sender {
                    "> " => Sender::Learner,
                    "< " => Sender::Leader,
                    other => panic!("{other:?} is no sender"),
                };
                messages.push(Message { sender, name: name.to_owned(), bytes: Vec::new() });
            }
        }
    }
    messages
}

fn byte(digits: &[u8]) -> u8 {
    let digits = std::str::from_utf8(digits).expect("digits");
    u8::from_str_radix(digits, 16).expect("two digits of a byte")
}
