//! The types of settings that are more than a number or a word, and how each is made of a value.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use ringkeeper_engine::log::gathering::Target;

use super::value::Value;

/// Where to listen for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On every address of the host, IPv4 and IPv6.
    Any,
    /// On the addresses of this name or on this IP address.
    Host(String),
}

/// A port for clients, if there is one; 0 asks the system for a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPort(pub Option<u16>);

/// When old snapshots and logs are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Whenever a snapshot was written.
    AfterEachSnapshot,
    /// Once in so many hours.
    EveryHours(u32),
    /// Never: somebody else does it.
    Never,
}

/// The four-letter words that are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FourLetterWords {
    /// All of them.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl FourLetterWords {
    /// Whether a word is answered.
    pub fn allow(&self, word: &str) -> bool {
        match self {
            FourLetterWords::All => true,
            FourLetterWords::Only(words) => words.contains(word),
        }
    }
}

/// Text that must not be shown to anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl FromValue for Target {
    fn from_value(value: &Value) -> Target {
        String::from_value(value).parse().expect("the row allows targets only")
    }
}

/// How many threads serve clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// As many as the host has cores for.
    Auto,
    /// So many.
    Count(u32),
}

/// An enumeration whose values are words of `zoo.cfg`.
macro_rules! words {
    (
        $(#[$about:meta])* $name:ident {
            $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant),* }

        impl $name {
            /// The word of `zoo.cfg`.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            /// The value a word stands for.
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> $name {
                let text = String::from_value(value);
                $name::from_word(&text).expect("the row allows these words only")
            }
        }
    };
}

words! {
    /// How the transaction log reaches the device.
    LogDevice {
        /// Whatever is fastest on this host.
        Auto = "auto",
        /// Stores into mapped memory, synced.
        Mmap = "mmap",
        /// Direct writes from a staging ring.
        Direct = "direct",
        /// Writes linked to a sync through io_uring.
        Uring = "uring",
        /// Plain writes, then a sync.
        Pwrite = "pwrite",
    }
}

words! {
    /// How the thread that writes the log is scheduled.
    LogPriority {
        /// Before everything else, as far as the system allows it.
        High = "high",
        /// As everything else.
        Normal = "normal",
    }
}

words! {
    /// How sockets are waited for.
    Io {
        /// io_uring where the system allows it.
        Auto = "auto",
        /// io_uring.
        IoUring = "io_uring",
        /// epoll.
        Epoll = "epoll",
    }
}

words! {
    /// How the server's messages look.
    LogFormat {
        /// A line to read.
        Text = "text",
        /// A JSON object to parse.
        Json = "json",
    }
}

words! {
    /// Which of the server's messages are written.
    LogLevel {
        /// What stops the server or a client.
        Error = "error",
        /// What is probably not meant to be, too.
        Warn = "warn",
        /// What happens, too.
        Info = "info",
        /// How it happens, too.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// How session passwords are made.
    SessionPasswords {
        /// So that nobody can guess them.
        Secret = "secret",
        /// As ZooKeeper computes them, so that its sessions can be taken over.
        Java = "java",
    }
}

/// A type a checked value can be turned into. The row of a setting and the field it ends in have
/// to agree; where they do not, the very first load fails, as every load makes every field.
pub(super) trait FromValue {
    fn from_value(value: &Value) -> Self;
}

const AGREE: &str = "the row and the field of a setting agree";

macro_rules! whole_numbers {
    ($($number:ty),*) => { $(
        impl FromValue for $number {
            fn from_value(value: &Value) -> $number {
                let Value::Integer(number) = value else { panic!("{AGREE}: {value:?}") };
                <$number>::try_from(*number).expect(AGREE)
            }
        }

        /// ZooKeeper writes "no limit" as zero, as minus one, or not at all.
        impl FromValue for Option<$number> {
            fn from_value(value: &Value) -> Option<$number> {
                match value {
                    Value::Absent => None,
                    Value::Integer(number) if *number <= 0 => None,
                    some => Some(<$number>::from_value(some)),
                }
            }
        }
    )* };
}

whole_numbers!(u16, u32, u64);

impl FromValue for i64 {
    fn from_value(value: &Value) -> i64 {
        let Value::Integer(number) = value else { panic!("{AGREE}: {value:?}") };
        *number
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> f64 {
        let Value::Decimal(number) = value else { panic!("{AGREE}: {value:?}") };
        *number
    }
}

impl FromValue for Option<PathBuf> {
    fn from_value(value: &Value) -> Option<PathBuf> {
        match value {
            Value::Absent => None,
            given => Some(PathBuf::from_value(given)),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> bool {
        let Value::Switch(on) = value else { panic!("{AGREE}: {value:?}") };
        *on
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> String {
        let Value::Text(text) = value else { panic!("{AGREE}: {value:?}") };
        text.clone()
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> PathBuf {
        PathBuf::from(String::from_value(value))
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Vec<String> {
        let Value::Words(words) = value else { panic!("{AGREE}: {value:?}") };
        words.clone()
    }
}

impl FromValue for Option<String> {
    fn from_value(value: &Value) -> Option<String> {
        match value {
            Value::Absent => None,
            given => Some(String::from_value(given)),
        }
    }
}

impl FromValue for Option<Secret> {
    fn from_value(value: &Value) -> Option<Secret> {
        match value {
            Value::Absent => None,
            given => Some(Secret(String::from_value(given))),
        }
    }
}

impl FromValue for ClientPort {
    fn from_value(value: &Value) -> ClientPort {
        match value {
            Value::Absent => ClientPort(None),
            given => ClientPort(Some(u16::from_value(given))),
        }
    }
}

impl FromValue for Listen {
    fn from_value(value: &Value) -> Listen {
        match value {
            Value::Absent => Listen::Any,
            given => Listen::Host(String::from_value(given)),
        }
    }
}

impl FromValue for Purge {
    fn from_value(value: &Value) -> Purge {
        match value {
            Value::Absent => Purge::AfterEachSnapshot,
            Value::Integer(0) => Purge::Never,
            hours => Purge::EveryHours(u32::from_value(hours)),
        }
    }
}

impl FromValue for Shards {
    fn from_value(value: &Value) -> Shards {
        match value {
            Value::Absent => Shards::Auto,
            count => Shards::Count(u32::from_value(count)),
        }
    }
}

impl FromValue for FourLetterWords {
    fn from_value(value: &Value) -> FourLetterWords {
        let words = Vec::<String>::from_value(value);
        if words.iter().any(|word| word == "*") {
            FourLetterWords::All
        } else {
            FourLetterWords::Only(words.into_iter().collect())
        }
    }
}
