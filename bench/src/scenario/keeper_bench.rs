//! Configurations of ClickHouse's keeper-bench. What has a counterpart here is taken over, the rest
//! is named.

use super::document::{Entry, Item, Mistake, Value};
use super::{Phase, Scenario};

/// What has been read so far.
#[derive(Default)]
struct Reading {
    words: Vec<String>,
    notes: Vec<Mistake>,
    servers: Vec<String>,
    pipelined: bool,
    count: Option<u64>,
    seconds: Option<(usize, u64)>,
    nodes: u64,
    weights: Vec<(&'static str, f64)>,
    /// Sizes of the values of sets and creates; of the nodes set up, if there are none.
    sizes: Option<(u64, u64)>,
    planted: Option<(u64, u64)>,
}

/// Reads a configuration.
pub(super) fn read(file: &Item) -> Result<Scenario, Mistake> {
    let mut reading = Reading::default();
    for entry in file.table()? {
        match entry.key.as_str() {
            "concurrency" => reading.option("connections", entry.item.number::<u32>()?),
            "iterations" => reading.count = Some(entry.item.number()?),
            "timelimit" => reading.seconds = Some((entry.line, entry.item.number()?)),
            "pipeline_depth" => {
                reading.pipelined = true;
                reading.option("pipeline", entry.item.number::<u32>()?);
            }
            "warmup_seconds" => {
                reading.option("warmup", format!("{}s", entry.item.number::<u64>()?));
            }
            "connections" => reading.connections(&entry.item)?,
            "generator" => reading.generator(&entry.item)?,
            _ => reading.leave_out(entry),
        }
    }
    reading.finish(file.line)
}

impl Reading {
    fn option(&mut self, name: &str, value: impl std::fmt::Display) {
        self.words.push(format!("--{name}={value}"));
    }

    fn note(&mut self, line: usize, text: impl Into<String>) {
        self.notes.push(Mistake::new(line, text));
    }

    fn leave_out(&mut self, entry: &Entry) {
        self.note(entry.line, format!("{} has no counterpart here and is left out", entry.key));
    }

    fn connections(&mut self, item: &Item) -> Result<(), Mistake> {
        for entry in item.table()? {
            match entry.key.as_str() {
                "connection" => self.connections(&entry.item)?,
                "host" => match &entry.item.value {
                    Value::List(hosts) => {
                        for host in hosts {
                            self.servers.push(host.word()?.to_string());
                        }
                    }
                    Value::Word(_) | Value::Table(_) => {
                        self.servers.push(entry.item.word()?.to_string());
                    }
                },
                "session_timeout_ms" => {
                    self.option("session-timeout", format!("{}ms", entry.item.number::<u32>()?));
                }
                "secure" => {
                    if !matches!(entry.item.word()?, "0" | "false") {
                        return Err(Mistake::new(entry.line, "TLS is not spoken here"));
                    }
                }
                _ => self.leave_out(entry),
            }
        }
        Ok(())
    }

    fn generator(&mut self, item: &Item) -> Result<(), Mistake> {
        for entry in item.table()? {
            match entry.key.as_str() {
                "setup" => {
                    self.nodes = self.setup(&entry.item)?;
                    let text = "the nodes are planted with names and in a shape of their own, as \
                                many as there are here, below --path";
                    self.note(entry.line, text);
                }
                "requests" => self.requests(&entry.item, 1.0)?,
                _ => self.leave_out(entry),
            }
        }
        Ok(())
    }

    /// Counts the nodes that would be set up.
    fn setup(&mut self, item: &Item) -> Result<u64, Mistake> {
        let (mut repeat, mut below, mut own) = (1, 0_u64, 0);
        for entry in item.table()? {
            match entry.key.as_str() {
                "node" => below = below.saturating_add(self.setup(&entry.item)?),
                "repeat" => repeat = entry.item.number()?,
                "name" => own = 1,
                "data" => {
                    let sizes = size(&entry.item)?;
                    self.planted = self.planted.or(Some(sizes));
                }
                _ => self.leave_out(entry),
            }
        }
        Ok(below.saturating_add(own).saturating_mul(repeat))
    }

    fn requests(&mut self, item: &Item, share: f64) -> Result<(), Mistake> {
        for entry in item.table()? {
            let kind = match entry.key.as_str() {
                "create" => "create",
                "set" => "set",
                "get" => "get",
                "list" => "children",
                "multi" => "multi",
                "weight" | "size" => continue,
                _ => {
                    self.leave_out(entry);
                    continue;
                }
            };
            let (weight, removed) = self.request(kind, &entry.item)?;
            self.weights.push((kind, share * weight * (1.0 - removed)));
            self.weights.push(("delete", share * weight * removed));
        }
        Ok(())
    }

