//! Numbers as people read them.

pub(crate) use ringkeeper_bench::model::numbers::whole as count;

/// Bytes in the largest unit that leaves a short number.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in units {
        if count >= unit {
            let value = count as f64 / unit as f64;
            let digits = usize::from(value < 10.0 && !count.is_multiple_of(unit));
            return format!("{value:.digits$} {name}");
        }
    }
    format!("{count} B")
}

/// Microseconds, as milliseconds where there are many.
pub(crate) fn micros(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.1} us"),
        us if us < 10_000.0 => format!("{us:.0} us"),
        us if us < 10_000_000.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

/// Breaks a sentence into lines of at most `width` columns, each behind `indent` spaces.
pub(crate) fn wrap(sentence: &str, width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{}{word}", " ".repeat(indent))),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0, 256, 1024, 1536, 4096, 1 << 20, 10_500_000].map(bytes),
            ["0 B", "256 B", "1 KiB", "1.5 KiB", "4 KiB", "1 MiB", "10 MiB"]
        );
        assert_eq!(
            [0.25, 99.6, 9_999.0, 12_345.0, 2e7].map(micros),
            ["0.2 us", "100 us", "9999 us", "12 ms", "20 s"]
        );
        assert_eq!(
            [0.0, 999.4, 1_000.0, 1_234_567.0].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrap("one two three", 8, 1), " one two\n three");
        assert_eq!(wrap("", 8, 1), "");
    }
}
