//! Prometheus's text format, version 0.0.4.

use std::fmt::Write;

const FITS: &str = "writing to a string cannot fail";

/// What kind of number a family of samples is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, until a restart or a reset.
    Counter,
    /// Quantiles, a count and a sum.
    Summary,
    /// Counts within bounds, a count and a sum.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
        }
    }
}

/// A text under construction.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family whose name says it all, as all names of ZooKeeper have to.
    pub(super) fn family(&mut self, name: &str, kind: Kind) {
        writeln!(self.text, "# TYPE {name} {}", kind.word()).expect(FITS);
    }

    /// Begins a family with a sentence about it.
    pub(super) fn described(&mut self, name: &str, kind: Kind, help: &str) {
        writeln!(self.text, "# HELP {name} {help}").expect(FITS);
        self.family(name, kind);
    }

    /// A family of one sample.
    pub(super) fn one(&mut self, (name, help): (&str, &str), kind: Kind, value: impl ToString) {
        self.described(name, kind, help);
        self.sample(name, &[], &value.to_string());
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(name);
        for (at, (label, word)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            write!(self.text, "{before}{label}=\"{}\"", escaped(word)).expect(FITS);
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(self.text, "{after} {value}").expect(FITS);
    }

    /// A distribution: counts within bounds, each with how it is written, then count and sum.
    pub(super) fn histogram(
        &mut self,
        (name, help): (&str, &str),
        within: impl IntoIterator<Item = (String, u64)>,
        (count, sum): (u64, f64),
    ) {
        self.described(name, Kind::Histogram, help);
        self.buckets(name, &[], within, (count, sum));
    }

    /// One distribution of a family that has several, with these labels.
    pub(super) fn buckets(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        within: impl IntoIterator<Item = (String, u64)>,
        (count, sum): (u64, f64),
    ) {
        let bucket = format!("{name}_bucket");
        let mut bounded = |bound: &str, number: u64| {
            let all: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            self.sample(&bucket, &all, &number.to_string());
        };
        for (bound, number) in within {
            // The count is read after the buckets and can only be larger.
            bounded(&bound, number.min(count));
        }
        bounded("+Inf", count);
        self.sample(&format!("{name}_sum"), labels, &sum.to_string());
        self.sample(&format!("{name}_count"), labels, &count.to_string());
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_labels_and_words_are_escaped() {
        let mut out = Exposition::default();
        out.one(("a", "What it is."), Kind::Gauge, 7);
        out.sample("b", &[("x", "1\"2\\3\n"), ("y", "")], "NaN");
        let within = [("0.1".to_owned(), 2), ("1".to_owned(), 3)];
        out.histogram(("c", "Times."), within, (4, 7.5));
        let expected = "# HELP a What it is.\n# TYPE a gauge\na 7\n\
                        b{x=\"1\\\"2\\\\3\\n\",y=\"\"} NaN\n\
                        # HELP c Times.\n# TYPE c histogram\nc_bucket{le=\"0.1\"} 2\n\
                        c_bucket{le=\"1\"} 3\nc_bucket{le=\"+Inf\"} 4\nc_sum 7.5\nc_count 4\n";
        assert_eq!(out.finish(), expected);
    }
}
