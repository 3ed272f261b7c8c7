//! Colours: only on a terminal that knows them, and only if they are not turned off.

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};

/// Whether text is coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// It carries the colour codes of a terminal.
    Colours,
    /// It is plain.
    Plain,
}

impl Paint {
    /// What standard output wants.
    pub fn for_stdout() -> Paint {
        Paint::of(&std::io::stdout())
    }

    /// What standard error wants.
    pub fn for_stderr() -> Paint {
        Paint::of(&std::io::stderr())
    }

    /// By the stream, `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`, as the help texts.
    fn of(stream: &impl RawStream) -> Paint {
        match AutoStream::choice(stream) {
            ColorChoice::Never => Paint::Plain,
            _ => Paint::Colours,
        }
    }

    /// By a number of ANSI: 36 is cyan.
    pub(crate) fn with(self, code: u8, text: &str) -> String {
        match self {
            Paint::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Paint::Plain => text.to_owned(),
        }
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.with(1, text)
    }

    /// What is as it should be.
    pub fn good(self, text: &str) -> String {
        self.with(32, text)
    }

    /// What wants a look.
    pub fn warning(self, text: &str) -> String {
        self.with(33, text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.with(31, text)
    }

    /// What matters less.
    pub fn faint(self, text: &str) -> String {
        self.with(2, text)
    }
}
