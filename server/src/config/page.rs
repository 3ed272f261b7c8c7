//! The table for readers: `docs/operate/settings.md` and `ringkeeper settings`.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::json;

use super::Paint;
use super::rows::TOPICS;
use super::table::{Apache, Disposition, Row, Source, Topic};
use crate::cli::SettingsArgs;

const INTRODUCTION: &str = "\
# Settings

Every setting of ZooKeeper 3.9.5 and every one of Ringkeeper, with what it does here. `ringkeeper
check zoo.cfg` says the same about each line of a configuration.

- **honoured**: it does what it does in ZooKeeper.
- **refused**: a value other than the default stops the start, because going on without it would
  silently give less than was asked for.
- **not yet**: it has no effect in this release, and the start says so.
- **no meaning**: there is nothing here that it could change.

That holds for one server on its own. What holds where several servers are listed follows behind
\"in an ensemble\", where it differs. This release does not start with such a configuration:
honoured there means that it is checked, and shown by `ringkeeper check`.

A value is looked for in this order: options such as `--log-level`; `-Dname=value` on the command
line; the same in `JVMFLAGS`, then in `SERVER_JVMFLAGS`; `zoo.cfg`, or the arguments `clientPort
dataDir [tickTime] [maxClientCnxns]` in its place; the file that `ringkeeper.include` names; the
`ZOO_…` variables of ZooKeeper's container image; the default. `-D` takes the name of the system
property, which is `zookeeper.` and the key where nothing else is said, and takes the key alone as
well. A name that is not below is no mistake, but the start warns about it. A value that cannot be
right stops the start.

This page is made from the table in `server/src/config`: `UPDATE=1 cargo test -p ringkeeper --test
config` rewrites it.
";

/// The text of `docs/operate/settings.md`.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for topic in TOPICS {
        let Topic { title, about, rows } = topic;
        write!(page, "\n## {title}\n\n{about}\n\n").expect(ALL_TEXT);
        page.push_str("| setting | value | default | meaning | here |\n|---|---|---|---|---|\n");
        for row in *rows {
            markdown_row(&mut page, row);
        }
    }
    page
}

const ALL_TEXT: &str = "a string takes all text";

fn markdown_row(page: &mut String, row: &Row) {
    let mut here = disposition_cell(row.disposition);
    if let Some(ensemble) = row.ensemble {
        write!(here, "; in an ensemble {}", disposition_cell(ensemble)).expect(ALL_TEXT);
    }
    let cells = [
        format!("`{}`", row.key),
        row.kind.describe(),
        format!("{}{}", row.default_text(), apache_default(row)),
        format!("{}{}", row.doc, other_names(row)),
        here,
    ];
    let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(page, "| {} |", escaped.join(" | ")).expect(ALL_TEXT);
}

fn disposition_cell(disposition: Disposition) -> String {
    let (label, reason) = (disposition.label(), disposition.reason());
    let separator = if reason.is_empty() { "" } else { ": " };
    format!("**{label}**{separator}{reason}")
}

fn apache_default(row: &Row) -> String {
    match row.apache {
        Apache::Same => String::new(),
        Apache::Differs { default, why } => format!("; ZooKeeper: {default} ({why})"),
    }
}

/// The names that cannot be guessed from the key.
fn other_names(row: &Row) -> String {
    let mut names = String::new();
    let usual = row.source == Source::Property && row.properties.is_empty();
    if !usual && row.source != Source::Own {
        for property in row.property_names() {
            write!(names, " Property: `{property}`.").expect(ALL_TEXT);
        }
    }
    for alias in row.aliases {
        write!(names, " In the administrator's guide: `{alias}`.").expect(ALL_TEXT);
    }
    if !row.variable.is_empty() {
        write!(names, " Variable: `{}`.", row.variable).expect(ALL_TEXT);
    }
    names
}

/// Writes the settings, all of them or those with a word.
pub fn run(args: &SettingsArgs, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let wanted = |row: &&Row| args.word.as_deref().is_none_or(|word| mentions(row, word));
    if args.json {
        let rows: Vec<_> = TOPICS
            .iter()
            .flat_map(|topic| topic.rows.iter().filter(wanted).map(|row| as_json(topic, row)))
            .collect();
        return writeln!(out, "{:#}", json!(rows));
    }
    for topic in TOPICS {
        let rows: Vec<&Row> = topic.rows.iter().filter(wanted).collect();
        if !rows.is_empty() {
            writeln!(out, "{}", paint.bold(topic.title))?;
        }
        for row in rows {
            write_row(row, paint, out)?;
        }
    }
    Ok(())
}

fn mentions(row: &Row, word: &str) -> bool {
    let word = word.to_lowercase();
    [row.key, row.doc, row.variable]
        .into_iter()
        .chain(row.aliases.iter().copied())
        .chain(row.properties.iter().copied())
        .any(|text| text.to_lowercase().contains(&word))
}

fn write_row(row: &Row, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let default = format!("{}{}", row.default_text(), apache_default(row));
    writeln!(out, "  {}  {}, default {default}", paint.good(row.key), row.kind.describe())?;
    writeln!(out, "      {}{}", row.doc, other_names(row))?;
    write_disposition("", row.disposition, paint, out)?;
    match row.ensemble {
        Some(ensemble) => write_disposition("in an ensemble ", ensemble, paint, out),
        None => Ok(()),
    }
}

/// A setting that is honoured by a server on its own needs no word of it.
fn write_disposition(
    prefix: &str,
    disposition: Disposition,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    match disposition {
        Disposition::Honoured if prefix.is_empty() => Ok(()),
        Disposition::Honoured => writeln!(out, "      {prefix}{}", disposition.label()),
        Disposition::Refused(why) | Disposition::NotYet(why) | Disposition::NoMeaning(why) => {
            let label = format!("{}:", disposition.label());
            writeln!(out, "      {prefix}{} {why}", paint.warning(&label))
        }
    }
}

fn as_json(topic: &Topic, row: &Row) -> serde_json::Value {
    let (apache, why) = match row.apache {
        Apache::Same => (row.default_text(), ""),
        Apache::Differs { default, why } => (default, why),
    };
    json!({
        "topic": topic.title,
        "key": row.key,
        "properties": row.property_names(),
        "aliases": row.aliases,
        "variable": row.variable,
        "value": row.kind.describe(),
        "default": row.default_text(),
        "zookeeperDefault": apache,
        "whyOtherDefault": why,
        "meaning": row.doc,
        "disposition": row.disposition.label(),
        "reason": row.disposition.reason(),
        "ensemble": row.ensemble.map(|disposition| {
            json!({ "disposition": disposition.label(), "reason": disposition.reason() })
        }),
    })
}
