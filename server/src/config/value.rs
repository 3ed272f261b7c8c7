//! From text to a checked value, and the sentence that says what is wrong with the text.

use ringkeeper_engine::log::gathering::{NoTarget, Target};

use super::table::{Kind, Preset, Row, Unit};

/// A checked value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// True or false, also from yes and no.
    Switch(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Text.
    Text(String),
    /// The words of a list.
    Words(Vec<String>),
    /// The setting is absent.
    Absent,
}

/// Reads a value, or says what it is not and what to write instead. `name` is the key as the user
/// wrote it, so that the advice can be pasted.
pub(super) fn parse(row: &Row, name: &str, text: &str) -> Result<Value, String> {
    match row.kind {
        Kind::Switch => switch(row, name, text, ["true", "false"]),
        Kind::YesNo => switch(row, name, text, ["yes", "no"]),
        Kind::Integer { min, max, unit } => integer(row, name, text, Bounds { min, max, unit }),
        Kind::Decimal { min, max } => decimal(row, name, text, min, max),
        Kind::AutoOrCount(max) => auto_or_count(name, text, max),
        Kind::Text | Kind::Secret => Ok(Value::Text(text.to_owned())),
        Kind::Path => filled(name, text, "a path", "/var/lib/ringkeeper"),
        Kind::Host => host(name, text),
        Kind::Words => Ok(Value::Words(words(text))),
        Kind::Choice(choices) => choice(name, text, choices),
        Kind::CommitTarget => commit_target(name, text),
    }
}

fn switch(row: &Row, name: &str, text: &str, [on, off]: [&str; 2]) -> Result<Value, String> {
    if text.eq_ignore_ascii_case(on) {
        return Ok(Value::Switch(true));
    }
    if text.eq_ignore_ascii_case(off) {
        return Ok(Value::Switch(false));
    }
    let advice = match text.to_ascii_lowercase().as_str() {
        "false" | "no" | "off" | "0" | "disabled" | "n" | "f" => off.to_owned(),
        "true" | "yes" | "on" | "1" | "enabled" | "y" | "t" => on.to_owned(),
        _ => example(row),
    };
    Err(format!("\"{text}\" is neither {on} nor {off}; write {name}={advice}"))
}

struct Bounds {
    min: i64,
    max: i64,
    unit: Unit,
}

fn integer(row: &Row, name: &str, text: &str, bounds: Bounds) -> Result<Value, String> {
    let Bounds { min, max, unit } = bounds;
    let Some(number) = whole_number(text) else {
        let advice = with_suffix(text, unit)
            .filter(|n| (min..=max).contains(n))
            .map_or_else(|| example(row), |n| n.to_string());
        return Err(format!("\"{text}\" is not {}; write {name}={advice}", unit.noun()));
    };
    if !(min..=max).contains(&number) {
        let advice = number.clamp(min, max);
        return Err(format!("{number} is {}; write {name}={advice}", outside(number, min, max)));
    }
    Ok(Value::Integer(number))
}

/// Java reads a leading 0 as octal in some places and not in others, so that it is refused here.
fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let negative = text.starts_with('-');
    let lower = digits.to_ascii_lowercase();
    let magnitude = match lower.strip_prefix("0x") {
        Some(hex) if !hex.starts_with(['-', '+']) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => return None,
        None if digits.starts_with(['-', '+']) => return None,
        None => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// What "2s" or "1 MB" would be in the unit of the setting, to be offered as advice only.
fn with_suffix(text: &str, unit: Unit) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, suffix) = text.split_at(split);
    let number: i64 = digits.parse().ok()?;
    let scale: i64 = match (unit, suffix.trim().to_ascii_lowercase().as_str()) {
        (Unit::Milliseconds, "ms" | "msec" | "millis") => 1,
        (Unit::Milliseconds, "s" | "sec" | "seconds") => 1000,
        (Unit::Milliseconds, "m" | "min" | "minutes") => 60_000,
        (Unit::Milliseconds, "h" | "hours") => 3_600_000,
        (Unit::Hours, "h" | "hours") => 1,
        (Unit::Hours, "d" | "days") => 24,
        (Unit::Bytes, "b") => 1,
        (Unit::Bytes, "k" | "kb" | "kib") => 1 << 10,
        (Unit::Bytes, "m" | "mb" | "mib") => 1 << 20,
        (Unit::Kibibytes, "k" | "kb" | "kib") => 1,
        (Unit::Kibibytes, "m" | "mb" | "mib") => 1 << 10,
        (Unit::Kibibytes, "g" | "gb" | "gib") => 1 << 20,
        (Unit::Mebibytes, "m" | "mb" | "mib") => 1,
        (Unit::Mebibytes, "g" | "gb" | "gib") => 1 << 10,
        (_, "") => 1,
        (_, _) => return None,
    };
    number.checked_mul(scale)
}

