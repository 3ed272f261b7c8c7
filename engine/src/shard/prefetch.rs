//! Fetching what the reads of one arrival will look at. Nothing but time depends on it.

use crate::tree::Tree;
use crate::wire::opcode::op;

/// Requests of an arrival that are looked at.
const FRAMES_MAX: usize = 64;
/// Bytes before the path: the request's number, its operation, and the length of the path.
const PATH_AT: usize = 12;

/// Begins to fetch the nodes that the reads in these frames look up, where there are several.
pub(super) fn prefetch(bytes: &[u8], tree: &Tree) {
    let mut reads = Frames(bytes).take(FRAMES_MAX).filter_map(path_of_read);
    let (Some(first), Some(second)) = (reads.next(), reads.next()) else { return };
    let mut paths = tree.prefetch();
    [first, second].into_iter().chain(reads).for_each(|path| paths.path(path));
    paths.finish();
}

/// The payloads of the whole frames. What is wrong with them is found when they are served.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some(payload)
    }
}

/// The path, where that is the first field of a read's record.
fn path_of_read(payload: &[u8]) -> Option<&[u8]> {
    let (head, rest) = payload.split_first_chunk::<PATH_AT>()?;
    let [_, operation, length] = [0, 4, 8].map(|at| {
        let bytes = head[at..at + 4].first_chunk().expect("there are three numbers");
        i32::from_be_bytes(*bytes)
    });
    match operation {
        op::GET_DATA | op::EXISTS | op::GET_CHILDREN | op::GET_CHILDREN2 | op::GET_ACL => {
            rest.get(..usize::try_from(length).ok()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(operation: i32, path: &[u8], length: i32) -> Vec<u8> {
        let mut payload =
            [9_i32.to_be_bytes(), operation.to_be_bytes(), length.to_be_bytes()].concat();
        payload.extend_from_slice(path);
        payload.push(0);
        [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], &payload].concat()
    }

    fn paths(bytes: &[u8]) -> Vec<&[u8]> {
        Frames(bytes).filter_map(path_of_read).collect()
    }

    #[test]
    fn paths_of_whole_reads_are_found() {
        let bytes = [
            frame(op::GET_DATA, b"/a", 2),
            frame(op::SET_DATA, b"/written", 8),
            frame(op::EXISTS, b"/b/c", 4),
            frame(op::GET_CHILDREN2, b"", 0),
            frame(op::GET_ACL, b"/d", 2),
        ]
        .concat();
        assert_eq!(paths(&bytes), [&b"/a"[..], b"/b/c", b"", b"/d"]);
        assert_eq!(paths(&bytes[..bytes.len() - 1]), [&b"/a"[..], b"/b/c", b""]);
    }

    #[test]
    fn frames_that_cannot_be_are_passed_over_or_end_it() {
        for length in [-1, i32::MIN, 4, i32::MAX] {
            let bytes =
                [frame(op::GET_DATA, b"/a", length), frame(op::GET_DATA, b"/b", 2)].concat();
            assert_eq!(paths(&bytes), [b"/b"], "{length}");
        }
        assert!(paths(&[0, 0, 0, 3, 1, 2, 3]).is_empty() && paths(&[0xff; 40]).is_empty());
        assert!(paths(&[0, 0]).is_empty());
    }

    #[test]
    fn any_bytes_can_be_looked_at() {
        let tree = Tree::new(1);
        let mut bytes = frame(op::GET_DATA, b"/zookeeper/config", 17).repeat(FRAMES_MAX + 3);
        for at in 0..bytes.len() {
            bytes[at] ^= 0x81;
            prefetch(&bytes, &tree);
        }
    }
}
