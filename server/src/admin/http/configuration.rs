//! The configuration as it was given, for those who ask. Anybody may, so secrets are masked.

use std::collections::BTreeMap;
use std::path::Path;

use crate::admin::host::Host;
use crate::config::lookup;
use crate::config::table::{Kind, Source};
use crate::config::{Origin, Settings};

/// What a secret is shown as.
const MASK: &str = "(hidden)";

/// The configuration, as it was when the server started.
pub(super) struct Configuration {
    /// The file.
    pub(super) text: String,
    /// What are system properties to ZooKeeper.
    pub(super) properties: BTreeMap<String, String>,
}

impl Configuration {
    /// Reads the file again: it has just been read, so that it is there.
    pub(super) fn of(settings: &Settings) -> Configuration {
        let file = settings.described().find_map(|(_, _, origin)| match origin {
            Origin::Line { file, .. } => Some(file.clone()),
            _ => None,
        });
        let bytes = file.and_then(|file| std::fs::read(Path::new(&*file)).ok());
        let text = masked(&String::from_utf8_lossy(&bytes.unwrap_or_default()));
        Configuration { text, properties: properties(settings) }
    }
}

/// The text of a configuration without its secrets.
fn masked(text: &str) -> String {
    let mut lines = Vec::new();
    let mut hides_on = false;
    for line in text.lines() {
        let goes_on = line.ends_with('\\');
        if hides_on {
            hides_on = goes_on;
            continue;
        }
        let key = line.trim_start().split(['=', ':', ' ', '\t']).next().unwrap_or_default();
        // A name with an escape could be any: it is shown in full only if it can be read.
        if key.contains('\\') || is_secret(key) {
            lines.push(format!("{key}={MASK}"));
            hides_on = goes_on;
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.contains("password")
        || lookup::find(key).is_some_and(|found| found.row.kind == Kind::Secret)
}

fn properties(settings: &Settings) -> BTreeMap<String, String> {
    let host = Host::look();
    let of_host = [
        ("file.separator", "/"),
        ("java.io.tmpdir", &host.temporary),
        ("line.separator", "\n"),
        ("os.arch", &host.machine),
        ("os.name", &host.system),
        ("os.version", &host.release),
        ("path.separator", ":"),
        ("user.dir", &host.directory),
        ("user.home", &host.home),
        ("user.name", &host.user),
    ];
    let mut all: BTreeMap<String, String> =
        of_host.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (key, text, origin) in settings.described() {
        let Some(found) = lookup::find(key) else { continue };
        let said = !matches!(origin, Origin::Default | Origin::Derived(_));
        if said && found.row.source == Source::Property {
            let text = if found.row.kind == Kind::Secret { MASK } else { text };
            all.extend(found.row.property_names().into_iter().map(|n| (n, text.to_owned())));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_however_they_are_written() {
        let text = "tickTime=2000\n# a remark\n DigestAuthenticationProvider.superDigest = \
                    super:\\\n  abc=\ndataDir=/d\nzookeeper.ssl.keyStore.password: hush\n\
                    \\u0044igest=x\nserver.1=a:1:2\n";
        let expected = "tickTime=2000\n# a remark\nDigestAuthenticationProvider.superDigest=\
                        (hidden)\ndataDir=/d\nzookeeper.ssl.keyStore.password=(hidden)\n\
                        \\u0044igest=(hidden)\nserver.1=a:1:2";
        assert_eq!(masked(text), expected);
    }
}