fn example(row: &Row) -> String {
    match (row.preset, row.kind) {
        (Preset::Is(text), _) if !text.is_empty() => text.to_owned(),
        (_, Kind::Integer { unit: Unit::Port, .. }) => "2181".to_owned(),
        (_, Kind::Integer { unit: Unit::Milliseconds, .. }) => "6000".to_owned(),
        (_, Kind::Integer { unit: Unit::Hours, .. }) => "24".to_owned(),
        (_, Kind::Integer { min, .. }) => min.max(1).to_string(),
        (_, _) => String::new(),
    }
}

fn outside(number: i64, min: i64, max: i64) -> String {
    if number < min {
        format!("too small, at least {min} is needed")
    } else {
        format!("too large, at most {max} is possible")
    }
}

fn decimal(row: &Row, name: &str, text: &str, min: f64, max: f64) -> Result<Value, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && (min..=max).contains(&number) => {
            Ok(Value::Decimal(number))
        }
        Ok(_) => {
            Err(format!("{text} is not between {min} and {max}; write {name}={}", example(row)))
        }
        Err(_) => Err(format!("\"{text}\" is not a number; write {name}={}", example(row))),
    }
}

fn auto_or_count(name: &str, text: &str, max: u32) -> Result<Value, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Value::Absent);
    }
    match whole_number(text) {
        Some(number) if (1..=i64::from(max)).contains(&number) => Ok(Value::Integer(number)),
        Some(_) | None => Err(format!(
            "\"{text}\" is neither auto nor a number from 1 to {max}; write {name}=auto"
        )),
    }
}

fn filled(name: &str, text: &str, what: &str, example: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err(format!("{what} is missing; write {name}={example}"));
    }
    Ok(Value::Text(text.to_owned()))
}

fn host(name: &str, text: &str) -> Result<Value, String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/;,|".contains(c);
    if text.contains(odd) {
        return Err(format!(
            "\"{text}\" is neither a host name nor an IP address; write {name}=127.0.0.1"
        ));
    }
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    filled(name, inner, "an address", "127.0.0.1")
}

/// The words between commas, without the spaces around them and without empty ones.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn commit_target(name: &str, text: &str) -> Result<Value, String> {
    let target: Result<Target, NoTarget> = text.parse();
    match target {
        Ok(target) => Ok(Value::Text(target.to_string())),
        Err(NoTarget { reason, instead }) => Err(format!("{reason}; write {name}={instead}")),
    }
}

fn choice(name: &str, text: &str, choices: &[&str]) -> Result<Value, String> {
    if let Some(choice) = choices.iter().find(|choice| choice.eq_ignore_ascii_case(text)) {
        return Ok(Value::Text((*choice).to_owned()));
    }
    let named: Vec<&str> = choices.iter().copied().filter(|choice| !choice.is_empty()).collect();
    let advice = super::suggest::nearest(text, named.iter().copied()).unwrap_or(named[0]);
    let list = named.join(", ");
    Err(format!("\"{text}\" is not one of {list}; write {name}={advice}"))
}
