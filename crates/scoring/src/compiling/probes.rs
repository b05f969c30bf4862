//! The probe pairs: real questions and passages, from a few tokens to as many as a model takes. They are a part of the program,
//! so that a verification says the same wherever it is repeated.

/// For each query a line that begins with `? `, and [`OWN`] lines of passages: answers first, then what is only near.
const TEXT: &str = include_str!("probes.txt");

/// The passages of a query.
const OWN: usize = 4;

/// The words of the longest passage of a query, but for the first query's.
const LONG: usize = 512;

/// A query and the passages that it is paired with.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) query: String,
    pub(super) passages: Vec<String>,
}

/// All of them, for a model that takes so many tokens. The first query has a passage that no such model reads to its end.
pub(super) fn all(max_length: usize) -> Vec<Probe> {
    let lines: Vec<&str> = TEXT.lines().collect();
    let texts: Vec<&str> = lines.iter().copied().filter(|line| !line.starts_with("? ")).collect();
    let queries = lines.iter().filter_map(|line| line.strip_prefix("? "));
    let from = |place: usize| texts.iter().cycle().skip(place * OWN).copied();
    queries
        .enumerate()
        .map(|(place, query)| {
            let own: Vec<&str> = from(place).take(OWN).collect();
            let others: Vec<&str> = from(place).skip(OWN).take(OWN).collect();
            let words = if place == 0 { max_length } else { LONG.min(max_length) };
            let mut passages = vec![beginning(own[0], 4), beginning(own[1], 12)];
            passages.extend(own.iter().map(|passage| (*passage).to_owned()));
            passages.extend(others[..2].iter().map(|passage| (*passage).to_owned()));
            passages.push([own[0], others[2]].join(" "));
            passages.push([own[1], others[0], others[1], others[3]].join(" "));
            passages.push(beginning(&from(place).take(words).collect::<Vec<_>>().join(" "), words));
            Probe { query: query.to_owned(), passages }
        })
        .collect()
}

fn beginning(text: &str, words: usize) -> String {
    text.split(' ').take(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_pairs_of_all_lengths() {
        let probes = all(512);
        let words: Vec<usize> =
            probes.iter().flat_map(|probe| &probe.passages).map(|text| text.split(' ').count()).collect();
        assert!(probes.len() == 20 && words.len() >= 200, "{} and {}", probes.len(), words.len());
        assert_eq!((words.iter().min(), words.iter().max()), (Some(&4), Some(&512)));
        assert!(words.iter().filter(|&&words| (100..300).contains(&words)).count() >= 20);
        assert_eq!(all(8192)[0].passages.last().map(|text| text.split(' ').count()), Some(8192));
    }
}
