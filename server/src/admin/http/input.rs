//! What a command is answered from.

use super::configuration::Configuration;
use crate::admin::state::ServerState;

/// What a command is answered from, beside the report of the shards.
pub(super) struct CommandInput<'a> {
    pub(super) state: &'a ServerState,
    pub(super) configuration: &'a Configuration,
    pub(super) query: &'a Query,
}

/// The words behind the question mark.
pub(super) type Query = Vec<(String, String)>;

/// Takes the words apart. The first of several with one name counts.
pub(super) fn query(text: Option<&str>) -> Query {
    form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The value of a name.
pub(super) fn value<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_taken_apart_and_the_first_of_a_name_counts() {
        let query = query(Some("traceMask=1%30&traceMask=7&x&=&a+b=%"));
        assert_eq!(value(&query, "traceMask"), Some("10"));
        assert_eq!(value(&query, "x"), Some(""));
        assert_eq!(value(&query, "a b"), Some("%"));
        assert_eq!(value(&query, "none"), None);
    }
}
