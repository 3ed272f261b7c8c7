//! Configuration: one table of settings, and everything that is made from it.
//!
//! [`Settings::load`] is what the server calls. The way there: `layers` collects what was said,
//! `resolve` finds the row of each name and checks its value, `derive` adds what follows from
//! several settings together, and `settings` is the result.

mod beside_file;
pub mod check;
mod derive;
pub mod ensemble;
mod env;
mod images;
mod jaas;
mod layers;
mod load;
pub mod lookup;
mod my_id;
mod origin;
pub mod page;
pub mod properties;
mod resolve;
mod rows;
mod sasl;
mod servers;
mod settings;
mod suggest;
pub mod table;
pub mod tuned;
mod types;
mod value;

pub use ensemble::{
    ClientAddress, Ensemble, EnsembleSettings, Member, NamedMembers, PeerAddress, PeerRole,
};
pub use env::Env;
pub use layers::Entry;
pub use load::{Explanation, explain};
pub use origin::{ConfigError, Origin, Problem, Warning, Weight};
pub use resolve::{Finding, Verdict};
pub use ringkeeper_tuning::Paint;
pub use rows::TOPICS;
pub use sasl::SaslLogin;
pub use settings::Settings;
pub use types::{
    ClientPort, FourLetterWords, Io, Listen, LogDevice, LogFormat, LogLevel, LogPriority, Purge,
    Secret, SessionPasswords, Shards,
};

#[cfg(test)]
mod tests;
