//! The number of this server: that of the file `myid` in the data directory, or else of the image.

use std::path::Path;
use std::sync::Arc;

use super::env::Env;
use super::origin::{Origin, Problem};
use super::resolve::Values;
use super::value::Value;

/// What there is to know of the number of this server.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MyId {
    /// It is this one.
    Known(u64, Origin),
    /// No file has it, which would be this one, and no variable.
    Missing(Arc<str>),
    /// It cannot be known, and why is a problem of its own.
    Unknown,
}

impl MyId {
    /// The number, if it is known.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            MyId::Known(number, _) => Some(*number),
            MyId::Missing(_) | MyId::Unknown => None,
        }
    }
}

/// Reads the number. A file or a variable without a number is a problem.
pub(super) fn read(values: &Values, env: &Env) -> Result<MyId, Problem> {
    let Value::Text(directory) = &values.held("dataDir").value else { return Ok(MyId::Unknown) };
    let path = Path::new(directory).join("myid");
    let name: Arc<str> = Arc::from(path.to_string_lossy().as_ref());
    let (text, origin) = match env.read(&path) {
        Ok(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), Origin::File(name)),
        // That the directory is a file is said where it is taken.
        Err(error) if is_absent(&error) => {
            let Some(text) = env.get("ZOO_MY_ID") else { return Ok(MyId::Missing(name)) };
            (text.to_owned(), Origin::Variable("ZOO_MY_ID".to_owned()))
        }
        Err(error) => {
            let text = format!("it cannot be read: {error}; make it readable or remove it");
            return Err(Problem { origin: Origin::File(name), text });
        }
    };
    match parse(text.trim(), values.get("extendedTypesEnabled")) {
        Ok(number) => Ok(MyId::Known(number, origin)),
        Err(text) => Err(Problem { origin, text }),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn parse(text: &str, extended: bool) -> Result<u64, String> {
    let shown: String = text.chars().take(40).collect();
    let id = text.parse().map_err(|_| {
        format!("\"{shown}\" is not the number of a server; write a number such as 1")
    })?;
    checked(id, last_id(extended)).map(u64::from)
}

/// The largest number of a server. It is one byte of the sessions that a server makes, and one
/// value of that byte is taken where ephemeral nodes carry their type.
pub(super) fn last_id(extended_types: bool) -> u8 {
    if extended_types { 254 } else { 255 }
}

/// A number that a server may have.
pub(super) fn checked(id: i64, last: u8) -> Result<u8, String> {
    match u8::try_from(id).ok().filter(|id| (1..=last).contains(id)) {
        Some(id) => Ok(id),
        None if id == 255 => Err("255 cannot be the number of a server while \
                                  extendedTypesEnabled=true; use one from 1 to 254"
            .to_owned()),
        None => Err(format!("{id} cannot be the number of a server; use one from 1 to {last}")),
    }
}
