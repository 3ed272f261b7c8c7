//! What the numbers in submissions and completions mean.

/// What a completion belongs to: the kind in the high byte, the socket's slot below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A listener, by its number.
    Accept(u32),
    /// The eventfd that other threads write to.
    Wake,
    /// What a socket receives.
    Receive(u32),
    /// What a socket sends.
    Send(u32),
    /// The link to the leader.
    Leader,
    /// The end of another operation.
    Cancel,
}

impl Token {
    /// As the kernel carries it.
    pub(super) fn pack(self) -> u64 {
        match self {
            Token::Accept(listener) => u64::from(listener),
            Token::Wake => 1 << 56,
            Token::Receive(slot) => 2 << 56 | u64::from(slot),
            Token::Send(slot) => 3 << 56 | u64::from(slot),
            Token::Leader => 4 << 56,
            Token::Cancel => 5 << 56,
        }
    }

    /// As it comes back.
    pub(super) fn unpack(raw: u64) -> Token {
        let slot = raw as u32;
        match raw >> 56 {
            0 => Token::Accept(slot),
            1 => Token::Wake,
            2 => Token::Receive(slot),
            3 => Token::Send(slot),
            4 => Token::Leader,
            _ => Token::Cancel,
        }
    }
}
