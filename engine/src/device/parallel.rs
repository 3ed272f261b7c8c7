//! Work spread over threads, results taken in order.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Does `work` on each item on up to `threads` threads, with at most one finished or unfinished
/// item per thread waiting, and hands the results to `consume` in the order of the items. Stops at
/// the first error of `items` or `consume`.
pub fn map_in_order<T: Send, R: Send, E>(
    threads: usize,
    items: impl Iterator<Item = Result<T, E>>,
    work: impl Fn(T) -> R + Sync,
    mut consume: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 {
        return items.into_iter().try_for_each(|item| consume(work(item?)));
    }
    thread::scope(|scope| {
        let workers: Vec<Worker<T, R>> =
            (0..threads).map(|_| Worker::start(scope, &work)).collect();
        let mut waiting: VecDeque<usize> = VecDeque::with_capacity(threads);
        for (number, item) in items.enumerate() {
            if waiting.len() == threads {
                let oldest = waiting.pop_front().expect("threads is at least two");
                consume(workers[oldest].result())?;
            }
            workers[number % threads].give(item?);
            waiting.push_back(number % threads);
        }
        waiting.into_iter().try_for_each(|worker| consume(workers[worker].result()))
    })
}

/// A thread that takes one item at a time.
struct Worker<T, R> {
    items: SyncSender<T>,
    results: Receiver<R>,
}

impl<T: Send, R: Send> Worker<T, R> {
    fn start<'scope, 'env, F>(
        scope: &'scope thread::Scope<'scope, 'env>,
        work: &'env F,
    ) -> Worker<T, R>
    where
        T: 'scope,
        R: 'scope,
        F: Fn(T) -> R + Sync,
    {
        let (items, inbox) = sync_channel::<T>(1);
        let (outbox, results) = sync_channel::<R>(1);
        scope.spawn(move || {
            // Ends when the other side is dropped, whichever happens first.
            inbox.into_iter().map(work).all(|result| outbox.send(result).is_ok())
        });
        Worker { items, results }
    }

    fn give(&self, item: T) {
        self.items.send(item).expect("a worker ends only after its sender is dropped");
    }

    fn result(&self) -> R {
        self.results.recv().expect("a worker answers each item")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_any_thread_count_keep_the_item_order() {
        for threads in 1..5 {
            let mut seen = Vec::new();
            let items = (0..100_u64).map(Ok::<_, ()>);
            let consume = |n| {
                seen.push(n);
                Ok(())
            };
            map_in_order(threads, items, |n| n * n, consume).unwrap();
            assert_eq!(seen, (0..100).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn first_error_ends_the_map() {
        for threads in 1..4 {
            let items = (0..100_u64).map(|n| if n == 50 { Err("item") } else { Ok(n) });
            assert_eq!(map_in_order(threads, items, |n| n, |_| Ok(())), Err("item"));
            let items = (0..100_u64).map(Ok);
            let consume = |n| if n == 7 { Err("consume") } else { Ok(()) };
            assert_eq!(map_in_order(threads, items, |n| n, consume), Err("consume"));
        }
    }
}
