//! The parts of a provider's stream that are open: gives each a number, opens and closes it once.

use crate::conversation::{Delta, Event, Opening};

/// Open parts of the one choice of a stream, by the key that the provider's format has for them.
#[derive(Debug)]
pub(crate) struct OpenParts<K> {
    next: u32,
    open: Vec<(K, u32)>,
}

impl<K> Default for OpenParts<K> {
    fn default() -> OpenParts<K> {
        OpenParts {
            next: 0,
            open: Vec::new(),
        }
    }
}

impl<K: PartialEq> OpenParts<K> {
    /// The number of the open part with this key.
    pub fn find(&self, key: &K) -> Option<u32> {
        self.open
            .iter()
            .find(|(open, _)| open == key)
            .map(|(_, part)| *part)
    }

    /// Opens a part; one that is open under the same key is closed before.
    pub fn open(&mut self, key: K, opening: Opening, events: &mut Vec<Event>) -> u32 {
        self.close(&key, events);
        let part = self.next;
        self.next = self.next.saturating_add(1);
        events.push(Event::Open {
            choice: 0,
            part,
            opening,
        });
        self.open.push((key, part));
        part
    }

    /// More of the part with this key, if it is open.
    pub fn delta(&self, key: &K, delta: Delta, events: &mut Vec<Event>) {
        if let Some(part) = self.find(key) {
            events.push(Event::Delta {
                choice: 0,
                part,
                delta,
            });
        }
    }

    /// Closes the part with this key, if it is open.
    pub fn close(&mut self, key: &K, events: &mut Vec<Event>) {
        if let Some(at) = self.open.iter().position(|(open, _)| open == key) {
            let (_, part) = self.open.remove(at);
            events.push(Event::Close { choice: 0, part });
        }
    }
}
