//! Path rules, and the suffix of sequential nodes.

use std::fmt::Write as _;

/// Whether `path` may name a znode (protocol rules 7.1: absolute, no trailing slash, no empty,
/// `.` or `..` component, no control, surrogate, private-use or non-BMP character).
pub fn is_valid(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let Some(relative) = path.as_bytes().strip_prefix(b"/") else { return false };
    let (mut begin, mut depth, mut is_plain) = (0, 0, true);
    for (at, byte) in relative.iter().chain(b"/").enumerate() {
        is_plain &= (0x20..0x7f).contains(byte);
        if *byte == b'/' {
            if matches!(&relative[begin..at], b"" | b"." | b"..") {
                return false;
            }
            (begin, depth) = (at + 1, depth + 1);
        }
    }
    depth <= crate::limits::PATH_DEPTH_MAX && (is_plain || path.chars().all(is_valid_char))
}

/// In Java's terms the code units 0000–001F, 007F–009F, D800–F8FF and FFF0–FFFF are refused, so
/// every character outside the basic plane is too (its surrogates are).
fn is_valid_char(c: char) -> bool {
    !matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..)
}

/// The parent of a path that holds a slash: everything before the last one, or the root.
pub fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

/// The last component.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Appends a sequence number as ZooKeeper prints it: at least ten digits, zero padded, signed
/// 32-bit (so it turns negative past 2147483647).
pub fn push_sequence(path: &mut String, sequence: i32) {
    write!(path, "{sequence:010}").expect("writing to a String cannot fail");
}

/// The first component of a path: what programs that share a server tell themselves apart by.
pub fn namespace(path: &str) -> &str {
    path.split('/').find(|component| !component.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_checked_one_by_one() {
        for good in ["/", "/a", "/a/b", "/.b", "/b.", "/...", "/..b", "/a b", "/\u{a0}"] {
            assert!(is_valid(good), "{good:?}");
        }
        for bad in ["", "a", "/a/", "//", "/a//b", "/.", "/a/..", "/\0", "/\u{1f}", "/\u{7f}"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn code_units_at_the_edges_of_the_forbidden_ranges() {
        for good in ['\u{20}', '\u{d7ff}', '\u{f900}', '\u{ffef}'] {
            assert!(is_valid(&format!("/{good}")), "{good:?}");
        }
        for bad in ['\u{80}', '\u{9f}', '\u{e000}', '\u{f8ff}', '\u{fff0}', '\u{fffd}', '😀'] {
            assert!(!is_valid(&format!("/{bad}")), "{bad:?}");
        }
    }

    #[test]
    fn sequence_numbers_are_padded_and_wrap_like_java() {
        let text = |n| {
            let mut path = String::from("/s");
            push_sequence(&mut path, n);
            path
        };
        assert_eq!(text(0), "/s0000000000");
        assert_eq!(text(i32::MAX), "/s2147483647");
        assert_eq!(text(i32::MIN), "/s-2147483648");
    }

    #[test]
    fn parents() {
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("a"), None);
    }
}
