//! Known violations, which may only become fewer and smaller.

use crate::Finding;
use crate::files::Source;

/// A known violation: the file, what in it (a function's name, or nothing), its size, and why it
/// is there.
pub(crate) type Known = (&'static str, &'static str, usize, &'static str);

/// A violation that was measured.
#[derive(PartialEq, Debug)]
pub(crate) struct Measured {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) size: usize,
    pub(crate) what: String,
}

/// Compares what is measured with what is known.
pub(crate) fn hold(
    known: &[Known],
    sources: &[Source],
    rule: impl Fn(&Source) -> Vec<Measured>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = vec![false; known.len()];
    for source in sources {
        for found in rule(source) {
            let row = known.iter().position(|row| row.0 == source.path && row.1 == found.name);
            let limit = row.map(|row| known[row].2);
            row.into_iter().for_each(|row| seen[row] = true);
            let complaint = match limit {
                None => found.what,
                Some(limit) if found.size > limit => {
                    format!("{}; it was {limit} and may only go down", found.what)
                }
                Some(limit) if found.size < limit => {
                    format!("it is {} now: lower its number in the ratchet", found.size)
                }
                Some(_) => continue,
            };
            findings.push(Finding::new(&source.path, found.line, complaint));
        }
    }
    for (row, _) in known.iter().zip(seen).filter(|(_, seen)| !seen) {
        let what = format!("`{}` is in order now: take it out of the ratchet", row.1);
        findings.push(Finding::new(row.0, 1, what));
    }
    findings
}

#[test]
fn numbers_go_down_only() {
    let sources = [Source::new("a.rs", "x\nx\nx\n")];
    let rule = |source: &Source| {
        let size = source.text.lines().count();
        vec![Measured { line: 1, name: String::new(), size, what: format!("{size} lines") }]
    };
    let with = |known: &[Known]| {
        let found = hold(known, &sources, rule);
        found.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    assert_eq!(with(&[]), ["3 lines"]);
    assert!(with(&[("a.rs", "", 3, "")]).is_empty());
    assert_eq!(with(&[("a.rs", "", 2, "")]), ["3 lines; it was 2 and may only go down"]);
    assert_eq!(with(&[("a.rs", "", 4, "")]), ["it is 3 now: lower its number in the ratchet"]);
    assert_eq!(with(&[("a.rs", "", 3, ""), ("b.rs", "f", 9, "")]).len(), 1);
}
