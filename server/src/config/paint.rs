//! Colours, for terminals only.

use std::io::IsTerminal;

use super::env::Env;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// It is plain.
    Plain,
    /// It carries the colour codes of a terminal.
    Colours,
}

impl Paint {
    /// Colours if standard output is a terminal that knows them and nobody asked for none.
    pub fn for_stdout(env: &Env) -> Paint {
        let unwanted = env.get("NO_COLOR").is_some() || env.get("TERM") == Some("dumb");
        if unwanted || !std::io::stdout().is_terminal() { Paint::Plain } else { Paint::Colours }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn odd(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
