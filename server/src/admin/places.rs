//! How many reports are under way at a time, and who waits for their turn.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::shard::Word;
use ringkeeper_engine::watch::ConnId;

use super::hub::Hub;

/// Reports at a time that list connections, sessions or watches. Each may be as long as the server
/// has connections; it is under way until its client has taken it.
const LISTS_MAX: usize = 4;
/// Reports of numbers at a time. They have queues of their own because no client can hold them up:
/// their texts are short.
const NUMBERS_MAX: usize = 8;
/// Words that wait before it is looked whether their connections are still there.
const WAITING_UNSEEN: usize = 64;

/// The places of all reports that connections ask for.
pub(super) struct Places {
    lists: Mutex<Queue>,
    numbers: Mutex<Queue>,
}

/// The places of one kind of report. Who waits is in the order of arrival.
struct Queue {
    free: usize,
    waiting: VecDeque<(Origin, Word)>,
    /// How many may wait until each shard looks for those who have gone. It doubles with those who
    /// are left, so that a word costs the same however many wait.
    look_at: Vec<usize>,
}

/// The right to have a report under way. The next one in the queue gets it when it is dropped.
pub(super) struct Place {
    hub: Weak<Hub>,
    word: Word,
}

impl Default for Places {
    fn default() -> Places {
        Places { lists: Queue::new(LISTS_MAX), numbers: Queue::new(NUMBERS_MAX) }
    }
}

impl Queue {
    fn new(free: usize) -> Mutex<Queue> {
        Mutex::new(Queue { free, waiting: VecDeque::new(), look_at: Vec::new() })
    }

    /// Takes the connections out that have gone.
    fn sweep(&mut self, shard: u16, is_gone: impl Fn(ConnId) -> bool) -> Vec<ConnId> {
        let index = usize::from(shard);
        if self.look_at.len() <= index {
            self.look_at.resize(index + 1, WAITING_UNSEEN);
        }
        if self.waiting.len() < self.look_at[index] {
            return Vec::new();
        }
        let mut gone = Vec::new();
        self.waiting.retain(|(origin, _)| {
            let leaves = origin.shard == shard && is_gone(origin.conn);
            if leaves {
                gone.push(origin.conn);
            }
            !leaves
        });
        self.look_at[index] = WAITING_UNSEEN.max(2 * self.waiting.len());
        gone
    }
}

impl Places {
    fn of(&self, word: Word) -> &Mutex<Queue> {
        match word {
            Word::Stat | Word::Cons | Word::Dump => &self.lists,
            Word::Wchs | Word::Wchc | Word::Wchp => &self.lists,
            _ => &self.numbers,
        }
    }

    /// A place, or else one in the queue.
    pub(super) fn enter(&self, hub: &Arc<Hub>, origin: Origin, word: Word) -> Option<Place> {
        let mut queue = self.of(word).lock();
        if queue.free == 0 {
            queue.waiting.push_back((origin, word));
            return None;
        }
        queue.free -= 1;
        Some(Place { hub: Arc::downgrade(hub), word })
    }

    /// Takes the connections of a shard out of the queues that have gone, where that is due. They
    /// come back, once each.
    pub(super) fn sweep(&self, shard: u16, is_gone: impl Fn(ConnId) -> bool) -> Vec<ConnId> {
        let mut gone = self.lists.lock().sweep(shard, &is_gone);
        gone.append(&mut self.numbers.lock().sweep(shard, &is_gone));
        gone
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lists.lock().waiting.len() + self.numbers.lock().waiting.len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Where there is no hub any more, nobody waits.
        let Some(hub) = self.hub.upgrade() else { return };
        let next = {
            let mut queue = hub.places().of(self.word).lock();
            let next = queue.waiting.pop_front();
            queue.free += usize::from(next.is_none());
            next
        };
        if let Some((origin, word)) = next {
            hub.call(origin, word, Place { hub: self.hub.clone(), word });
        }
    }
}
