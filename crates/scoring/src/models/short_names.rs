//! Models that go by a short name: what each is, and the Hub repository that has it as ONNX. Holds no hashes: those are
//! recorded at the first pull ([`super::lock`]).

/// A model with a short name.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The name, which is also that of its folder.
    pub name: &'static str,
    /// The repository of its ONNX files: `organisation/repository`.
    pub repository: &'static str,
    /// The kind of model, as it is shown.
    pub kind: &'static str,
}

const fn known(name: &'static str, repository: &'static str, kind: &'static str) -> Known {
    Known { name, repository, kind }
}

/// Every model with a short name. Where the original has no ONNX file, the repository is that of a conversion.
#[rustfmt::skip]
pub const KNOWN: [Known; 16] = [
    known("mxbai-rerank-xsmall-v1", "mixedbread-ai/mxbai-rerank-xsmall-v1", "cross-encoder"),
    known("mxbai-rerank-base-v1", "mixedbread-ai/mxbai-rerank-base-v1", "cross-encoder"),
    known("mxbai-rerank-large-v1", "mixedbread-ai/mxbai-rerank-large-v1", "cross-encoder"),
    known("ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2", "cross-encoder"),
    known("ms-marco-MiniLM-L12-v2", "cross-encoder/ms-marco-MiniLM-L12-v2", "cross-encoder"),
    known("ms-marco-MiniLM-L-6-v2", "Xenova/ms-marco-MiniLM-L-6-v2", "cross-encoder"),
    known("ms-marco-MiniLM-L-12-v2", "Xenova/ms-marco-MiniLM-L-12-v2", "cross-encoder"),
    known("ms-marco-TinyBERT-L-2-v2", "Xenova/ms-marco-TinyBERT-L-2-v2", "cross-encoder"),
    known("bge-reranker-base", "Xenova/bge-reranker-base", "cross-encoder"),
    known("bge-reranker-large", "Xenova/bge-reranker-large", "cross-encoder"),
    known("bge-reranker-v2-m3", "onnx-community/bge-reranker-v2-m3-ONNX", "cross-encoder"),
    known("jina-reranker-v1-tiny-en", "jinaai/jina-reranker-v1-tiny-en", "cross-encoder"),
    known("jina-reranker-v1-turbo-en", "jinaai/jina-reranker-v1-turbo-en", "cross-encoder"),
    known("gte-reranker-modernbert-base", "Alibaba-NLP/gte-reranker-modernbert-base", "cross-encoder"),
    known("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "bi-encoder"),
    known("bge-small-en-v1.5", "Xenova/bge-small-en-v1.5", "bi-encoder"),
];
