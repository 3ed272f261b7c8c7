//! A pipeline of two threads: one produces items, the other consumes them in order.

use std::sync::mpsc::{channel, sync_channel};
use std::thread;

/// What the consumer says to an item that was handed over.
pub enum Demand<T> {
    /// More is wanted. An item that was used up comes back, so that its memory can be used again.
    More(Option<T>),
    /// No more is consumed.
    Stop,
}

/// Runs `produce` on a thread of its own, which hands items over, and `consume` here, which takes
/// them in their order; `waiting` of them are between the two at most. The first error of
/// `consume` ends both. Where there is only one thread, each item is consumed as it is handed over.
///
/// A panic of either side ends the other one and goes on here.
pub fn pipeline<T: Send, E>(
    threads: usize,
    waiting: usize,
    produce: impl FnOnce(&mut dyn FnMut(T) -> Demand<T>) + Send,
    mut consume: impl FnMut(&mut T) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 {
        let mut verdict = Ok(());
        produce(&mut |mut item| {
            if verdict.is_ok() {
                verdict = consume(&mut item);
            }
            if verdict.is_ok() { Demand::More(Some(item)) } else { Demand::Stop }
        });
        return verdict;
    }
    thread::scope(|scope| {
        let (items, inbox) = sync_channel(waiting);
        let (used, back) = channel();
        scope.spawn(move || {
            produce(&mut |item| match items.send(item) {
                Ok(()) => Demand::More(back.try_recv().ok()),
                // The other side is gone: it met an error, or panicked.
                Err(_) => Demand::Stop,
            });
        });
        // Dropped when this ends, in whichever way, so that the thread is never left waiting.
        for mut item in inbox {
            consume(&mut item)?;
            // The thread may have ended; then nothing is wanted back.
            let _ = used.send(item);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn count_to(limit: usize, hand: &mut dyn FnMut(usize) -> Demand<usize>) {
        for n in 0..limit {
            if let Demand::Stop = hand(n) {
                return;
            }
        }
    }

    #[test]
    fn items_of_any_thread_count_are_consumed_in_order() {
        for (threads, waiting) in [(1, 1), (2, 0), (2, 1), (2, 3), (8, 1_000)] {
            let mut seen = Vec::new();
            let consume = |n: &mut usize| {
                seen.push(*n);
                Ok::<_, ()>(())
            };
            pipeline(threads, waiting, |hand| count_to(500, hand), consume).unwrap();
            assert_eq!(seen, (0..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn consumer_error_stops_the_producer() {
        for threads in [1, 2] {
            let made = AtomicUsize::new(0);
            let produce = |hand: &mut dyn FnMut(usize) -> Demand<usize>| {
                // It ends only when it is stopped.
                while let Demand::More(_) = hand(made.fetch_add(1, SeqCst)) {}
            };
            let consume = |n: &mut usize| if *n == 7 { Err("refused") } else { Ok(()) };
            assert_eq!(pipeline(threads, 2, produce, consume), Err("refused"));
            let made = made.load(SeqCst);
            // Consumed, waiting, and the one that could not be handed over.
            assert!((8..=11).contains(&made), "{made}");
        }
    }

    #[test]
    fn consumer_error_ends_consumption() {
        let produce = |hand: &mut dyn FnMut(usize) -> Demand<usize>| {
            for n in 0..100 {
                let _ = hand(n);
            }
        };
        let mut consumed = 0;
        let consume = |n: &mut usize| {
            consumed += 1;
            if *n == 3 { Err(()) } else { Ok(()) }
        };
        assert_eq!(pipeline(1, 2, produce, consume), Err(()));
        assert_eq!(consumed, 4);
    }

    #[test]
    fn consumed_items_are_recycled() {
        let mut made = 0;
        let produce = |hand: &mut dyn FnMut(Vec<u8>) -> Demand<Vec<u8>>| {
            let mut next = None;
            for _ in 0..1_000 {
                let item = next.take().unwrap_or_else(|| {
                    made += 1;
                    Vec::with_capacity(10)
                });
                match hand(item) {
                    Demand::More(used) => next = used,
                    Demand::Stop => unreachable!("everything is taken"),
                }
            }
        };
        pipeline(2, 2, produce, |_| Ok::<_, ()>(())).unwrap();
        // Two wait, one is consumed, one is being made; one more may be on its way back.
        assert!(made <= 5, "{made}");
    }

    #[test]
    fn panic_of_either_side_ends_the_other() {
        for threads in [1, 2] {
            let produce = |hand: &mut dyn FnMut(usize) -> Demand<usize>| {
                count_to(20, hand);
                panic!("the reader");
            };
            let mut taken = 0;
            let consume = |_: &mut usize| {
                taken += 1;
                Ok::<_, ()>(())
            };
            let run = AssertUnwindSafe(|| pipeline(threads, 2, produce, consume));
            assert!(catch_unwind(run).is_err());
            assert_eq!(taken, 20, "what was handed over before is taken");
            let produce = |hand: &mut dyn FnMut(usize) -> Demand<usize>| {
                while let Demand::More(_) = hand(0) {}
            };
            let consume = |_: &mut usize| -> Result<(), ()> { panic!("the consumer") };
            let run = AssertUnwindSafe(|| pipeline(threads, 2, produce, consume));
            assert!(catch_unwind(run).is_err());
        }
    }
}
