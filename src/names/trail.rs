//! A name, or a pattern of names, that is followed down a document key by key, so that no path is ever put together: a
//! document whose keys are long and many would make paths of a size that is the square of its own. Owns the walk along one
//! path; pure.
//!
//! The method is the bit-parallel simulation of an automaton (Baeza-Yates and Gonnet, "A new approach to text searching",
//! 1992): one bit for each place in the pattern that the path may have led to.

/// Words of a set of places.
const WORDS: usize = 4;

/// The longest name or pattern that is followed, in bytes. No field has so long a name.
const LONGEST: usize = 64 * WORDS - 1;

/// A set of places in a pattern; place `i` is the one before its byte `i`.
type Places = [u64; WORDS];

/// A name or pattern, made ready to be followed. What is longer than any field's name leads nowhere.
#[derive(Debug)]
pub(crate) struct Trail {
    length: usize,
    /// Whether there is a `*` in it: what lies beneath a pattern is no concern of its.
    is_pattern: bool,
    /// Where there is a `*`.
    stars: Places,
    /// Where there is a dot, and what is before it is more than `*`: what is before may be the field of which this is a
    /// multi-field.
    dots: Places,
    /// For each byte which of `literals` says where it is; 0 for those that are nowhere.
    kinds: [u8; 256],
    literals: Vec<Places>,
    start: Step,
}

/// How far a path has led along a [`Trail`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    places: Places,
    is_beneath: bool,
    is_begun: bool,
}

/// What a path is to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// What the name, or pattern, describes.
    All,
    /// Something that lies beneath it.
    Beneath,
    /// What the name says before its dot at this place.
    Parent(usize),
    /// Nothing of the kind.
    Nothing,
}

impl Trail {
    /// Makes `name` ready.
    pub(crate) fn of(name: &str) -> Self {
        let mut text = name.as_bytes().to_vec();
        text.dedup_by(|second, first| *first == b'*' && *second == b'*');
        let mut trail = Self {
            length: text.len(),
            is_pattern: text.contains(&b'*'),
            stars: [0; WORDS],
            dots: [0; WORDS],
            kinds: [0; 256],
            literals: vec![[0; WORDS]],
            start: Step { places: [0; WORDS], is_beneath: false, is_begun: false },
        };
        if text.len() > LONGEST {
            return trail;
        }
        for (place, &byte) in text.iter().enumerate() {
            if byte == b'*' {
                add(&mut trail.stars, place);
                continue;
            }
            if byte == b'.' && text[..place] != *b"*" {
                add(&mut trail.dots, place);
            }
            let kind = &mut trail.kinds[usize::from(byte)];
            if *kind == 0 {
                // There are no more kinds than bytes of the name.
                *kind = trail.literals.len() as u8;
                trail.literals.push([0; WORDS]);
            }
            add(&mut trail.literals[usize::from(*kind)], place);
        }
        add(&mut trail.start.places, 0);
        trail.start.places = trail.past_stars(trail.start.places);
        trail
    }

    /// Before the first key.
    pub(crate) fn start(&self) -> Step {
        self.start
    }

    /// Where the next key of the path leads; `None` where nothing that is beneath it is of interest.
    pub(crate) fn follow(&self, from: Step, key: &str) -> Option<Step> {
        let mut step = from;
        let dot = from.is_begun.then_some(b'.');
        for byte in dot.into_iter().chain(key.bytes()) {
            if step.is_beneath {
                break;
            }
            step.is_beneath = byte == b'.' && !self.is_pattern && has(&step.places, self.length);
            step.is_begun = true;
            let by_letter = self.literals[usize::from(self.kinds[usize::from(byte)])];
            let went_on = shifted(both(step.places, by_letter));
            step.places = self.past_stars(either(both(step.places, self.stars), went_on));
            if step.places == [0; WORDS] && !step.is_beneath {
                return None;
            }
        }
        Some(step)
    }

