//! Every setting of ZooKeeper 3.9.5 and of Ringkeeper, once.

mod access;
mod clients;
mod ensemble;
mod java;
mod limits;
mod observation;
mod own;
mod sessions;
mod storage;
mod transport;

use super::table::{Kind, Topic, Unit};

/// The settings by topic, in the order of `docs/operate/settings.md`.
pub const TOPICS: &[Topic] = &[
    clients::TOPIC,
    sessions::TOPIC,
    storage::TOPIC,
    limits::TOPIC,
    access::TOPIC,
    transport::TOPIC,
    observation::TOPIC,
    ensemble::TOPIC,
    own::TOPIC,
    java::TOPIC,
];

/// The largest value of Java's `int`, which most of ZooKeeper's numbers are.
const INT_MAX: i64 = i32::MAX as i64;

/// The largest value of Java's `long`.
const LONG_MAX: i64 = i64::MAX;

const PORT: Kind = Kind::Integer { min: 0, max: 65_535, unit: Unit::Port };

const fn count(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Count }
}

const fn millis(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Milliseconds }
}

const fn bytes(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Bytes }
}

const fn ticks(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Ticks }
}
