//! A client that authenticates with SASL, and the JAAS file of its server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ringkeeper_engine::client::{Client, Error};
use ringkeeper_engine::sasl::ClientExchange;
use ringkeeper_engine::wire::{Acl, Id};

/// The setting that lets access lists name `sasl` identities.
pub(crate) const PROVIDER: (&str, &str) =
    ("authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider");

/// Writes a JAAS file with these options of the server's section; returns its path.
pub(crate) fn jaas_file(directory: &Path, options: &str) -> String {
    let path = directory.join("jaas.conf");
    let class = "org.apache.zookeeper.server.auth.DigestLoginModule";
    fs::write(&path, format!("Server {{\n{class} required\n{options};\n}};\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// A whole exchange.
pub(crate) fn log_in(client: &mut Client, user: &str, password: &str) -> Result<(), Error> {
    client.sasl(ClientExchange::new(user, password, "3f7a1c9d"))
}

/// A list that lets one identity do everything.
pub(crate) fn only(scheme: &str, id: &str) -> Acl {
    Acl { perms: 31, id: Id { scheme: scheme.into(), id: id.into() } }
}
