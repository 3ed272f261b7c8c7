//! From settings to the configuration of TLS: the stores are read, and what they hold is tried.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::certified::certified_key;
use super::store::{KeyEntry, StoreKind, key_entry, kind_of, trusted};
use super::verifier::{ClientAuth, client_verifier};
use crate::config::{Secret, Settings};

/// Bytes of a store, or of a file with a password, beyond which it is none.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Whether any port speaks TLS.
pub fn is_wanted(settings: &Settings) -> bool {
    settings.secure_client_port.0.is_some() || settings.port_unification
}

/// One store as the settings name it.
struct StoreFile<'a> {
    /// `keyStore` or `trustStore`.
    name: &'static str,
    /// Where it is named.
    origin: String,
    path: &'a Path,
    declared: &'a str,
    password: Option<&'a Secret>,
    password_file: Option<&'a PathBuf>,
}

impl<'a> StoreFile<'a> {
    fn key(settings: &'a Settings) -> Option<StoreFile<'a>> {
        Some(StoreFile {
            name: "keyStore",
            origin: origin(settings, "ssl.keyStore.location"),
            path: settings.key_store.as_deref()?,
            declared: &settings.key_store_type,
            password: settings.key_store_password.as_ref(),
            password_file: settings.key_store_password_file.as_ref(),
        })
    }

    fn trust(settings: &'a Settings) -> Option<StoreFile<'a>> {
        Some(StoreFile {
            name: "trustStore",
            origin: origin(settings, "ssl.trustStore.location"),
            path: settings.trust_store.as_deref()?,
            declared: &settings.trust_store_type,
            password: settings.trust_store_password.as_ref(),
            password_file: settings.trust_store_password_file.as_ref(),
        })
    }

    /// As in ZooKeeper: the file wins over the password, and one line end behind it is cut.
    fn password(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = self.password_file else {
            let password = self.password.map(Secret::reveal).filter(|text| !text.is_empty());
            return Ok(password.map(str::to_owned));
        };
        let bytes = read(file).with_context(|| {
            format!("ssl.{}.passwordPath={}: it cannot be read", self.name, file.display())
        })?;
        let text = String::from_utf8(bytes).ok().with_context(|| {
            format!("ssl.{}.passwordPath={}: it is no text", self.name, file.display())
        })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    fn open(&self) -> anyhow::Result<(Vec<u8>, StoreKind, Option<String>)> {
        let bytes = read(self.path).with_context(|| self.at("it cannot be read"))?;
        self.refuse_writable()?;
        let declared = Some(self.declared).filter(|declared| !declared.is_empty());
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let kind = kind_of(&name, declared, &bytes).with_context(|| self.at("its form"))?;
        Ok((bytes, kind, self.password()?))
    }

    /// Who may change the store may be anybody.
    fn refuse_writable(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(self.path)?.permissions().mode();
        ensure!(mode & 0o002 == 0, self.at("everybody may write it; chmod o-w"));
        Ok(())
    }

    fn at(&self, what: &str) -> String {
        let StoreFile { name, origin, path, .. } = self;
        format!("{origin}: ssl.{name}.location={}: {what}", path.display())
    }
}

/// The file and line of a setting.
fn origin(settings: &Settings, key: &str) -> String {
    settings.origin(key).map(ToString::to_string).unwrap_or_default()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::metadata(path)?.len();
    ensure!(bytes <= FILE_BYTES_MAX, "it has {bytes} bytes, and a store has at most 4 MiB");
    Ok(std::fs::read(path)?)
}

/// Every file that the configuration of TLS is made of.
pub fn files(settings: &Settings) -> Vec<PathBuf> {
    let named = [
        &settings.key_store,
        &settings.key_store_password_file,
        &settings.trust_store,
        &settings.trust_store_password_file,
    ];
    named.into_iter().flatten().cloned().collect()
}

/// Reads the stores and makes the configuration of new connections.
///
/// # Errors
/// A file that cannot be read, a wrong password, a key that does not belong to its certificate, and
/// names of protocols or cipher suites of which nothing is left. The text names the setting.
pub fn load(settings: &Settings) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = Arc::new(provider(settings)?);
    let versions = versions(settings)?;
    let key = server_key(settings, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .context("ssl.ciphersuites: none of them is one of the versions that are offered")?;
    let demand = match settings.tls_client_auth.as_str() {
        "need" => Some(ClientAuth::Need),
        "want" => Some(ClientAuth::Want),
        _ => None,
    };
    let builder = match demand {
        None => builder.with_no_client_auth(),
        Some(demand) => {
            let word = &settings.tls_client_auth;
            let Some(store) = StoreFile::trust(settings) else {
                bail!(
                    "ssl.trustStore.location is not set, and ssl.clientAuth is {word}: name the \
                     file with the authority of your clients, or write ssl.clientAuth=none"
                );
            };
            let (bytes, kind, password) = store.open()?;
            let anchors = trusted(&bytes, kind, password.as_deref())
                .with_context(|| store.at("it cannot be used"))?;
            let verifier = client_verifier(anchors, demand, provider)
                .with_context(|| store.at("it cannot be used"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    // No tickets and no sessions to resume: nothing that outlives a certificate. No early data,
    // which could be replayed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn server_key(settings: &Settings, provider: &CryptoProvider) -> anyhow::Result<Arc<CertifiedKey>> {
    let Some(store) = StoreFile::key(settings) else {
        bail!(
            "ssl.keyStore.location is not set, and a port with TLS needs it: name the file with \
             the key and the certificate of this server"
        );
    };
    let (bytes, kind, password) = store.open()?;
    let entry: KeyEntry = key_entry(&bytes, kind, password.as_deref())
        .with_context(|| store.at("it cannot be used"))?;
    certified_key(entry, provider).with_context(|| store.at("it cannot be used"))
}

/// What `ssl.enabledProtocols` says, else `ssl.protocol`, else both.
fn versions(settings: &Settings) -> anyhow::Result<Vec<&'static SupportedProtocolVersion>> {
    let one = std::slice::from_ref(&settings.tls_protocol);
    let (setting, names) = match settings.tls_enabled_protocols.as_slice() {
        [] => ("ssl.protocol", one),
        some => ("ssl.enabledProtocols", some),
    };
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    for name in names {
        match name.as_str() {
            "TLSv1.3" => versions.push(&version::TLS13),
            "TLSv1.2" => versions.push(&version::TLS12),
            "" | "TLS" => versions.extend([&version::TLS13, &version::TLS12]),
            other => bail!(
                "{setting}: {other} is not offered, since it is not safe or not known; write \
                 TLSv1.3,TLSv1.2"
            ),
        }
    }
    Ok(versions)
}

/// The library, with the cipher suites that the settings name.
fn provider(settings: &Settings) -> anyhow::Result<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let names = &settings.tls_cipher_suites;
    if names.is_empty() {
        return Ok(provider);
    }
    let known = |name: &&String| suite_names(&provider).any(|suite| suite == ***name);
    let unknown: Vec<&str> = names.iter().filter(|name| !known(name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        tracing::warn!("ssl.ciphersuites: left out, since they are not offered here: {unknown}");
    }
    provider.cipher_suites.retain(|suite| names.contains(&java_name(suite)));
    ensure!(
        !provider.cipher_suites.is_empty(),
        "ssl.ciphersuites: none of them is offered here; remove it, or name some of {}",
        suite_names(&aws_lc_rs::default_provider()).collect::<Vec<_>>().join(", ")
    );
    Ok(provider)
}

fn suite_names(provider: &CryptoProvider) -> impl Iterator<Item = String> {
    provider.cipher_suites.iter().map(java_name)
}

/// The name of a suite in Java, which is that of IANA.
fn java_name(suite: &rustls::SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}
