//! The bare loop: ONNX Runtime as a batch job would use it, with all texts at hand. Owns the best that can be had without
//! a server: one session, on all cores or on an accelerator, batches sorted by length and padded to their longest member.

use ort::{session::Session, value::TensorRef};
use scoring::{
    Providers, Runtime,
    backend::register,
    models::{Kind, ModelFolder},
};
use tokenizers::{
    EncodeInput, Encoding, PaddingParams, PaddingStrategy, Tokenizer, TruncationParams,
    utils::padding::PaddingDirection,
};

use crate::{Clock, Failure, Rate, searches::Search};

pub(crate) struct Bare {
    session: Session,
    tokenizer: Tokenizer,
    pairs: bool,
}

impl Bare {
    pub(crate) fn load(folder: &ModelFolder, runtime: &Runtime) -> Result<Bare, Failure> {
        let cores = std::thread::available_parallelism()?.get();
        let builder =
            Session::builder(runtime.environment())?.with_intra_threads(cores)?.with_intra_op_spinning(false)?;
        let Providers { list, device } = folder.providers();
        let mut builder = register(list[0], builder, *device, cores)?;
        let session = builder.commit_from_file(folder.onnx())?;
        let mut tokenizer = Tokenizer::from_file(folder.tokenizer()).map_err(|error| error.to_string())?;
        let truncation = TruncationParams { max_length: folder.max_length(), ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        Ok(Bare { session, tokenizer, pairs: folder.kind() == Kind::CrossEncoder })
    }

    /// How many tokens the inputs of `searches` have, in ascending order.
    pub(crate) fn lengths(&self, searches: &[Search]) -> Result<Vec<usize>, Failure> {
        Ok(self.encoded(searches)?.iter().map(Encoding::len).collect())
    }

    /// Runs all of `searches`, `batch` inputs at a time.
    pub(crate) fn rate(&mut self, searches: &[Search], batch: usize) -> Result<Rate, Failure> {
        let clock = Clock::start();
        let mut encoded = self.encoded(searches)?;
        let pairs = encoded.len();
        for batch in encoded.chunks_mut(batch) {
            self.run(batch)?;
        }
        Ok(clock.rate(pairs))
    }

    /// Sorted by length.
    fn encoded(&self, searches: &[Search]) -> Result<Vec<Encoding>, Failure> {
        let input = |search: &'_ Search, passage: &'_ String| match self.pairs {
            true => EncodeInput::from((search.query.clone(), passage.clone())),
            false => EncodeInput::from(passage.clone()),
        };
        let inputs: Vec<EncodeInput> = searches
            .iter()
            .flat_map(|search| search.passages.iter().map(move |passage| input(search, passage)))
            .collect();
        let mut encoded = self.tokenizer.encode_batch_fast(inputs, true).map_err(|error| error.to_string())?;
        encoded.sort_by_key(Encoding::len);
        Ok(encoded)
    }

    fn run(&mut self, batch: &mut [Encoding]) -> Result<(), Failure> {
        let padding = PaddingParams {
            strategy: PaddingStrategy::BatchLongest,
            direction: PaddingDirection::Right,
            ..PaddingParams::default()
        };
        tokenizers::pad_encodings(batch, &padding).map_err(|error| error.to_string())?;
        let shape = [batch.len(), batch[0].len()];
        let column = |get: fn(&Encoding) -> &[u32]| -> Vec<i64> {
            batch.iter().flat_map(|encoding| get(encoding).iter().map(|&id| i64::from(id))).collect()
        };
        let (ids, mask) = (column(|e| e.get_ids()), column(|e| e.get_attention_mask()));
        let types = column(|e| e.get_type_ids());
        let named: Vec<(String, &Vec<i64>)> = self
            .session
            .inputs()
            .iter()
            .map(|input| match input.name() {
                "input_ids" => (input.name().to_owned(), &ids),
                "attention_mask" => (input.name().to_owned(), &mask),
                _ => (input.name().to_owned(), &types),
            })
            .collect();
        let mut inputs = Vec::new();
        for (name, values) in &named {
            inputs.push((name.as_str(), TensorRef::from_array_view((shape, values.as_slice()))?));
        }
        let outputs = self.session.run(inputs)?;
        std::hint::black_box(&outputs[0]);
        Ok(())
    }
}
