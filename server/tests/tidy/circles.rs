//! Files that import each other in a circle: none of them can be read, tested or moved alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::files::Source;
use crate::imports::{Imports, imports};

/// Crates whose files import in one direction only.
const FOLDERS: &[&str] =
    &["engine/src/", "replication/src/", "server/src/", "bench/src/", "tuning/src/"];

/// Circles that are known, by their files. A circle may lose files and go, and none may be added.
pub(crate) const KNOWN: &[&[&str]] = &[];

/// Files of one crate that reach each other.
type Circle = BTreeSet<usize>;

pub(crate) fn import_circles(known: &[&[&str]], sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = vec![false; known.len()];
    for folder in FOLDERS {
        let imports = imports(folder, sources);
        let all = (0..imports.files.len()).collect();
        for circle in circles(&imports, &all, None) {
            let files: Vec<&str> = circle.iter().map(|file| &*imports.files[*file]).collect();
            let row = known.iter().position(|row| files.iter().all(|file| row.contains(file)));
            row.into_iter().for_each(|row| seen[row] = true);
            match row {
                Some(row) if known[row].len() == files.len() => {}
                Some(row) => {
                    let what = format!(
                        "a known circle has {} of its {} files left: its row in KNOWN of \
                         server/tests/tidy/circles.rs is {files:?} now",
                        files.len(),
                        known[row].len()
                    );
                    findings.push(Finding::new(files[0], 1, what));
                }
                None => findings.push(complaint(&imports, &circle)),
            }
        }
    }
    for (row, _) in known.iter().zip(seen).filter(|(_, seen)| !seen) {
        let what = "its circle is gone: take its row out of KNOWN in server/tests/tidy/circles.rs";
        findings.push(Finding::new(row[0], 1, what));
    }
    findings
}

/// Sets of two files or more, among some, that reach each other; one edge may be left out.
fn circles(imports: &Imports, among: &Circle, without: Option<(usize, usize)>) -> Vec<Circle> {
    let reached: BTreeMap<usize, Circle> =
        among.iter().map(|&from| (from, reach(imports, among, from, without))).collect();
    let mut found: Vec<Circle> = Vec::new();
    for (from, reach) in &reached {
        let circle: Circle =
            reach.iter().copied().filter(|to| reached[to].contains(from)).collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

/// Files that a file needs, itself only where it is in a circle.
fn reach(
    imports: &Imports,
    among: &Circle,
    from: usize,
    without: Option<(usize, usize)>,
) -> Circle {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for &to in imports.edges[file].keys() {
            if among.contains(&to) && without != Some((file, to)) && reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}

fn complaint(imports: &Imports, circle: &Circle) -> Finding {
    let (from, to) = weakest(imports, circle);
    let edge = &imports.edges[from][&to];
    let files: Vec<&str> = circle.iter().map(|file| &*imports.files[*file]).collect();
    let what = format!(
        "`{}` closes a circle of {} files: {}. Move what this line names to a file that both \
         sides may import, or hand it over as an argument. All files: {files:?}",
        edge.path,
        circle.len(),
        way(imports, circle, from, to),
    );
    Finding::new(&imports.files[from], edge.line, what)
}

/// The edge without which least of the circle is left; of several, the one with fewest names.
fn weakest(imports: &Imports, circle: &Circle) -> (usize, usize) {
    let edges = circle.iter().flat_map(|&from| {
        let inside = imports.edges[from].keys().filter(|to| circle.contains(to));
        inside.map(move |&to| (from, to))
    });
    let cost = |&(from, to): &(usize, usize)| {
        let left = circles(imports, circle, Some((from, to)));
        let largest = left.iter().map(BTreeSet::len).max().unwrap_or(0);
        (largest, imports.edges[from][&to].count)
    };
    edges.min_by_key(cost).expect("a circle has edges")
}

/// The shortest circle over an edge, as it is read: each file, where it imports, and from whom.
fn way(imports: &Imports, circle: &Circle, from: usize, to: usize) -> String {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next = vec![to];
    while !before.contains_key(&from) {
        let mut later = Vec::new();
        for &file in &next {
            for &target in imports.edges[file].keys().filter(|target| circle.contains(target)) {
                if target != to && !before.contains_key(&target) {
                    before.insert(target, file);
                    later.push(target);
                }
            }
        }
        next = later;
    }
    let mut files = vec![from];
    while files.last() != Some(&to) {
        files.push(before[files.last().expect("it begins with one")]);
    }
    files.push(from);
    files.reverse();
    let steps = files.windows(2).map(|pair| {
        let edge = &imports.edges[pair[0]][&pair[1]];
        format!("{}:{} imports {}", imports.files[pair[0]], edge.line, imports.files[pair[1]])
    });
    steps.collect::<Vec<String>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        let source = |(path, text): &(&str, &str)| Source::new(&format!("bench/src/{path}"), text);
        [("lib.rs", "mod a; mod b; mod c; mod d;")].iter().chain(files).map(source).collect()
    }

    fn found(known: &[&[&str]], files: &[(&str, &str)]) -> Vec<String> {
        let findings = import_circles(known, &sources(files));
        findings.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what)).collect()
    }

    const THREE: [(&str, &str); 4] = [
        ("a.rs", "use crate::b::{B, C};\nfn f(x: crate::b::D) {}"),
        ("b.rs", "use crate::c::E;\nuse crate::c::F;"),
        ("c.rs", "\nuse crate::a::A;"),
        ("d.rs", "use crate::a::A;"),
    ];

    #[test]
    fn a_circle_is_reported_at_its_weakest_edge() {
        let said = found(&[], &THREE);
        assert_eq!(
            said,
            [
                "bench/src/c.rs:2: `crate::a::A` closes a circle of 3 files: bench/src/c.rs:2 imports \
              bench/src/a.rs, bench/src/a.rs:1 imports bench/src/b.rs, bench/src/b.rs:1 imports \
              bench/src/c.rs. Move what this line names to a file that both sides may import, or \
              hand it over as an argument. All files: [\"bench/src/a.rs\", \"bench/src/b.rs\", \
              \"bench/src/c.rs\"]"
            ]
        );
    }

    #[test]
    fn a_known_circle_may_stay_shrink_and_go() {
        let known: &[&[&str]] = &[&["bench/src/a.rs", "bench/src/b.rs", "bench/src/c.rs"]];
        assert!(found(known, &THREE).is_empty());
        let two = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;"), ("c.rs", "")];
        let said = found(known, &two);
        assert!(said.len() == 1 && said[0].contains("2 of its 3 files left"), "{said:?}");
        let said = found(known, &[("a.rs", "use crate::b::B;"), ("b.rs", "")]);
        assert!(said.len() == 1 && said[0].contains("take its row out"), "{said:?}");
        let four = [THREE[0], THREE[1], ("c.rs", "use crate::d::D;"), THREE[3]];
        let said = found(known, &four);
        assert!(said.len() == 2 && said[0].contains("closes a circle of 4 files"), "{said:?}");
    }

    #[test]
    fn one_direction_is_no_circle() {
        assert!(found(&[], &[THREE[0], THREE[1], ("c.rs", ""), THREE[3]]).is_empty());
    }
}