    /// What the path to here is to the name.
    pub(crate) fn reached(&self, step: Step) -> Reached {
        if has(&step.places, self.length) {
            return Reached::All;
        }
        if step.is_beneath {
            return Reached::Beneath;
        }
        let parents = both(step.places, self.dots);
        let nearest = parents.iter().enumerate().rev().find(|(_, word)| **word != 0);
        nearest.map_or(Reached::Nothing, |(number, word)| {
            Reached::Parent(64 * number + 63 - word.leading_zeros() as usize)
        })
    }

    /// A `*` may stand for nothing; two never follow each other.
    fn past_stars(&self, places: Places) -> Places {
        either(places, shifted(both(places, self.stars)))
    }
}

fn add(places: &mut Places, place: usize) {
    places[place / 64] |= 1 << (place % 64);
}

fn has(places: &Places, place: usize) -> bool {
    places.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
}

fn both(a: Places, b: Places) -> Places {
    std::array::from_fn(|word| a[word] & b[word])
}

fn either(a: Places, b: Places) -> Places {
    std::array::from_fn(|word| a[word] | b[word])
}

/// Each place, one further on.
fn shifted(places: Places) -> Places {
    std::array::from_fn(|word| places[word] << 1 | if word == 0 { 0 } else { places[word - 1] >> 63 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::names::{is_beneath, matches};

    fn reached(name: &str, keys: &[&str]) -> Reached {
        let trail = Trail::of(name);
        let end = keys.iter().try_fold(trail.start(), |step, key| trail.follow(step, key));
        end.map_or(Reached::Nothing, |end| trail.reached(end))
    }

    #[test]
    fn a_path_is_what_a_name_says_or_beneath_it_or_what_it_belongs_to() {
        for (name, keys, expected) in [
            ("a.b", &["a", "b"][..], Reached::All),
            ("a.b", &["a.b"], Reached::All),
            ("a.b", &["a", "b", "c"], Reached::Beneath),
            ("a.b", &["a", "b.c"], Reached::Beneath),
            ("a.b", &["a", "bc"], Reached::Nothing),
            ("a.b.c", &["a", "b"], Reached::Parent(3)),
            ("a.b.c", &["a"], Reached::Parent(1)),
            ("a.*", &["a", "x", "y"], Reached::All),
            ("a.*", &["a"], Reached::Parent(1)),
            ("*.english", &["a"], Reached::Nothing),
            ("**.english", &["a"], Reached::Nothing),
            ("*a*b", &["xa", "ab"], Reached::All),
        ] {
            assert_eq!(reached(name, keys), expected, "{name} {keys:?}");
        }
    }

    #[test]
    fn a_name_may_be_long_but_not_longer_than_any_field_s() {
        let long = "x".repeat(LONGEST);
        assert_eq!(reached(&long, &[&long]), Reached::All);
        assert_eq!(reached(&long, &[&long[1..]]), Reached::Nothing);
        let too_long = format!("{long}x");
        assert_eq!(reached(&too_long, &[&too_long]), Reached::Nothing);
        let pattern = format!("*.{}", &long[2..]);
        assert_eq!(reached(&pattern, &["a", &long[2..]]), Reached::All);
    }

    proptest! {
        #[test]
        fn what_is_reached_is_what_the_whole_path_says(
            name in "[ab.*]{0,7}", keys in prop::collection::vec("[ab.]{0,3}", 1..4),
        ) {
            let mut path = String::new();
            for key in &keys {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            let parents = || name.rmatch_indices('.').map(|(dot, _)| &name[..dot]);
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let found = reached(&name, &keys);
            // Where stars follow each other, places are those of the name with one of them.
            let expected = if matches(&name, &path) {
                Reached::All
            } else if !name.contains('*') && is_beneath(&path, &name) {
                Reached::Beneath
            } else {
                let told = |parent: &&str| parent.chars().any(|c| c != '*') || parent.is_empty();
                parents().filter(told).find(|parent| matches(parent, &path)).map_or(Reached::Nothing, |parent| {
                    let mut parent = parent.as_bytes().to_vec();
                    parent.dedup_by(|second, first| *first == b'*' && *second == b'*');
                    Reached::Parent(parent.len())
                })
            };
            prop_assert_eq!(found, expected);
        }
    }
}
