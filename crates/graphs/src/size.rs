//! The sizes that a configuration asks of the weights, and what is said where they have others: graphs of such weights would be
//! built and run, and say something else than the model.

/// A length of an axis, and the key of `config.json` that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The length.
    pub length: usize,
    key: &'static str,
    /// True where the axis may be longer.
    or_more: bool,
}

impl Size {
    /// Any length.
    pub const ANY: Size = Size { length: 1, key: "", or_more: true };

    /// What `key` asks for.
    pub fn of(key: &'static str, length: usize) -> Size {
        Size { length, key, or_more: false }
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: usize) -> Size {
        Size { length: self.length.saturating_mul(count), ..self }
    }

    /// As much at least: tables of tokens and of positions are padded, and what is beyond is never read.
    #[must_use]
    pub fn or_more(self) -> Size {
        Size { or_more: true, ..self }
    }

    fn is(self, length: usize) -> bool {
        if self.or_more { length >= self.length } else { length == self.length }
    }

    fn in_words(self) -> String {
        match (self.or_more, self.key) {
            (true, "") => String::from("any"),
            (true, _) => format!("at least {}", self.length),
            (false, _) => self.length.to_string(),
        }
    }
}

/// The problem with a tensor of this shape, where other sizes are asked for.
pub(crate) fn mismatch(shape: &[usize], asked: &[Size]) -> Option<String> {
    if shape.len() == asked.len() && shape.iter().zip(asked).all(|(length, size)| size.is(*length)) {
        return None;
    }
    let mut keys: Vec<String> = Vec::new();
    for size in asked.iter().filter(|size| !size.key.is_empty()) {
        let key = format!("`{}`", size.key);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let ask = if keys.len() == 1 { "asks" } else { "ask" };
    let sizes: Vec<String> = asked.iter().map(|size| size.in_words()).collect();
    Some(format!("is {shape:?}; {} {ask} for [{}]", keys.join(" and "), sizes.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_is_told_with_the_keys_that_ask_for_something_else() {
        let (width, words) = (Size::of("hidden_size", 96), Size::of("vocab_size", 1000).or_more());
        assert_eq!(mismatch(&[96, 96], &[width, width]), None);
        assert_eq!(mismatch(&[48, 48], &[width, width]).unwrap(), "is [48, 48]; `hidden_size` asks for [96, 96]");
        assert_eq!(mismatch(&[1008, 96], &[words, width]), None);
        assert_eq!(
            mismatch(&[999, 96], &[words, width]).unwrap(),
            "is [999, 96]; `vocab_size` and `hidden_size` ask for [at least 1000, 96]"
        );
        assert_eq!(mismatch(&[3, 95], &[Size::ANY, width]).unwrap(), "is [3, 95]; `hidden_size` asks for [any, 96]");
        assert!(mismatch(&[96], &[width, width]).is_some() && mismatch(&[288], &[width.times(3)]).is_none());
    }
}
