//! Buffers that the kernel picks for multishot receives.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{IoUring, cqueue, squeue};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Buffers of one ring.
const COUNT: u16 = 1024;
/// Bytes of one buffer.
const BYTES: usize = 8 << 10;
/// The only buffer group.
pub(super) const GROUP: u16 = 0;

/// A ring of buffers shared with the kernel.
pub(super) struct BufferRing {
    entries: *mut BufRingEntry,
    buffers: *mut u8,
    tail: u16,
}

fn map(bytes: usize) -> io::Result<*mut u8> {
    let flags = MapFlags::PRIVATE;
    // SAFETY: a fresh anonymous mapping that nothing else knows of.
    let at = unsafe {
        mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)?
    };
    Ok(at.cast())
}

impl BufferRing {
    /// Maps the buffers and registers them with the ring.
    pub(super) fn register<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
        ring: &IoUring<S, C>,
    ) -> io::Result<BufferRing> {
        let entries = map(usize::from(COUNT) * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        let buffers = map(usize::from(COUNT) * BYTES)?;
        // SAFETY: the mapping is page aligned, holds COUNT entries and lives until the ring that
        // it is registered with has been dropped (see `Drop`).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries as u64, COUNT, GROUP, 0)?;
        }
        let mut this = BufferRing { entries, buffers, tail: 0 };
        for id in 0..COUNT {
            this.push(id);
        }
        this.publish();
        Ok(this)
    }

    /// The first `len` bytes of a buffer that the kernel has filled.
    pub(super) fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(id < COUNT && len <= BYTES, "the kernel named a buffer that it was not given");
        // SAFETY: the buffer is inside the mapping (asserted), and the kernel does not write into
        // it until it is given back with `push`, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.buffers.add(usize::from(id) * BYTES), len) }
    }

    /// Gives a buffer back. It can be used again after [`BufferRing::publish`].
    pub(super) fn push(&mut self, id: u16) {
        let slot = usize::from(self.tail & (COUNT - 1));
        // SAFETY: `slot` is below COUNT, so entry and buffer are inside the mappings; the kernel
        // does not read an entry beyond the published tail.
        unsafe {
            let entry = &mut *self.entries.add(slot);
            entry.set_addr(self.buffers.add(usize::from(id) * BYTES) as u64);
            entry.set_len(BYTES as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back.
    pub(super) fn publish(&mut self) {
        // SAFETY: the tail lies inside the first entry of the mapping and is aligned for a u16;
        // the kernel reads it with acquire semantics, which this release store pairs with.
        unsafe {
            let tail = BufRingEntry::tail(self.entries).cast_mut().cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: the owner drops the ring before the buffers, so the kernel has let go of both
        // mappings; sizes are those of `register`.
        unsafe {
            let _ = munmap(self.entries.cast(), usize::from(COUNT) * size_of::<BufRingEntry>());
            let _ = munmap(self.buffers.cast(), usize::from(COUNT) * BYTES);
        }
    }
}
