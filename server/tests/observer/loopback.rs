//! Addresses for servers under test.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};

/// An address of the loopback network that no other test has, so that fixed ports are free there.
pub(crate) fn own_host() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < u8::MAX, "addresses are used up");
    let id = process::id();
    let [_, high, low] = [id >> 16, id >> 8, id].map(|byte| (byte & 0xff) as u8);
    Ipv4Addr::new(127, high | 0x80, low, number)
}
