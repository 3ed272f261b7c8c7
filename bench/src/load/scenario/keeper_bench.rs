//! Configurations of ClickHouse's keeper-bench. What has a counterpart here is taken over, the rest
//! is named.

use super::document::{Entry, Item, LineError, Value};
use super::{Phase, Scenario};

/// Kinds of request by the beginning of their keys, as keeper-bench does.
const KINDS: [(&str, &str); 5] = [
    ("create", "create"),
    ("set", "set"),
    ("get", "get"),
    ("list", "children"),
    ("multi", "multi"),
];
/// Nodes created at most.
const NODES_MAX: u64 = 1_000_000;

/// What has been read so far.
#[derive(Default)]
struct Reading {
    words: Vec<String>,
    notes: Vec<LineError>,
    servers: Vec<String>,
    concurrent: bool,
    pipelined: bool,
    count: Option<u64>,
    seconds: Option<(usize, f64)>,
    session_ms: Option<u32>,
    nodes: u64,
    weights: Vec<(&'static str, f64)>,
    /// Sizes of the values of sets and creates; of the nodes set up, if there are none.
    sizes: Option<(u64, u64)>,
    planted: Option<(u64, u64)>,
}

pub(super) fn read(file: &Item) -> Result<Scenario, LineError> {
    let mut reading = Reading::default();
    for entry in file.table()? {
        match entry.key.as_str() {
            "concurrency" => {
                reading.concurrent = true;
                reading.option("connections", entry.item.number::<u32>()?);
            }
            "iterations" => reading.count = Some(entry.item.number()?),
            "timelimit" => reading.seconds = Some((entry.line, positive(&entry.item)?)),
            "pipeline_depth" => {
                reading.pipelined = true;
                reading.option("pipeline", entry.item.number::<u32>()?);
            }
            "warmup_seconds" => {
                reading.option("warmup", format!("{}s", positive(&entry.item)?));
            }
            "connections" => reading.connections(&entry.item)?,
            "setup" => reading.plant(entry)?,
            "generator" => reading.generator(&entry.item)?,
            _ => reading.note_unsupported(entry),
        }
    }
    reading.finish(file.line)
}

impl Reading {
    fn option(&mut self, name: &str, value: impl std::fmt::Display) {
        self.words.push(format!("--{name}={value}"));
    }

    fn note(&mut self, line: usize, text: impl Into<String>) {
        self.notes.push(LineError::new(line, text));
    }

    fn note_unsupported(&mut self, entry: &Entry) {
        self.note(entry.line, format!("{} has no counterpart here and is left out", entry.key));
    }

    fn connections(&mut self, item: &Item) -> Result<(), LineError> {
        for entry in item.table()? {
            match entry.key.as_str() {
                "connection" => {
                    for connection in entry.item.each() {
                        self.connections(connection)?;
                    }
                }
                "host" => {
                    for host in entry.item.each() {
                        self.servers.push(host.word()?.to_string());
                    }
                }
                "session_timeout_ms" => self.session_timeout(entry)?,
                "secure" => {
                    if is_true(&entry.item)? {
                        return Err(LineError::new(entry.line, "TLS is not spoken here"));
                    }
                }
                "use_compression" | "use_xid_64" if !is_true(&entry.item)? => {}
                _ => self.note_unsupported(entry),
            }
        }
        Ok(())
    }

    fn session_timeout(&mut self, entry: &Entry) -> Result<(), LineError> {
        let ms = entry.item.number()?;
        let first = *self.session_ms.get_or_insert(ms);
        if first != ms {
            let text = format!("all sessions have the same timeout here, {first} ms");
            self.note(entry.line, text);
        }
        Ok(())
    }

    fn generator(&mut self, item: &Item) -> Result<(), LineError> {
        for entry in item.table()? {
            match entry.key.as_str() {
                "setup" => self.plant(entry)?,
                "seed" => self.option("seed", entry.item.number::<u64>()?),
                "requests" => {
                    let text = "requests go to the planted nodes, or make nodes below --path: \
                                paths and names are not those of this file";
                    self.note(entry.line, text);
                    let weights = self.requests(&entry.item)?;
                    self.weights.extend(weights);
                }
                _ => self.note_unsupported(entry),
            }
        }
        Ok(())
    }

    fn plant(&mut self, entry: &Entry) -> Result<(), LineError> {
        self.nodes = self.setup(&entry.item)?;
        let nodes = self.nodes.min(NODES_MAX);
        let text = format!("{nodes} nodes are planted, with names and in a shape of their own");
        self.note(entry.line, text);
        Ok(())
    }

    /// Counts the nodes that would be set up.
    fn setup(&mut self, item: &Item) -> Result<u64, LineError> {
        let (mut repeat, mut below, mut own) = (1, 0_u64, 0);
        for entry in item.table()? {
            match entry.key.as_str() {
                "node" => {
                    for node in entry.item.each() {
                        below = below.saturating_add(self.setup(node)?);
                    }
                }
                "repeat" => repeat = entry.item.number()?,
                "name" => own = 1,
                "tag" => {}
                "data" => {
                    let sizes = size(&entry.item)?;
                    self.planted = self.planted.or(Some(sizes));
                }
                _ => self.note_unsupported(entry),
            }
        }
        Ok(below.saturating_add(own).saturating_mul(repeat))
    }

