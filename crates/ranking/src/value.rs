//! A number that something says of a hit, and what kind of number it is.

/// The scale of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A logit: it is shown as its sigmoid.
    Logit,
    /// A cosine, a server's relevance, or anything else that is shown as it is.
    AsIs,
}

/// A number and its scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// The number as it came. Order by this: a logit does not saturate.
    pub raw: f32,
    /// Its scale.
    pub scale: Scale,
}

impl Value {
    /// A number that is shown as it is.
    pub fn as_is(raw: f32) -> Self {
        Self { raw, scale: Scale::AsIs }
    }

    /// The number to show.
    pub fn shown(self) -> f32 {
        match self.scale {
            Scale::Logit => 1.0 / (1.0 + (-self.raw).exp()),
            Scale::AsIs => self.raw,
        }
    }
}
