//! The cache of a simulated replica: for each query how many of its pairs, the least recently used query going first. The
//! real cache counts single pairs and keeps, by their frequency, a little better than this ([`scoring::cache`]).

use std::collections::HashMap;

/// Entries by query, bounded in pairs.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedCache {
    capacity: u64,
    pairs: u64,
    places: HashMap<u32, usize>,
    nodes: Vec<Node>,
    /// Places of `nodes` that are free again.
    free: Vec<usize>,
    /// The most and the least recently used place, where there is any.
    ends: Option<(usize, usize)>,
}

/// The pairs of one query that are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Known {
    /// The number of its first pairs that are known.
    pub(super) pairs: u32,
    /// The time when the last of them is there: it may still be running.
    pub(super) ready_at: f64,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    query: u32,
    known: Known,
    newer: Option<usize>,
    older: Option<usize>,
}

impl SimulatedCache {
    /// Empty, for so many pairs.
    pub(super) fn new(capacity: u64) -> SimulatedCache {
        SimulatedCache { capacity, ..SimulatedCache::default() }
    }

    /// The known pairs of `query`, which is then the most recently used.
    pub(super) fn get(&mut self, query: u32) -> Option<Known> {
        let place = *self.places.get(&query)?;
        self.unlink(place);
        self.push(place);
        Some(self.nodes[place].known)
    }

    /// Keeps as much of `known` as there can be room for; it is then the most recently used.
    pub(super) fn keep(&mut self, query: u32, known: Known) {
        if let Some(place) = self.places.remove(&query) {
            self.remove(place);
        }
        let fitting = u32::try_from(self.capacity).unwrap_or(u32::MAX).min(known.pairs);
        if fitting == 0 {
            return;
        }
        self.pairs += u64::from(fitting);
        let node = Node { query, known: Known { pairs: fitting, ..known }, newer: None, older: None };
        let place = self.free.pop().unwrap_or(self.nodes.len());
        if place == self.nodes.len() {
            self.nodes.push(node);
        } else {
            self.nodes[place] = node;
        }
        self.places.insert(query, place);
        self.push(place);
        while self.pairs > self.capacity
            && let Some((_, oldest)) = self.ends
        {
            self.places.remove(&self.nodes[oldest].query);
            self.remove(oldest);
        }
    }

    fn remove(&mut self, place: usize) {
        self.unlink(place);
        self.pairs -= u64::from(self.nodes[place].known.pairs);
        self.free.push(place);
    }

    /// Puts what is in no list in front.
    fn push(&mut self, place: usize) {
        let newest = self.ends.map(|(newest, _)| newest);
        self.nodes[place].newer = None;
        self.nodes[place].older = newest;
        if let Some(newest) = newest {
            self.nodes[newest].newer = Some(place);
        }
        self.ends = Some((place, self.ends.map_or(place, |(_, oldest)| oldest)));
    }

    fn unlink(&mut self, place: usize) {
        let Node { newer, older, .. } = self.nodes[place];
        if let Some(newer) = newer {
            self.nodes[newer].older = older;
        }
        if let Some(older) = older {
            self.nodes[older].newer = newer;
        }
        self.ends = self.ends.and_then(|(newest, oldest)| {
            let newest = if newest == place { older? } else { newest };
            Some((newest, if oldest == place { newer? } else { oldest }))
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(pairs: u32) -> Known {
        Known { pairs, ready_at: 0.0 }
    }

    #[test]
    fn the_query_that_was_used_longest_ago_goes_first() {
        let mut cache = SimulatedCache::new(30);
        for query in 0..3 {
            cache.keep(query, known(10));
        }
        assert_eq!(cache.get(0), Some(known(10)));
        cache.keep(3, known(10));
        assert_eq!([0, 1, 2, 3].map(|query| cache.get(query).is_some()), [true, false, true, true]);
    }

    #[test]
    fn a_cache_without_room_keeps_nothing_and_one_with_little_keeps_a_part() {
        let mut nothing = SimulatedCache::new(0);
        nothing.keep(1, known(10));
        assert_eq!(nothing.get(1), None);
        let mut little = SimulatedCache::new(4);
        little.keep(1, known(10));
        assert_eq!(little.get(1), Some(known(4)));
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_the_latest_within_its_room(
            capacity in 0_u64..50,
            uses in prop::collection::vec((0_u32..8, prop::option::of(0_u32..20)), 0..100),
        ) {
            let mut cache = SimulatedCache::new(capacity);
            let mut list: Vec<(u32, u32)> = Vec::new();
            for (query, keep) in uses {
                let place = list.iter().position(|(known, _)| *known == query);
                let before = place.map(|place| list.remove(place));
                match keep {
                    None => {
                        list.extend(before);
                        prop_assert_eq!(cache.get(query).map(|known| known.pairs), before.map(|(_, pairs)| pairs));
                    }
                    Some(pairs) => {
                        let fitting = u64::from(pairs).min(capacity) as u32;
                        list.extend((fitting > 0).then_some((query, fitting)));
                        cache.keep(query, known(pairs));
                    }
                }
                while list.iter().map(|(_, pairs)| u64::from(*pairs)).sum::<u64>() > capacity {
                    list.remove(0);
                }
                prop_assert_eq!(cache.pairs, list.iter().map(|(_, pairs)| u64::from(*pairs)).sum::<u64>());
                prop_assert_eq!(cache.places.len(), list.len());
            }
        }
    }
}
