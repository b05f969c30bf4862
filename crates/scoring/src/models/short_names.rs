//! Models that go by a short name: what each is, the Hub repository that has it as ONNX, and what its card says of it. Holds no
//! hashes: those are recorded at the first pull ([`super::lock`]); and no measurements but a word on what was measured here.

/// A model with a short name.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The name, which is also that of its folder.
    pub name: &'static str,
    /// The repository of its ONNX files: `organisation/repository`.
    pub repository: &'static str,
    /// The kind of model, as it is shown.
    pub kind: Shown,
    /// The parameters by its card, in millions.
    pub millions: f32,
    /// The licence by its card, as SPDX has it.
    pub licence: &'static str,
    /// The languages by its card.
    pub languages: &'static str,
    /// What of it was measured for this program's documentation.
    pub measured: Measured,
}

/// The kind of a model, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// `cross-encoder`.
    Cross,
    /// `bi-encoder`.
    Bi,
}

impl Shown {
    /// The words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Cross => "cross-encoder",
            Self::Bi => "bi-encoder",
        }
    }
}

/// What of a model was measured for this program's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Nothing.
    Nothing,
    /// How fast a model of its shape is, with weights that were drawn: the orders of such a model say nothing.
    SpeedOfItsShape,
    /// How fast it is, and how good its orders are, with an export of the same weights.
    SpeedAndQuality,
}

impl Measured {
    /// The words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::SpeedOfItsShape => "speed of its shape",
            Self::SpeedAndQuality => "speed, quality",
        }
    }
}

macro_rules! known {
    ($name:literal, $repository:literal, $kind:ident, $millions:literal, $licence:literal, $languages:literal, $measured:ident) => {
        Known {
            name: $name,
            repository: $repository,
            kind: Shown::$kind,
            millions: $millions,
            licence: $licence,
            languages: $languages,
            measured: Measured::$measured,
        }
    };
}

/// Every model with a short name. Where the original has no ONNX file, the repository is that of a conversion, and the card is the
/// original's.
#[rustfmt::skip]
pub const KNOWN: [Known; 16] = [
    known!("mxbai-rerank-xsmall-v1", "mixedbread-ai/mxbai-rerank-xsmall-v1", Cross, 70.8, "Apache-2.0", "en", SpeedOfItsShape),
    known!("mxbai-rerank-base-v1", "mixedbread-ai/mxbai-rerank-base-v1", Cross, 184.0, "Apache-2.0", "en", SpeedOfItsShape),
    known!("mxbai-rerank-large-v1", "mixedbread-ai/mxbai-rerank-large-v1", Cross, 435.0, "Apache-2.0", "en", Nothing),
    known!("ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2", Cross, 22.7, "Apache-2.0", "en", Nothing),
    known!("ms-marco-MiniLM-L12-v2", "cross-encoder/ms-marco-MiniLM-L12-v2", Cross, 33.4, "Apache-2.0", "en", SpeedAndQuality),
    known!("ms-marco-MiniLM-L-6-v2", "Xenova/ms-marco-MiniLM-L-6-v2", Cross, 22.7, "Apache-2.0", "en", Nothing),
    known!("ms-marco-MiniLM-L-12-v2", "Xenova/ms-marco-MiniLM-L-12-v2", Cross, 33.4, "Apache-2.0", "en", Nothing),
    known!("ms-marco-TinyBERT-L-2-v2", "Xenova/ms-marco-TinyBERT-L-2-v2", Cross, 4.4, "Apache-2.0", "en", Nothing),
    known!("bge-reranker-base", "Xenova/bge-reranker-base", Cross, 278.0, "MIT", "zh, en", Nothing),
    known!("bge-reranker-large", "Xenova/bge-reranker-large", Cross, 560.0, "MIT", "zh, en", Nothing),
    known!("bge-reranker-v2-m3", "onnx-community/bge-reranker-v2-m3-ONNX", Cross, 568.0, "Apache-2.0", "multilingual", Nothing),
    known!("jina-reranker-v1-tiny-en", "jinaai/jina-reranker-v1-tiny-en", Cross, 33.0, "Apache-2.0", "en", Nothing),
    known!("jina-reranker-v1-turbo-en", "jinaai/jina-reranker-v1-turbo-en", Cross, 37.8, "Apache-2.0", "en", Nothing),
    known!("gte-reranker-modernbert-base", "Alibaba-NLP/gte-reranker-modernbert-base", Cross, 149.0, "Apache-2.0", "en", Nothing),
    known!("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", Bi, 22.7, "Apache-2.0", "en", SpeedAndQuality),
    known!("bge-small-en-v1.5", "Xenova/bge-small-en-v1.5", Bi, 33.4, "MIT", "en", Nothing),
];
