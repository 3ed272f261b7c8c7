//! Answers as JSON, their fields in the order in which they are told.

use serde::ser::{Serialize, Serializer};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Flag(bool),
    Integer(i64),
    Unsigned(u64),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Fields),
}

/// Named values in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(String, Json)>);

impl Fields {
    /// None yet.
    pub(super) fn new() -> Fields {
        Fields::default()
    }

    /// One more.
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Fields {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Whether a name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The text of an answer.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("there are no keys but texts")
    }
}

impl FromIterator<(String, Json)> for Fields {
    fn from_iter<T: IntoIterator<Item = (String, Json)>>(all: T) -> Fields {
        Fields(all.into_iter().collect())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Flag(flag) => serializer.serialize_bool(*flag),
            Json::Integer(number) => serializer.serialize_i64(*number),
            Json::Unsigned(number) => serializer.serialize_u64(*number),
            Json::Number(number) => serializer.serialize_f64(*number),
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(values) => serializer.collect_seq(values),
            Json::Object(fields) => fields.serialize(serializer),
        }
    }
}

/// Values that are what they look like.
macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Json {
            fn from(value: $type) -> Json {
                Json::$variant(value.into())
            }
        })*
    };
}

from! {
    bool => Flag, i32 => Integer, i64 => Integer, u16 => Unsigned, u32 => Unsigned,
    u64 => Unsigned, f64 => Number, &str => Text, String => Text, Vec<Json> => List,
    Fields => Object,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_text_is_escaped() {
        let inner = Fields::new().with("z", 1_i64).with("a", -0.5);
        let fields = Fields::new()
            .with("b", inner)
            .with("a", vec![Json::from("\"\u{1}"), Json::Null, Json::from(true)])
            .with("m", u64::MAX);
        let text = fields.to_text();
        let expected = "{\n  \"b\": {\n    \"z\": 1,\n    \"a\": -0.5\n  },\n  \"a\": [\n    \
                        \"\\\"\\u0001\",\n    null,\n    true\n  ],\n  \
                        \"m\": 18446744073709551615\n}";
        assert_eq!(text, expected);
        assert!(fields.has("m") && !fields.has("z"));
    }
}