    /// The weights of some kinds of request, together 1 if they are inside of a multi.
    fn requests(&mut self, item: &Item) -> Result<Vec<(&'static str, f64)>, LineError> {
        let mut weights = Vec::new();
        for entry in item.table()? {
            // A key with a number or a word behind it is one more of the kind.
            let kind = KINDS.iter().find(|(key, _)| entry.key.starts_with(key));
            let Some((_, kind)) = kind else {
                self.note_unsupported(entry);
                continue;
            };
            for request in entry.item.each() {
                match *kind {
                    "multi" => weights.extend(self.multi(request)?),
                    kind => weights.extend(self.request(kind, request)?),
                }
            }
        }
        Ok(weights)
    }

    /// The weight of one kind of request, and of those that remove instead.
    fn request(
        &mut self,
        kind: &'static str,
        item: &Item,
    ) -> Result<[(&'static str, f64); 2], LineError> {
        let (mut weight, mut removed) = (1.0, 0.0);
        for entry in item.table()? {
            match entry.key.as_str() {
                "weight" => weight = positive(&entry.item)?,
                "remove_factor" => {
                    removed = positive(&entry.item)?;
                    if removed > 1.0 {
                        return Err(LineError::new(entry.line, "remove_factor is above 1"));
                    }
                }
                "data" => self.data(entry)?,
                "watch_probability" if positive(&entry.item)? == 0.0 => {}
                // Their own notes are those of the requests as a whole.
                key if key.starts_with("path") || key == "name_length" => {}
                _ => self.note_unsupported(entry),
            }
        }
        Ok([(kind, weight * (1.0 - removed)), ("delete", weight * removed)])
    }

    /// Multis that write are all alike here. Those that only read are sent as single reads: a load
    /// of reads must not become one of writes.
    fn multi(&mut self, item: &Item) -> Result<Vec<(&'static str, f64)>, LineError> {
        let (mut weight, mut inner) = (1.0, Vec::new());
        for entry in item.table()? {
            match entry.key.as_str() {
                "weight" => weight = positive(&entry.item)?,
                "size" => {}
                key if key.starts_with("multi") => {
                    return Err(LineError::new(entry.line, "a multi inside of a multi"));
                }
                _ => {
                    let item = Item { line: entry.line, value: Value::Table(vec![entry.clone()]) };
                    inner.extend(self.requests(&item)?);
                }
            }
        }
        let reads =
            |(kind, weight): &(&str, f64)| matches!(*kind, "get" | "children") || *weight == 0.0;
        let sum: f64 = inner.iter().map(|(_, weight)| weight).sum();
        if sum > 0.0 && inner.iter().all(reads) {
            self.note(item.line, "a multi of reads is sent as single reads here");
            return Ok(inner.iter().map(|(kind, part)| (*kind, weight * part / sum)).collect());
        }
        let text = "multis are create, set, set and delete here, whatever they hold in this file";
        self.note(item.line, text);
        Ok(vec![("multi", weight)])
    }

    fn data(&mut self, entry: &Entry) -> Result<(), LineError> {
        let sizes = size(&entry.item)?;
        let first = *self.sizes.get_or_insert(sizes);
        if first != sizes {
            let text = match first {
                (min, max) if min == max => format!("all values have {min} bytes here"),
                (min, max) => format!("all values have {min} to {max} bytes here"),
            };
            self.note(entry.line, text + ", as the first ones");
        }
        Ok(())
    }

    fn finish(mut self, line: usize) -> Result<Scenario, LineError> {
        for (name, given) in [("connections", self.concurrent), ("pipeline", self.pipelined)] {
            if !given {
                self.option(name, 1);
            }
        }
        if let Some(ms) = self.session_ms {
            self.option("session-timeout", format!("{ms}ms"));
        }
        let seconds = self.seconds.filter(|(_, seconds)| *seconds > 0.0);
        match (self.count.filter(|count| *count > 0), seconds) {
            (Some(count), seconds) => {
                self.option("count", count);
                if let Some((line, _)) = seconds {
                    self.note(line, "timelimit is left out: iterations end the load");
                }
            }
            (None, Some((_, seconds))) => self.option("duration", format!("{seconds}s")),
            (None, None) => {
                let text = "neither iterations nor timelimit end the load: --duration does";
                self.note(line, text);
            }
        }
        if self.nodes > 0 {
            self.option("keys", self.nodes.min(NODES_MAX));
        }
        if let Some((min, max)) = self.sizes.or(self.planted) {
            self.option("value-bytes", format!("uniform:{min}-{max}"));
        }
        let mut sums: Vec<(&str, f64)> = Vec::new();
        for (kind, weight) in self.weights.iter().filter(|(_, weight)| *weight > 0.0) {
            match sums.iter_mut().find(|(known, _)| known == kind) {
                Some((_, sum)) => *sum += weight,
                None => sums.push((kind, *weight)),
            }
        }
        if sums.is_empty() {
            return Err(LineError::new(line, "no requests that are known here"));
        }
        let sums: Vec<_> = sums.iter().map(|(kind, weight)| format!("{kind}={weight}")).collect();
        self.words.push(format!("mix:{}", sums.join(",")));
        let phase = Phase { name: "keeper-bench".to_string(), words: self.words };
        self.servers.sort();
        self.servers.dedup();
        self.notes.sort_by_key(|note| note.line);
        Ok(Scenario {
            about: "a configuration of keeper-bench".to_string(),
            phases: vec![phase],
            servers: (!self.servers.is_empty()).then(|| self.servers.join(",")),
            notes: self.notes,
        })
    }
}

fn positive(item: &Item) -> Result<f64, LineError> {
    let number: f64 = item.number()?;
    if number.is_finite() && number >= 0.0 {
        return Ok(number);
    }
    Err(LineError::new(
        item.line,
        format!("a number that is not below 0 is expected, not {number}"),
    ))
}

fn is_true(item: &Item) -> Result<bool, LineError> {
    Ok(!matches!(item.word()?, "0" | "false"))
}

/// Bytes of a value: its own, or those of a random one.
fn size(item: &Item) -> Result<(u64, u64), LineError> {
    let entries = match &item.value {
        Value::Word(word) => return Ok((word.len() as u64, word.len() as u64)),
        Value::List(_) | Value::Table(_) => item.table()?,
    };
    let unknown = || LineError::new(item.line, "a text or random_string with a size is expected");
    let find = |entries: &[Entry], key: &str| {
        entries.iter().find(|entry| entry.key == key).map(|entry| entry.item.clone())
    };
    let random = find(entries, "random_string").ok_or_else(unknown)?;
    let size = find(random.table()?, "size").ok_or_else(unknown)?;
    match &size.value {
        Value::Word(_) => size.number().map(|bytes| (bytes, bytes)),
        Value::List(_) | Value::Table(_) => {
            let bound = |key| find(size.table()?, key).ok_or_else(unknown)?.number();
            let (min, max) = (bound("min_value")?, bound("max_value")?);
            if min > max {
                return Err(LineError::new(size.line, "min_value is above max_value"));
            }
            Ok((min, max))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::document::read_yaml;

    const SAMPLE: &str = include_str!("../../../scenarios/keeper-bench.yaml");

    fn line_of(text: &str) -> usize {
        1 + SAMPLE.lines().position(|line| line.contains(text)).expect("it is in the sample")
    }

    fn read_text(text: &str) -> Result<Scenario, LineError> {
        read_yaml(text).and_then(|file| read(&file))
    }

    #[test]
    fn keeper_bench_settings_are_imported_or_noted() {
        let scenario = read_text(SAMPLE).unwrap();
        let expected = [
            "--connections=20",
            "--warmup=0.5s",
            "--seed=7",
            "--pipeline=1",
            "--session-timeout=8000ms",
            "--count=2000",
            "--keys=34",
            "--value-bytes=uniform:16-64",
            "mix:create=5,delete=5,set=20,get=62,children=8,multi=4",
        ];
        assert_eq!(scenario.phases[0].words, expected);
        assert_eq!(scenario.servers.as_deref(), Some("localhost:2181,localhost:2182"));
        let named = [
            line_of("timelimit"),
            line_of("report_delay"),
            line_of("operation_timeout_ms"),
            line_of("sessions"),
            line_of("setup:"),
            line_of("requests:"),
            line_of("random_string: { size: 200 }") - 1,
            line_of("watch_probability"),
            line_of("multi:") + 1,
            line_of("multi2:") + 1,
            line_of("0123456789abcdef"),
            line_of("check"),
            line_of("output"),
        ];
        let notes: Vec<_> = scenario.notes.iter().map(|note| note.line).collect();
        assert_eq!(notes, named, "{:#?}", scenario.notes);
    }

    #[test]
    fn invalid_keeper_bench_setting_is_rejected_with_its_line() {
        for (good, bad) in [
            ("secure: false", "secure: true"),
            ("remove_factor: 0.5", "remove_factor: 1.5"),
            ("weight: 10", "weight: -1"),
            ("repeat: 16", "repeat: many"),
            ("min_value: 16", "min_value: 65"),
            ("report_delay: 2", "report_delay: *other"),
        ] {
            let error = read_text(&SAMPLE.replace(good, bad)).unwrap_err();
            assert!(error.line.abs_diff(line_of(good)) <= 1, "{bad}: {error:?}");
        }
        assert!(read_text("concurrency: 1\n").unwrap_err().text.contains("no requests"));
        let endless = read_text("generator: { requests: { get: { path: /a } } }").unwrap();
        assert!(endless.notes.iter().any(|note| note.text.contains("--duration")));
        assert_eq!(endless.phases[0].words[0], "--connections=1");
    }
}
