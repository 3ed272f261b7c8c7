//! Asking the processor for memory before it is needed.

/// Bytes that a processor fetches at a time.
const LINE_BYTES: usize = 64;

/// Begins to fetch the memory of a value into the caches, and does not wait for it. It is a hint:
/// nothing but time depends on it, and on processors without one nothing happens.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    let bytes = size_of_val(value);
    fetch_line(start);
    if start.addr() % LINE_BYTES + bytes > LINE_BYTES {
        fetch_line(start.wrapping_add(bytes.min(LINE_BYTES) - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program sees, and an address that cannot be read
    // is ignored.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch_line(_at: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_size_and_place_are_left_as_they_are() {
        let bytes = [7_u8; 4 * LINE_BYTES];
        for from in 0..LINE_BYTES {
            for to in [from, from + 1, from + LINE_BYTES, bytes.len()] {
                prefetch(&bytes[from..to]);
            }
        }
        assert_eq!(bytes, [7; 4 * LINE_BYTES]);
    }
}
