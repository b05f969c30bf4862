//! The keys `normalize` and `k` of a signal: how its numbers are made comparable to those of other signals.

use ranking::normalize::Normalize;

use crate::config::reading::section::Section;

/// The `k` of reciprocal rank fusion in its paper, and in both engines.
const DEFAULT_K: f32 = 60.0;

const METHODS: [(&str, Normalize); 5] = [
    ("minmax", Normalize::MinMax),
    ("zscore", Normalize::ZScore),
    ("logit", Normalize::Logit),
    ("rank", Normalize::Rank { k: DEFAULT_K }),
    ("none", Normalize::Off),
];

/// The keys that give this normalisation, behind other keys of a signal; none for the usual one.
#[cfg(feature = "eval")]
pub(crate) fn normalization_keys(normalize: Normalize) -> String {
    let same = |of: &Normalize| std::mem::discriminant(of) == std::mem::discriminant(&normalize);
    let name = METHODS.iter().find(|(_, of)| same(of)).map_or("minmax", |(name, _)| name);
    match normalize {
        Normalize::MinMax => String::new(),
        Normalize::Rank { k } => format!(", normalize = \"{name}\", k = {k:?}"),
        _ => format!(", normalize = \"{name}\""),
    }
}

/// Reads the keys of a signal.
pub(super) fn read(signal: &Section) -> Normalize {
    let method = signal.choice("normalize", Normalize::MinMax, &METHODS);
    let k: Option<f32> = signal.optional("k");
    match (method, k) {
        (Normalize::Rank { .. }, Some(k)) if k >= 1.0 => Normalize::Rank { k },
        (Normalize::Rank { .. }, Some(_)) => {
            signal.error("k", "must be 1 or more");
            method
        }
        (_, Some(_)) => {
            signal.error("k", "belongs to normalize = \"rank\" only");
            method
        }
        (_, None) => method,
    }
}