    /// The weight of one kind of request, and the share of it that removes instead.
    fn request(&mut self, kind: &str, item: &Item) -> Result<(f64, f64), Mistake> {
        let (mut weight, mut removed) = (1.0, 0.0);
        for entry in item.table()? {
            match entry.key.as_str() {
                "weight" => weight = entry.item.number::<f64>()?,
                "remove_factor" => removed = entry.item.number::<f64>()?.clamp(0.0, 1.0),
                "data" => {
                    let sizes = size(&entry.item)?;
                    self.sizes = self.sizes.or(Some(sizes));
                }
                "path" | "path_length" | "name_length" => {}
                "create" | "set" | "get" | "list" | "size" if kind == "multi" => {
                    let text = format!(
                        "{} inside a multi: multis are create, set, set and delete here",
                        entry.key
                    );
                    self.note(entry.line, text);
                }
                _ => self.leave_out(entry),
            }
        }
        Ok((weight, removed))
    }

    fn finish(mut self, line: usize) -> Result<Scenario, Mistake> {
        if !self.pipelined {
            self.option("pipeline", 1);
        }
        match (self.count.filter(|count| *count > 0), self.seconds) {
            (Some(count), seconds) => {
                self.option("count", count);
                if let Some((line, _)) = seconds {
                    self.note(line, "timelimit is left out: iterations end the load");
                }
            }
            (None, Some((_, seconds))) => self.option("duration", format!("{seconds}s")),
            (None, None) => {}
        }
        if self.nodes > 0 {
            self.option("keys", self.nodes.min(1_000_000));
        }
        if let Some((min, max)) = self.sizes.or(self.planted) {
            self.option("value-bytes", format!("uniform:{min}-{max}"));
        }
        if !self.weights.iter().any(|(_, weight)| *weight > 0.0) {
            return Err(Mistake::new(line, "no requests that are known here"));
        }
        let weights = self.weights.iter().filter(|(_, weight)| *weight > 0.0);
        let weights: Vec<_> = weights.map(|(kind, weight)| format!("{kind}={weight}")).collect();
        self.words.push(format!("mix:{}", weights.join(",")));
        let phase = Phase { name: "keeper-bench".to_string(), words: self.words };
        self.servers.dedup();
        Ok(Scenario {
            about: "a configuration of keeper-bench".to_string(),
            phases: vec![phase],
            servers: (!self.servers.is_empty()).then(|| self.servers.join(",")),
            notes: self.notes,
        })
    }
}

/// Bytes of a value: its own, or those of a random one.
fn size(item: &Item) -> Result<(u64, u64), Mistake> {
    let entries = match &item.value {
        Value::Word(word) => return Ok((word.len() as u64, word.len() as u64)),
        Value::List(_) | Value::Table(_) => item.table()?,
    };
    let unknown = || Mistake::new(item.line, "a text or random_string with a size is expected");
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
                return Err(Mistake::new(size.line, "min_value is above max_value"));
            }
            Ok((min, max))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::document::read_yaml;

    const CONFIGURATION: &str = "\
concurrency: 20
iterations: 1000
timelimit: 300
delay: 4
connections:
  session_timeout_ms: 2000
  connection:
    secure: false
    host: \"localhost:9181\"
  host: \"localhost:9182\"
generator:
  setup:
    node:
      name: \"a\"
      node:
        repeat: 4
        name:
          random_string:
            size: 15
        data: \"somedata\"
    node:
      name: \"b\"
  requests:
    create:
      path: \"/a\"
      remove_factor: 0.5
      data:
        random_string:
          size:
            min_value: 10
            max_value: 20
    get:
      weight: 3
      path:
        children_of: \"/a\"
    multi:
      weight: 2
      set:
        path: \"/a\"
    check:
      path: \"/a\"
";

    #[test]
    fn what_has_a_counterpart_is_taken_over_and_the_rest_is_named() {
        let scenario = read_yaml(CONFIGURATION).and_then(|file| read(&file)).unwrap();
        let expected = [
            "--connections=20",
            "--session-timeout=2000ms",
            "--pipeline=1",
            "--count=1000",
            "--keys=6",
            "--value-bytes=uniform:10-20",
            "mix:create=0.5,delete=0.5,get=3,multi=2",
        ];
        assert_eq!(scenario.phases[0].words, expected);
        assert_eq!(scenario.servers.as_deref(), Some("localhost:9181,localhost:9182"));
        let notes: Vec<_> = scenario.notes.iter().map(|note| note.line).collect();
        assert_eq!(notes, [4, 12, 38, 40, 3]);
        let secure = CONFIGURATION.replace("secure: false", "secure: true");
        assert_eq!(read_yaml(&secure).and_then(|file| read(&file)).unwrap_err().line, 8);
    }
}
