//! At most so many hits with one value on a page: further ones wait for the next page, in their order. Owns how pages are
//! filled; it takes no longer for many values or small pages.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

/// The places of hits with these `values` in their new order. `before` holds the values of the hits that are shown before all
/// of them, from the first page on. A hit without a value may be on any page. Where a page could only be filled with hits
/// that have had their share of it, it is filled with those, in their order.
pub(super) fn order(before: &[Option<&str>], values: &[Option<&str>], page: usize, at_most: usize) -> Vec<usize> {
    let page = page.max(1);
    let mut queues = Queues::of(values, at_most);
    before[before.len() - before.len() % page..].iter().for_each(|value| queues.count(*value));
    let mut order = Vec::with_capacity(values.len());
    for rank in before.len()..before.len() + values.len() {
        if rank % page == 0 {
            queues.turn_the_page();
        }
        order.extend(queues.next());
    }
    order
}

/// The hits that are not placed yet, in lines of the same value. Only the first of a line can be the next.
struct Queues<'a> {
    at_most: usize,
    lines: Vec<Line>,
    line_of: HashMap<Option<&'a str>, usize>,
    /// The first hit of each line that may have its turn, and the line.
    firsts: BinaryHeap<Reverse<(usize, usize)>>,
    /// Those of the lines that have had their share of the page.
    waiting: Vec<Reverse<(usize, usize)>>,
    /// The lines that have hits on the page, once for each.
    on_page: Vec<usize>,
    /// True where all lines have had their share, and the page is filled all the same.
    filling: bool,
}

#[derive(Default)]
struct Line {
    hits: VecDeque<usize>,
    on_page: usize,
    /// True for the hits without a value.
    is_free: bool,
}

impl<'a> Queues<'a> {
    fn of(values: &[Option<&'a str>], at_most: usize) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        let mut line_of = HashMap::new();
        for (hit, value) in values.iter().enumerate() {
            let line = *line_of.entry(*value).or_insert(lines.len());
            if line == lines.len() {
                lines.push(Line { is_free: value.is_none(), ..Line::default() });
            }
            lines[line].hits.push_back(hit);
        }
        let first = |(place, line): (usize, &Line)| Some(Reverse((*line.hits.front()?, place)));
        let firsts = lines.iter().enumerate().filter_map(first).collect();
        Self { at_most, lines, line_of, firsts, waiting: Vec::new(), on_page: Vec::new(), filling: false }
    }

    /// Counts a hit with this value that is on the page already.
    fn count(&mut self, value: Option<&'a str>) {
        if let Some(&line) = self.line_of.get(&value) {
            self.count_of_line(line);
        }
    }

    fn count_of_line(&mut self, line: usize) {
        self.lines[line].on_page += 1;
        self.on_page.push(line);
    }

    fn turn_the_page(&mut self) {
        self.filling = false;
        self.firsts.extend(self.waiting.drain(..));
        for line in self.on_page.drain(..) {
            self.lines[line].on_page = 0;
        }
    }

    /// The next hit of the page.
    fn next(&mut self) -> Option<usize> {
        loop {
            let Some(first) = self.firsts.pop() else {
                if self.waiting.is_empty() {
                    return None;
                }
                self.filling = true;
                self.firsts.extend(self.waiting.drain(..));
                continue;
            };
            let Reverse((hit, place)) = first;
            let line = &mut self.lines[place];
            if line.on_page >= self.at_most && !line.is_free && !self.filling {
                self.waiting.push(first);
                continue;
            }
            line.hits.pop_front();
            self.firsts.extend(line.hits.front().map(|&next| Reverse((next, place))));
            self.count_of_line(place);
            return Some(hit);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, as the words say it: each place of a page is given to the first hit that may have it.
    fn in_words(before: &[Option<&str>], values: &[Option<&str>], page: usize, at_most: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..values.len()).collect();
        let mut shown: Vec<Option<&str>> = before.to_vec();
        let mut order = Vec::new();
        while !left.is_empty() {
            let on_page = &shown[shown.len() / page * page..];
            let may = |hit: &usize| {
                let value = values[*hit];
                value.is_none() || on_page.iter().filter(|other| **other == value).count() < at_most
            };
            let next = left.remove(left.iter().position(may).unwrap_or(0));
            shown.push(values[next]);
            order.push(next);
        }
        order
    }

    #[test]
    fn further_hits_with_a_value_wait_for_the_next_page() {
        let values = [Some("a"), Some("a"), Some("a"), Some("b"), None, Some("a"), Some("b"), Some("c")];
        assert_eq!(order(&[], &values, 4, 2), [0, 1, 3, 4, 2, 5, 6, 7]);
        assert_eq!(order(&[], &values, 4, 1), [0, 3, 4, 7, 1, 6, 2, 5], "the last page is filled with what is left");
        assert_eq!(order(&[], &values, 3, 1), [0, 3, 4, 1, 6, 7, 2, 5]);
        assert_eq!(order(&[], &values, 100, 2), [0, 1, 3, 4, 6, 7, 2, 5]);
    }

    #[test]
    fn what_is_before_them_on_the_page_counts() {
        let values = [Some("a"), Some("b"), Some("a"), None];
        assert_eq!(order(&[Some("a")], &values, 3, 1), [1, 3, 0, 2]);
        assert_eq!(order(&[Some("a"), None, Some("b")], &values, 3, 1), [0, 1, 3, 2], "the page before does not");
    }

    #[test]
    fn four_times_as_many_hits_with_one_value_take_about_four_times_as_long() {
        let took = |count: usize| {
            let values = vec![Some("a"); count];
            let once = || {
                let began = std::time::Instant::now();
                assert!(order(&[], &values, 10, 1).into_iter().eq(0..count));
                began.elapsed()
            };
            (0..7).map(|_| once()).min().expect("some")
        };
        let (few, many) = (took(10_000), took(40_000));
        assert!(many < few * 10, "{few:?}, {many:?}; sixteen times would be the square");
    }

    proptest! {
        #[test]
        fn it_does_as_the_words_say(
            before in prop::collection::vec(prop::option::of(0usize..4), 0..7),
            values in prop::collection::vec(prop::option::of(0usize..4), 0..40),
            (page, at_most) in (1usize..12, 1usize..4),
        ) {
            const NAMES: [&str; 4] = ["a", "b", "c", "d"];
            let named = |values: &[Option<usize>]| -> Vec<Option<&str>> {
                values.iter().map(|value| value.map(|value| NAMES[value])).collect()
            };
            let (before, values) = (named(&before), named(&values));
            prop_assert_eq!(order(&before, &values, page, at_most), in_words(&before, &values, page, at_most));
        }
    }
}
