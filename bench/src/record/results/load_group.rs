//! Runs of the same load belong together.

use super::Run;

/// Runs of one load.
#[derive(Clone, Debug)]
pub(crate) struct LoadGroup<'a> {
    /// What has to be the same.
    pub key: Vec<String>,
    pub title: String,
    pub runs: Vec<&'a Run>,
}

/// Runs by load, in the order of their first runs.
pub(crate) fn loads(runs: &[Run]) -> Vec<LoadGroup<'_>> {
    let mut groups: Vec<LoadGroup<'_>> = Vec::new();
    for run in runs {
        let key: Vec<String> = run.parameters().into_iter().map(|(_, value)| value).collect();
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.runs.push(run),
            None => groups.push(LoadGroup { key, title: run.title.clone(), runs: vec![run] }),
        }
    }
    groups
}
