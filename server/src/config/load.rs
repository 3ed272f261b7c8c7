//! From the command line, the files and the environment to settings, or to all that is wrong.

use std::sync::Arc;

use super::beside_file;
use super::derive::Rules;
use super::ensemble::assemble::Assembly;
use super::ensemble::lines::{self, Listed};
use super::ensemble::{Ensemble, PeerRole};
use super::env::Env;
use super::layers::{self, Layers};
use super::my_id::{self, MyId};
use super::origin::{ConfigError, Origin, Problem, Warning, Weight};
use super::resolve::{self, Finding, Held, Values, Verdict};
use super::sasl;
use super::servers::{self, ServerLine};
use super::settings::Settings;
use super::table::Deployment;
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
    /// The ensemble that is configured, if one is and the configuration has no fault.
    pub ensemble: Option<Ensemble>,
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
    let Layers { entries, mut warnings, mut problems, replaced, whole, file } =
        layers::gather(args, env);
    let deployment = resolve::deployment(&entries);
    let (mut findings, mut values) = resolve::resolve(entries, deployment);
    refuse_classes(&mut findings);
    let beside = file.map(|file| beside_file::file_rules(&file, &values, &mut findings));
    let servers = match deployment {
        Deployment::Standalone => Servers::One(server_line(&mut findings)),
        Deployment::Ensemble => {
            lines::refuse_replaced(replaced, &mut warnings, &mut problems);
            Servers::Several(lines::read(&mut findings, &values))
        }
    };
    problems.extend(findings.iter().filter_map(Finding::problem));
    warnings.extend(findings.iter().filter_map(Finding::warning));
    warnings.extend(beside.into_iter().flatten());
    let whole = Whole { file: whole, clean: problems.is_empty() };
    whole.require_directory(&values, &mut problems);
    let my_id = my_id::read(&values, env).unwrap_or_else(|problem| {
        problems.push(problem);
        MyId::Unknown
    });
    if let Some(own) = servers.own(&my_id) {
        clients_of(own, &mut values, &mut problems);
    }
    let ensemble = match &servers {
        Servers::One(server) => {
            warnings.extend(server.as_ref().and_then(|server| compare_ids(server, &my_id)));
            None
        }
        Servers::Several(lines) => Assembly {
            lines,
            unreadable: findings.iter().filter(|finding| is_refused_server(finding)).count(),
            my_id: &my_id,
            values: &mut values,
            whole: whole.origin(),
            warnings: &mut warnings,
            problems: &mut problems,
        }
        .assemble(),
    };
    // The line of an unknown member may say the port.
    if matches!(servers, Servers::One(_)) || servers.own(&my_id).is_some() {
        whole.require_port(&values, &mut problems);
    }
    let sasl = sasl::login(&findings, &values, (&mut warnings, &mut problems));
    Rules { values: &mut values, warnings: &mut warnings, problems: &mut problems }.apply();
    let ensemble = ensemble.filter(|_| problems.is_empty());
    let settings = if problems.is_empty() {
        Ok(Settings::from_values(&values, my_id.number(), ensemble.clone(), sasl))
    } else {
        Err(ConfigError { problems })
    };
    Explanation { findings, warnings, ensemble, settings }
}

/// The server lines of a configuration.
enum Servers {
    /// The line of a server on its own, if there is one and it is good.
    One(Option<(ServerLine, Origin)>),
    /// Those of an ensemble that can be read.
    Several(Vec<Listed>),
}

impl Servers {
    /// The line of this server.
    fn own(&self, my_id: &MyId) -> Option<(&ServerLine, &Origin)> {
        match self {
            Servers::One(server) => server.as_ref().map(|(line, origin)| (line, origin)),
            Servers::Several(lines) => lines
                .iter()
                .find(|listed| my_id.number() == Some(listed.line.id))
                .map(|listed| (&listed.line, &listed.origin)),
        }
    }
}

/// A server line that is no [`Listed`] one.
fn is_refused_server(finding: &Finding) -> bool {
    let server = finding.found.as_ref().is_some_and(|found| found.row.key == "server.*");
    server && matches!(finding.verdict, Verdict::Bad(_) | Verdict::Refused(_))
}

/// What the configuration as a whole has to have.
struct Whole {
    file: Option<Arc<str>>,
    clean: bool,
}

impl Whole {
    fn origin(&self) -> Origin {
        self.file.clone().map_or(Origin::Bare, Origin::File)
    }

    /// A configuration that has other faults may lack the setting only because of them.
    fn lacks(&self, problems: &mut Vec<Problem>, key: &str, example: &str) {
        if !self.clean {
            return;
        }
        let origin = self.origin();
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
            // TLS clients may be the only ones.
            (None, _) if values.number("secureClientPort").is_some() => {}
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
        "X509AuthenticationProvider",
        "SASLAuthenticationProvider",
    ];
    for finding in findings.iter_mut().filter(|finding| in_family(finding, "authProvider.*")) {
        let class = finding.entry.value.rsplit('.').next().unwrap_or_default();
        let why = match class {
            class if built_in.contains(&class) => continue,
            _ => "Java classes cannot be loaded here; remove it to go on without",
        };
        finding.verdict = Verdict::Refused(why.to_owned());
    }
}

fn in_family(finding: &Finding, key: &str) -> bool {
    finding.verdict == Verdict::Used
        && finding.found.as_ref().is_some_and(|found| found.row.key == key)
}

/// The server line, with its origin, where there is a good one.
fn server_line(findings: &mut [Finding]) -> Option<(ServerLine, Origin)> {
    let finding = findings.iter_mut().find(|finding| in_family(finding, "server.*"))?;
    let key = finding.found.as_ref().map(|found| found.key.clone())?;
    match servers::parse(&key, &finding.entry.value) {
        Ok(server) if server.role == PeerRole::Observer => {
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
    (server, origin): (&ServerLine, &Origin),
    values: &mut Values,
    problems: &mut Vec<Problem>,
) {
    let Some(client) = &server.client else { return };
    let port = i64::from(client.port);
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
    if let (Listen::Host(host), Value::Absent) =
        (&client.listen, &values.held("clientPortAddress").value)
    {
        let value = Value::Text(host.clone());
        let held = Held { value, text: host.clone(), origin: origin.clone() };
        values.set("clientPortAddress", held);
    }
}

/// A number that is not that of the only server line is perhaps a file of another server.
fn compare_ids((server, origin): &(ServerLine, Origin), my_id: &MyId) -> Option<Warning> {
    let mine = my_id.number().filter(|mine| *mine != server.id)?;
    let text = format!("server.{}: this server is number {mine} by its myid", server.id);
    Some(Warning { weight: Weight::Warning, origin: origin.clone(), text })
}
