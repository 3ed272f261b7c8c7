//! Memory in small pages only, from the first byte on: with huge pages the kernel clears and
//! compacts 2 MiB at a time while a thread waits for its memory. That was measured as pauses of up
//! to 7 ms for a request, where the longest was 0.4 ms without them, and as up to 12 ms of a start,
//! before `main`: the allocator's first bytes are in huge pages, too.

use rustix::thread::disable_transparent_huge_pages;

/// What the loader calls first of all, before the allocator sets itself up. Not every libc knows
/// this list, which is why `main` asks once more.
// SAFETY: the section is a list of functions without arguments, of which this is one. It makes one
// system call, and so needs nothing that is not there yet.
#[unsafe(link_section = ".preinit_array")]
#[used]
static FIRST_OF_ALL: extern "C" fn() = avoid;

/// Does without huge pages from now on.
pub(crate) extern "C" fn avoid() {
    // A kernel that does not know them has no such pauses.
    let _ = disable_transparent_huge_pages(true);
}
