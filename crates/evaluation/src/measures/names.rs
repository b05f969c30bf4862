//! Names of measures, as `ir-measures` writes them: `nDCG@10`, `nDCG(dcg='exp-log2')@10`, `RR(rel=2)@10`. The grammar is
//! `NAME[(KEY=VALUE,…)]@CUTOFF` (<https://ir-measur.es/en/latest/measures.html>); a cutoff is demanded of every measure.

use std::{fmt, str::FromStr};

use super::{Gain, Kind, Measure};

/// The reason why a text is no measure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the measure {text:?} {problem}")]
pub struct MeasureError {
    text: String,
    problem: String,
}

/// What is known to be measured, with `ir-measures`' other names for it.
const NAMES: [(&[&str], Kind); 7] = [
    (&["nDCG"], Kind::Ndcg(Gain::Linear)),
    (&["RR", "MRR"], Kind::ReciprocalRank { lowest: 1 }),
    (&["AP", "MAP"], Kind::AveragePrecision { lowest: 1 }),
    (&["R", "Recall"], Kind::Recall { lowest: 1 }),
    (&["P", "Precision"], Kind::Precision { lowest: 1 }),
    (&["Success"], Kind::Success { lowest: 1 }),
    (&["Judged"], Kind::Judged),
];

impl FromStr for Measure {
    type Err = MeasureError;

    /// Reads a name; upper and lower case are the same.
    fn from_str(text: &str) -> Result<Self, MeasureError> {
        let parsed = || {
            let (head, cutoff) = text.trim().rsplit_once('@').ok_or("has no cutoff, as nDCG@10 has")?;
            let cutoff = cutoff.parse().ok().filter(|cutoff| *cutoff > 0);
            let cutoff = cutoff.ok_or("has a cutoff that is not a whole number from 1 on")?;
            let (name, options) = match head.split_once('(') {
                Some((name, options)) => (name, options.strip_suffix(')').ok_or("has no `)` before its @")?),
                None => (head, ""),
            };
            let known = NAMES.iter().find(|(names, _)| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
            let Some((_, mut kind)) = known.copied() else {
                let names: Vec<&str> = NAMES.iter().map(|(names, _)| names[0]).collect();
                return Err(format!("is not known: there are {}", names.join(", ")));
            };
            for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
                set(&mut kind, option)?;
            }
            Ok(Self { kind, cutoff })
        };
        parsed().map_err(|problem: String| MeasureError { text: text.to_owned(), problem })
    }
}

/// Sets what `KEY=VALUE` says.
fn set(kind: &mut Kind, option: &str) -> Result<(), String> {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    let value = value.trim().trim_matches(['\'', '"']);
    match (kind, key.trim()) {
        (Kind::Ndcg(gain), "dcg") => {
            *gain = match value {
                "log2" => Gain::Linear,
                "exp-log2" => Gain::Exponential,
                _ => return Err(format!("has a dcg {value:?} that is neither 'log2' nor 'exp-log2'")),
            };
        }
        (
            Kind::ReciprocalRank { lowest }
            | Kind::AveragePrecision { lowest }
            | Kind::Recall { lowest }
            | Kind::Precision { lowest }
            | Kind::Success { lowest },
            "rel",
        ) => {
            let rel = value.parse().ok().filter(|rel| *rel > 0);
            *lowest = rel.ok_or_else(|| format!("has a rel {value:?} that is not a whole number from 1 on"))?;
        }
        (_, key) => return Err(format!("has no option {key:?}")),
    }
    Ok(())
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, options) = match self.kind {
            Kind::Ndcg(Gain::Linear) => ("nDCG", String::new()),
            Kind::Ndcg(Gain::Exponential) => ("nDCG", "(dcg='exp-log2')".to_owned()),
            Kind::ReciprocalRank { lowest } => ("RR", rel(lowest)),
            Kind::AveragePrecision { lowest } => ("AP", rel(lowest)),
            Kind::Recall { lowest } => ("R", rel(lowest)),
            Kind::Precision { lowest } => ("P", rel(lowest)),
            Kind::Success { lowest } => ("Success", rel(lowest)),
            Kind::Judged => ("Judged", String::new()),
        };
        f.pad(&format!("{name}{options}@{}", self.cutoff))
    }
}

fn rel(lowest: i32) -> String {
    if lowest == 1 { String::new() } else { format!("(rel={lowest})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(text: &str) -> Measure {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_read_and_shown_as_ir_measures_writes_them() {
        for name in [
            "nDCG@10",
            "nDCG(dcg='exp-log2')@10",
            "RR@10",
            "RR(rel=2)@10",
            "AP@100",
            "R@100",
            "P(rel=3)@10",
            "Success@5",
            "Judged@10",
        ] {
            assert_eq!(measure(name).to_string(), name);
        }
        for (other, name) in [
            ("MRR@10", "RR@10"),
            ("MAP( rel = 2 )@5", "AP(rel=2)@5"),
            ("Recall@5", "R@5"),
            ("Precision(rel=1)@5", "P@5"),
            ("NDCG(dcg=\"log2\")@3", "nDCG@3"),
            (" ndcg@10 ", "nDCG@10"),
        ] {
            assert_eq!(measure(other).to_string(), name);
        }
    }

    #[test]
    fn what_is_no_measure_says_why() {
        for (text, problem) in [
            ("nDCG", "has no cutoff, as nDCG@10 has"),
            ("nDCG@0", "has a cutoff that is not a whole number from 1 on"),
            ("nDCG@ten", "has a cutoff that is not a whole number from 1 on"),
            ("ERR@10", "is not known: there are nDCG, RR, AP, R, P, Success, Judged"),
            ("RR(rel=2@10", "has no `)` before its @"),
            ("RR(rel=0)@10", "has a rel \"0\" that is not a whole number from 1 on"),
            ("nDCG(rel=2)@10", "has no option \"rel\""),
            ("nDCG(dcg='sqrt')@10", "has a dcg \"sqrt\" that is neither 'log2' nor 'exp-log2'"),
            ("Judged(rel=2)@10", "has no option \"rel\""),
        ] {
            let error = text.parse::<Measure>().unwrap_err().to_string();
            assert_eq!(error, format!("the measure {text:?} {problem}"));
        }
    }
}
