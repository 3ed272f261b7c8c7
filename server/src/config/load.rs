//! From the command line, the files and the environment to settings, or to all that is wrong.

use std::path::Path;
use std::sync::Arc;

use super::derive::Rules;
use super::env::Env;
use super::layers::{self, Layers};
use super::origin::{ConfigError, Origin, Problem, Warning, Weight};
use super::resolve::{self, Finding, Held, Values, Verdict};
use super::servers::{self, Client, Role, ServerLine};
use super::settings::Settings;
use super::types::Listen;
use super::value::Value;
use crate::cli::StartArgs;

/// Everything there is to know about a configuration.
#[derive(Debug)]
pub struct Explanation {
    /// What was said, the last word first, each with what became of it.
    pub findings: Vec<Finding>,
    /// What there is to tell without stopping.
    pub warnings: Vec<Warning>,
    /// The settings, or every reason why there are none.
    pub settings: Result<Settings, ConfigError>,
}

impl Settings {
    /// Loads the settings: the command line goes before `zoo.cfg`, that before the environment,
    /// and that before the defaults.
    pub fn load(args: &StartArgs, env: &Env) -> Result<(Settings, Vec<Warning>), ConfigError> {
        let Explanation { warnings, settings, .. } = explain(args, env);
        Ok((settings?, warnings))
    }
}

/// Loads the settings and says of each entry what became of it.
pub fn explain(args: &StartArgs, env: &Env) -> Explanation {
    let Layers { entries, mut warnings, mut problems, whole } = layers::gather(args, env);
    let (mut findings, mut values) = resolve::resolve(entries);
    refuse_classes(&mut findings);
    refuse_ensembles(&mut findings);
    let server = server_line(&mut findings);
    problems.extend(findings.iter().filter_map(Finding::problem));
    warnings.extend(findings.iter().filter_map(Finding::warning));
    let whole = Whole { file: whole, clean: problems.is_empty() };
    whole.require_directory(&values, &mut problems);
    let my_id = my_id(&values, env, &mut problems);
    if let Some(server) = &server {
        clients_of(server, &mut values, &mut problems);
        warnings.extend(compare_ids(server, my_id));
    }
    whole.require_port(&values, &mut problems);
    Rules { values: &mut values, warnings: &mut warnings, problems: &mut problems }.apply();
    let settings = if problems.is_empty() {
        Ok(Settings::from_values(&values, my_id))
    } else {
        Err(ConfigError { problems })
    };
    Explanation { findings, warnings, settings }
}

/// What the configuration as a whole has to have.
struct Whole {
    file: Option<Arc<str>>,
    clean: bool,
}

impl Whole {
    /// A configuration that has other faults may lack the setting only because of them.
    fn lacks(&self, problems: &mut Vec<Problem>, key: &str, example: &str) {
        if !self.clean {
            return;
        }
        let origin = self.file.clone().map_or(Origin::Bare, Origin::File);
        let text = format!("{key}: it is not set; write {key}={example}");
        problems.push(Problem { origin, text });
    }

    fn require_directory(&self, values: &Values, problems: &mut Vec<Problem>) {
        if values.held("dataDir").value == Value::Absent {
            self.lacks(problems, "dataDir", "/var/lib/ringkeeper");
        }
    }

    /// In a file, ZooKeeper takes port 0 for no port; on the command line it is any free one.
    fn require_port(&self, values: &Values, problems: &mut Vec<Problem>) {
        let origin = values.origin("clientPort");
        match (values.number("clientPort"), origin) {
            (None, _) => self.lacks(problems, "clientPort", "2181"),
            (Some(0), Origin::Line { .. } | Origin::Variable(_)) => {
                let text = "clientPort: 0 is no port; write clientPort=2181".to_owned();
                problems.push(Problem { origin: origin.clone(), text });
            }
            (Some(_), _) => {}
        }
    }
}

/// Authentication classes are a matter of Java; those whose work is built in are fine.
fn refuse_classes(findings: &mut [Finding]) {
    let built_in = [
        "DigestAuthenticationProvider",
        "IPAuthenticationProvider",
        "EnsembleAuthenticationProvider",
    ];
    for finding in findings.iter_mut().filter(|finding| in_family(finding, "authProvider.*")) {
        let class = finding.entry.value.rsplit('.').next().unwrap_or_default();
        let why = match class {
            class if built_in.contains(&class) => continue,
            "SASLAuthenticationProvider" => "this release has no SASL; remove it to go on without",
            "X509AuthenticationProvider" => "this release has no TLS; remove it to go on without",
            _ => "Java classes cannot be loaded here; remove it to go on without",
        };
        finding.verdict = Verdict::Refused(why.to_owned());
    }
}

