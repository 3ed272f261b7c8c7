//! What the JAAS file and the settings around it say about SASL: its users, its superusers, and
//! whether its identities stand in access lists.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringkeeper_engine::sasl::Credentials;

use super::jaas::{self, LoginModule, Section};
use super::origin::{Origin, Problem, Warning, Weight};
use super::resolve::{Finding, Values, Verdict};
use super::types::Secret;

/// The most bytes of a JAAS file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The setting that names the file.
const FILE: &str = "java.security.auth.login.config";
/// The setting that names the section.
const SECTION: &str = "sasl.serverconfig";
const SUPER_PASSWORD: &str = "SASLAuthenticationProvider.superPassword";
/// The user whom `SASLAuthenticationProvider.superPassword` is about.
const SUPER: &str = "super";
/// What begins the key of a user.
const USER: &str = "user_";
const PROVIDER: &str = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";

/// How the server authenticates clients with SASL.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SaslLogin {
    /// Whether access lists may name `sasl` identities: `authProvider.N` has its class.
    pub offered: bool,
    /// The users; none without a section of the server, and then clients are told so.
    pub credentials: Option<Credentials>,
    /// Names whose holders may do everything.
    pub super_users: Vec<String>,
}

/// Reads what there is about SASL. What is wrong goes to the warnings and problems.
pub(super) fn login(
    findings: &[Finding],
    values: &Values,
    (warnings, problems): (&mut Vec<Warning>, &mut Vec<Problem>),
) -> SaslLogin {
    Reading { findings, values, warnings, problems }.login()
}

/// Where the settings are read from, and where faults go.
struct Reading<'a> {
    findings: &'a [Finding],
    values: &'a Values,
    warnings: &'a mut Vec<Warning>,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn login(&mut self) -> SaslLogin {
        let is_provider = |class: &str| class.ends_with("SASLAuthenticationProvider");
        let single = self.values.get::<Option<String>>("superUser");
        let names = single.into_iter().chain(self.family("superUser.*").map(str::to_owned));
        let super_users = names.filter(|name| !name.is_empty()).collect();
        let offered = self.family("authProvider.*").any(is_provider);
        let credentials = self.credentials();
        let login = SaslLogin { offered, credentials, super_users };
        self.compare(&login);
        login
    }

    /// The values of a family of settings that are in effect.
    fn family(&self, key: &'static str) -> impl Iterator<Item = &str> {
        let used = self.findings.iter().filter(|finding| finding.verdict == Verdict::Used);
        let its =
            used.filter(move |finding| finding.found.as_ref().is_some_and(|f| f.row.key == key));
        its.map(|finding| finding.entry.value.as_str())
    }

    /// What contradicts itself, and what has no effect.
    fn compare(&mut self, login: &SaslLogin) {
        let requires = "sessionRequireClientSASLAuth";
        let schemes: Vec<String> = self.values.get("enforce.auth.schemes");
        let enforced: bool = self.values.get("enforce.auth.enabled");
        let by_scheme = enforced && schemes.iter().any(|scheme| scheme == "sasl");
        let required: bool = self.values.get(requires);
        let key = if required { requires } else { "enforce.auth.schemes" };
        if !required && !by_scheme {
            let any: Option<String> = self.values.get("letAnySaslUserDoX");
            if any.is_some() && !login.offered {
                self.warn("letAnySaslUserDoX", &format!("it needs authProvider.1={PROVIDER}"));
            }
            return;
        }
        if !login.offered {
            let text = format!("sasl is required but not offered; write authProvider.1={PROVIDER}");
            self.problem(key, &text);
        } else if login.credentials.is_none() {
            let text = format!(
                "sasl is required, but there is no user who could authenticate; write {FILE}=FILE \
                 of a JAAS file with a section for the server"
            );
            self.problem(key, &text);
        }
    }

    /// The users of the section. None where no file is named, or where it has no such section.
    fn credentials(&mut self) -> Option<Credentials> {
        let path = self.values.get::<Option<PathBuf>>(FILE)?;
        let path = plain_path(&path);
        let name: Arc<str> = Arc::from(path.to_string_lossy().as_ref());
        let text = match read(&path) {
            Ok((text, mode)) => {
                self.judge_mode(mode, &name);
                text
            }
            Err(error) => {
                let text = format!(
                    "{FILE}: {name} cannot be read: {error}; name a JAAS file, or remove the setting"
                );
                self.problems.push(Problem { origin: self.values.origin(FILE).clone(), text });
                return None;
            }
        };
        let wanted: String = self.values.get(SECTION);
        let result = jaas::parse(&text).and_then(|sections| {
            let is_it = |section: &Section| section.name == wanted && !section.modules.is_empty();
            let section = sections.into_iter().find(is_it);
            section.map(|section| users(&section)).transpose()
        });
        match result {
            Ok(Some(credentials)) => Some(self.with_super_password(credentials)),
            Ok(None) => {
                let text = format!(
                    "it has no section {wanted}, so that no client can authenticate with SASL"
                );
                let (weight, origin) = (Weight::Note, Origin::File(name));
                self.warnings.push(Warning { weight, origin, text });
                None
            }
            Err(bad) => {
                let origin = Origin::Line { file: name, line: bad.line };
                self.problems.push(Problem { origin, text: bad.text });
                None
            }
        }
    }

    /// Whoever reads the file can be any of its users, and whoever writes it makes them.
    fn judge_mode(&mut self, mode: u32, name: &Arc<str>) {
        let origin = Origin::File(name.clone());
        if mode & 0o002 != 0 {
            let text = format!("everybody may write this file of passwords; run chmod 600 {name}");
            self.problems.push(Problem { origin, text });
        } else if mode & 0o004 != 0 {
            let text = format!("everybody may read this file of passwords; run chmod 600 {name}");
            self.warnings.push(Warning { weight: Weight::Warning, origin, text });
        }
    }

    fn with_super_password(&mut self, mut credentials: Credentials) -> Credentials {
        let password: Option<Secret> = self.values.get(SUPER_PASSWORD);
        if let Some(password) = password {
            if credentials.has(SUPER) {
                credentials.set(SUPER, password.reveal());
            } else {
                let text = "it has no effect: the JAAS section has no option user_super";
                self.warn(SUPER_PASSWORD, text);
            }
        }
        credentials
    }

    fn problem(&mut self, key: &str, text: &str) {
        self.problems.push(self.values.problem(key, text));
    }

    fn warn(&mut self, key: &str, text: &str) {
        self.warnings.push(self.values.warning(key, text));
    }
}

