//! "Did you mean …": the known name that is nearest to a mistyped one.

/// The nearest candidate, if one is near enough to be meant. Upper and lower case are the same
/// here, since a wrong case is the most common slip of all.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer names forgive more slips, but no more than one in four letters.
    let allowed = (name.chars().count() / 4).clamp(1, 4);
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    // It takes a step at least for each letter that one has and the other has not.
    let is_near = |candidate: &&str| candidate.chars().count().abs_diff(wanted.len()) <= allowed;
    candidates
        .filter(is_near)
        .map(|candidate| (distance(&wanted, candidate), candidate))
        .filter(|(steps, _)| *steps <= allowed)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be inserted, deleted, replaced or swapped with their neighbour.
fn distance(wanted: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.to_lowercase().chars().collect();
    let mut older: Vec<usize> = vec![0; other.len() + 1];
    let mut old: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in wanted.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, against) in other.iter().enumerate() {
            let replaced = old[j] + usize::from(letter != against);
            let mut best = replaced.min(old[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *letter == other[j - 1] && wanted[i - 1] == *against;
            if swapped {
                best = best.min(older[j - 1] + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut old, row);
    }
    old[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood() {
        let known = ["tickTime", "dataDir", "clientPort", "maxClientCnxns"];
        let near = |name| nearest(name, known.into_iter());
        assert_eq!(near("ticktime"), Some("tickTime"));
        assert_eq!(near("tikcTime"), Some("tickTime"));
        assert_eq!(near("maxClientConns"), Some("maxClientCnxns"));
        assert_eq!(near("datadir"), Some("dataDir"));
        assert_eq!(near("colour"), None);
        assert_eq!(near(""), None);
    }
}
