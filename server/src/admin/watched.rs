//! Watches, copied for a report.

use ringkeeper_engine::SessionId;

/// Some paths and who watches them. It takes three allocations however many there are, and is
/// filled once and never grown further, so that copying a slice takes the same time as any other.
#[derive(Default)]
pub(super) struct Watched {
    /// All paths, one behind the other.
    text: String,
    /// Where each path ends in the text, and how many of the sessions watch it.
    paths: Vec<(usize, usize)>,
    sessions: Vec<SessionId>,
}

impl Watched {
    /// Notes a watch. Watches of one path come one after the other.
    pub(super) fn push(&mut self, path: &str, session: SessionId) {
        if self.last_path() == Some(path) {
            self.paths.last_mut().expect("there is a last path").1 += 1;
        } else {
            self.text.push_str(path);
            self.paths.push((self.text.len(), 1));
        }
        self.sessions.push(session);
    }

    /// Each path with its watchers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[SessionId])> {
        let (mut start, mut first) = (0, 0);
        self.paths.iter().map(move |&(end, count)| {
            let path = &self.text[start..end];
            let sessions = &self.sessions[first..first + count];
            (start, first) = (end, first + count);
            (path, sessions)
        })
    }

    fn last_path(&self) -> Option<&str> {
        let (end, _) = *self.paths.last()?;
        let start = self.paths.len().checked_sub(2).map_or(0, |before| self.paths[before].0);
        Some(&self.text[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_of_one_path_stay_together() {
        let mut watched = Watched::default();
        watched.push("/a", SessionId(1));
        watched.push("/a", SessionId(2));
        watched.push("/a/b", SessionId(1));
        watched.push("/a", SessionId(3));
        let ids = |ids: &[i64]| ids.iter().copied().map(SessionId).collect::<Vec<_>>();
        let paths: Vec<_> = watched.iter().map(|(path, by)| (path, by.to_vec())).collect();
        assert_eq!(paths, [("/a", ids(&[1, 2])), ("/a/b", ids(&[1])), ("/a", ids(&[3]))]);
    }
}