/// Java takes a URL, too, and an equals sign that says that it is the only file.
fn plain_path(path: &Path) -> PathBuf {
    let Some(text) = path.to_str() else { return path.to_owned() };
    let text = text.strip_prefix('=').unwrap_or(text);
    match text.strip_prefix("file:") {
        Some(rest) => PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)),
        None => PathBuf::from(text),
    }
}

/// The text and the permissions of a file.
fn read(path: &Path) -> io::Result<(String, u32)> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    if !std::fs::metadata(path)?.is_file() {
        return Err(invalid("it is no regular file"));
    }
    let file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(invalid("it has more than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"))?;
    Ok((text, mode))
}

/// The users of all entries of a section.
fn users(section: &Section) -> Result<Credentials, jaas::BadFile> {
    let mut credentials = Credentials::new();
    for LoginModule { class, line, options } in &section.modules {
        let bad = |text: String| jaas::BadFile { line: *line, text };
        match class.rsplit('.').next().unwrap_or_default() {
            "DigestLoginModule" => {}
            "Krb5LoginModule" => {
                return Err(bad("GSSAPI (Kerberos) is not built in; use \
                                org.apache.zookeeper.server.auth.DigestLoginModule with options \
                                user_NAME=\"PASSWORD\""
                    .to_owned()));
            }
            _ => {
                return Err(bad(format!(
                    "the login module {class} is a Java class, which cannot be loaded here; use \
                     org.apache.zookeeper.server.auth.DigestLoginModule"
                )));
            }
        }
        for (key, password) in options {
            let Some(user) = key.strip_prefix(USER) else { continue };
            if user.contains('@') {
                return Err(bad(
                    "a user whose name has an @ is a Kerberos principal, and the rules \
                                for their names are not built in; take a name without it"
                        .to_owned(),
                ));
            }
            credentials.set(user, password);
        }
    }
    Ok(credentials)
}

#[cfg(test)]
#[path = "sasl_tests.rs"]
mod tests;
