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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let Some(text) = env.get("ZOO_MY_ID") else { return Ok(MyId::Missing(name)) };
            (text.to_owned(), Origin::Variable("ZOO_MY_ID".to_owned()))
        }
        Err(error) => {
            let text = format!("it cannot be read: {error}; make it readable or remove it");
            return Err(Problem { origin: Origin::File(name), text });
        }
    };
    match text.trim().parse() {
        Ok(number) => Ok(MyId::Known(number, origin)),
        Err(_) => {
            let shown: String = text.trim().chars().take(40).collect();
            let text =
                format!("\"{shown}\" is not the number of a server; write a number such as 1");
            Err(Problem { origin, text })
        }
    }
}
