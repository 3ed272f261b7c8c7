//! From a name in any spelling to its row in the table of settings.

use super::rows::TOPICS;
use super::table::{Row, Source, Spelling};

/// A name that leads to a row.
#[derive(Clone, Debug)]
pub struct Found {
    /// The row.
    pub row: &'static Row,
    /// The key, with the number or word filled in for a family.
    pub key: String,
    /// How the name was written.
    pub spelling: Spelling,
}

/// Every row, topic by topic.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TOPICS.iter().flat_map(|topic| topic.rows)
}

/// Finds the row a name means, in whatever spelling.
pub fn find(name: &str) -> Option<Found> {
    let bare = name.strip_prefix("zookeeper.").unwrap_or(name);
    rows().find_map(|row| exact(row, name, bare)).or_else(|| family(bare, name))
}

fn exact(row: &'static Row, name: &str, bare: &str) -> Option<Found> {
    if row.is_family() {
        return None;
    }
    let spelling = if row.key == name {
        Spelling::Key
    } else if row.property_names().iter().any(|property| property == name) {
        Spelling::Property
    } else if row.key == bare {
        Spelling::Prefixed
    } else if row.aliases.contains(&bare) {
        Spelling::Guide
    } else {
        return None;
    };
    Some(Found { row, key: row.key.to_owned(), spelling })
}

/// The longest prefix wins, so that `ssl.quorum.x` is not taken for a client setting.
fn family(bare: &str, name: &str) -> Option<Found> {
    let row = rows()
        .filter(|row| row.is_family() && bare.starts_with(&row.key[..row.key.len() - 1]))
        .max_by_key(|row| row.key.len())?;
    let spelling = match row.source {
        Source::Property if name != bare => Spelling::Property,
        Source::Parsed | Source::Own | Source::Property if name != bare => Spelling::Prefixed,
        Source::Parsed | Source::Own | Source::Property => Spelling::Key,
    };
    Some(Found { row, key: bare.to_owned(), spelling })
}
