//! Where a value came from, and what there is to say about it.

use std::fmt;
use std::sync::Arc;

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line, such as `--log-level`.
    Option(&'static str),
    /// A `-D` on the command line.
    Property,
    /// A `-D` in `JVMFLAGS` or `SERVER_JVMFLAGS`.
    JvmFlags(&'static str),
    /// An argument of the form `clientPort dataDir [tickTime] [maxClientCnxns]`.
    Argument,
    /// A line of a file.
    Line {
        /// The file, as the user named it.
        file: Arc<str>,
        /// The line, counted from one.
        line: usize,
    },
    /// A file as a whole, when no line of it is to blame.
    File(Arc<str>),
    /// A variable of the environment.
    Variable(String),
    /// What a start without any configuration uses.
    Bare,
    /// The value was computed from other settings, as described.
    Derived(&'static str),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Option(name) => f.write_str(name),
            Origin::Property => f.write_str("-D"),
            Origin::JvmFlags(name) => f.write_str(name),
            Origin::Argument => f.write_str("command line"),
            Origin::Line { file, line } => write!(f, "{file}:{line}"),
            Origin::File(file) => f.write_str(file),
            Origin::Variable(name) => f.write_str(name),
            Origin::Bare => f.write_str("start without a zoo.cfg"),
            Origin::Derived(from) => f.write_str(from),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Good to know.
    Note,
    /// Probably not what was meant.
    Warning,
}

/// Something to tell the user that does not stop the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// How much it matters.
    pub weight: Weight,
    /// What it is about.
    pub origin: Origin,
    /// A sentence, beginning with the name of the setting.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// One reason not to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub origin: Origin,
    /// A sentence: the name of the setting, what is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// Why the configuration cannot be used: every reason at once, so that they can be mended together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// The reasons, in the order of the configuration; never empty.
    pub problems: Vec<Problem>,
}
