//! `envi`: where the server runs.

use super::{Answer, Word};
use crate::admin::host::Host;

pub(super) static ENVI: Word =
    Word::new(b"envi", Answer::Host(|state| envi(&state.sources.facts.version, &Host::look())))
        .always();

/// What Java says where there is nothing. It stands for everything about a virtual machine.
const NONE: &str = "<NA>";

/// The text of `envi`.
fn envi(version: &str, host: &Host) -> String {
    let rows = rows(version, host);
    let rows = rows.iter().map(|(key, value)| format!("{key}={value}\n"));
    std::iter::once("Environment:\n".to_owned()).chain(rows).collect()
}

/// ZooKeeper's keys in its order, since readers look them up by name.
pub(in crate::admin) fn rows(version: &str, host: &Host) -> [(&'static str, String); 18] {
    let megabytes = |bytes: u64| format!("{}MB", bytes >> 20);
    [
        ("zookeeper.version", version.to_owned()),
        ("host.name", host.name.clone()),
        ("java.version", NONE.to_owned()),
        ("java.vendor", NONE.to_owned()),
        ("java.home", NONE.to_owned()),
        ("java.class.path", NONE.to_owned()),
        ("java.library.path", NONE.to_owned()),
        ("java.io.tmpdir", host.temporary.clone()),
        ("java.compiler", NONE.to_owned()),
        ("os.name", host.system.clone()),
        ("os.arch", host.machine.clone()),
        ("os.version", host.release.clone()),
        ("user.name", host.user.clone()),
        ("user.home", host.home.clone()),
        ("user.dir", host.directory.clone()),
        ("os.memory.free", megabytes(host.memory_free)),
        ("os.memory.max", megabytes(host.memory)),
        ("os.memory.total", megabytes(host.memory)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_value() {
        let host = Host {
            name: "zk1".into(),
            system: "Linux".into(),
            release: "6.1.0".into(),
            machine: "amd64".into(),
            user: "ringkeeper".into(),
            home: "/var/lib/ringkeeper".into(),
            directory: "/".into(),
            temporary: "/tmp".into(),
            memory: 512 << 20,
            memory_free: 360 << 20,
        };
        let text = "Environment:\nzookeeper.version=3.9.5-x, built on y\nhost.name=zk1\n\
                    java.version=<NA>\njava.vendor=<NA>\njava.home=<NA>\njava.class.path=<NA>\n\
                    java.library.path=<NA>\njava.io.tmpdir=/tmp\njava.compiler=<NA>\n\
                    os.name=Linux\nos.arch=amd64\nos.version=6.1.0\nuser.name=ringkeeper\n\
                    user.home=/var/lib/ringkeeper\nuser.dir=/\nos.memory.free=360MB\n\
                    os.memory.max=512MB\nos.memory.total=512MB\n";
        assert_eq!(envi("3.9.5-x, built on y", &host), text);
    }
}
