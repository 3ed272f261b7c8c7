//! How large proposals are, for reports.

/// Bytes of proposals as the log has them, without what it puts around them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProposalSizes {
    /// Of the last one.
    pub last: u64,
    /// Of the smallest.
    pub min: u64,
    /// Of the largest.
    pub max: u64,
}

impl ProposalSizes {
    /// Adds later ones.
    pub fn add(sizes: &mut Option<ProposalSizes>, later: ProposalSizes) {
        let ProposalSizes { last, min, max } = later;
        *sizes = Some(match *sizes {
            None => later,
            Some(sizes) => ProposalSizes { last, min: min.min(sizes.min), max: max.max(sizes.max) },
        });
    }

    /// Those of one proposal.
    pub(crate) fn of(bytes: usize) -> ProposalSizes {
        let bytes = bytes as u64;
        ProposalSizes { last: bytes, min: bytes, max: bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_is_the_latest_and_the_extremes_stay() {
        let mut sizes = None;
        for bytes in [40, 90, 32, 50] {
            ProposalSizes::add(&mut sizes, ProposalSizes::of(bytes));
        }
        assert_eq!(sizes, Some(ProposalSizes { last: 50, min: 32, max: 90 }));
    }
}
