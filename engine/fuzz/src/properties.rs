//! Any bytes as a zoo.cfg.

use ringkeeper_server::config::properties;

/// Reads properties; every one of them stands on a line of the file.
pub fn run(data: &[u8]) {
    let found = properties::read(data);
    let lines = 1 + data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(found.properties.iter().all(|property| (1..=lines).contains(&property.line)));
}