fn in_family(finding: &Finding, key: &str) -> bool {
    finding.verdict == Verdict::Used
        && finding.found.as_ref().is_some_and(|found| found.row.key == key)
}

/// More than one server is an ensemble. To run one of them alone would split it in two.
fn refuse_ensembles(findings: &mut [Finding]) {
    let servers: Vec<&mut Finding> =
        findings.iter_mut().filter(|finding| in_family(finding, "server.*")).collect();
    let count = servers.len();
    if count < 2 {
        return;
    }
    let mut first: Option<Origin> = None;
    for finding in servers {
        finding.verdict = match &first {
            Some(first) => Verdict::PartOf(first.clone()),
            None => Verdict::Refused(format!(
                "{count} servers are listed, and this release runs one server on its own; keep \
                 one server line, or none, or stay with ZooKeeper for an ensemble"
            )),
        };
        first.get_or_insert_with(|| finding.entry.origin.clone());
    }
}

/// The server line, with its origin, where there is a good one.
fn server_line(findings: &mut [Finding]) -> Option<(ServerLine, Origin)> {
    let finding = findings.iter_mut().find(|finding| in_family(finding, "server.*"))?;
    let key = finding.found.as_ref().map(|found| found.key.clone())?;
    match servers::parse(&key, &finding.entry.value) {
        Ok(server) if server.role == Role::Observer => {
            let why = "a server on its own cannot be an observer; remove \":observer\"";
            finding.verdict = Verdict::Refused(why.to_owned());
            None
        }
        Ok(server) => Some((server, finding.entry.origin.clone())),
        Err(text) => {
            finding.verdict = Verdict::Bad(text);
            None
        }
    }
}

/// A server line may say where the clients connect. A port said elsewhere has to be the same.
fn clients_of(
    (server, origin): &(ServerLine, Origin),
    values: &mut Values,
    problems: &mut Vec<Problem>,
) {
    let Client::At(listen, port) = &server.client else { return };
    let port = i64::from(*port);
    match values.number("clientPort") {
        Some(other) if other != port => {
            let said = values.origin("clientPort");
            let text = format!(
                "server.{}: its client port is {port}, but {said} says clientPort={other}; make \
                 them the same",
                server.id
            );
            problems.push(Problem { origin: origin.clone(), text });
            return;
        }
        Some(_) => {}
        None => values.set_number("clientPort", port, origin.clone()),
    }
    if let (Listen::Host(host), Value::Absent) = (listen, &values.held("clientPortAddress").value) {
        let value = Value::Text(host.clone());
        let held = Held { value, text: host.clone(), origin: origin.clone() };
        values.set("clientPortAddress", held);
    }
}

/// The number of this server: that of the file in the data directory, or else of the image.
fn my_id(values: &Values, env: &Env, problems: &mut Vec<Problem>) -> Option<u64> {
    let Value::Text(directory) = &values.held("dataDir").value else { return None };
    let path = Path::new(directory).join("myid");
    let name: Arc<str> = Arc::from(path.to_string_lossy().as_ref());
    let (text, origin) = match env.read(&path) {
        Ok(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), Origin::File(name)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = env.get("ZOO_MY_ID")?.to_owned();
            (text, Origin::Variable("ZOO_MY_ID".to_owned()))
        }
        Err(error) => {
            let text = format!("it cannot be read: {error}; make it readable or remove it");
            problems.push(Problem { origin: Origin::File(name), text });
            return None;
        }
    };
    let extended = values.get("extendedTypesEnabled");
    match parse_id(text.trim(), extended) {
        Ok(id) => Some(id),
        Err(text) => {
            problems.push(Problem { origin, text });
            None
        }
    }
}

/// A server's number is one byte of the sessions that it makes, and one value of that byte is taken
/// where ephemeral nodes carry their type.
fn parse_id(text: &str, extended: bool) -> Result<u64, String> {
    let shown: String = text.chars().take(40).collect();
    let id = text.parse::<i64>().map_err(|_| {
        format!("\"{shown}\" is not the number of a server; write a number such as 1")
    })?;
    let (max, why) = match extended {
        true => (254, " with extendedTypesEnabled=true"),
        false => (255, ""),
    };
    if !(1..=max).contains(&id) {
        return Err(format!(
            "{id} is no server's number: it is 1 to {max}{why}; write one of these"
        ));
    }
    Ok(id.unsigned_abs())
}

/// A number that is not that of the only server line is perhaps a file of another server.
fn compare_ids((server, origin): &(ServerLine, Origin), my_id: Option<u64>) -> Option<Warning> {
    let mine = my_id.filter(|mine| *mine != server.id)?;
    let text = format!("server.{}: this server is number {mine} by its myid", server.id);
    Some(Warning { weight: Weight::Warning, origin: origin.clone(), text })
}
