//! The output of a graph as logits or vectors: the shape that it must have, half precision, pooling that leaves the
//! padding out, and scaling to length one.

use std::borrow::Cow;

use half::f16;
use ort::value::DynValue;

use crate::{model_output::Output, models::Pooling};

/// The way in which a graph's output is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    Logit,
    Sentence { normalise: bool },
    Tokens { pooling: Pooling, normalise: bool },
}

/// One output for each of `lengths`, which are in tokens; each input was padded to the longest of them.
pub(super) fn read(value: &DynValue, reading: Reading, lengths: &[usize]) -> Result<Vec<Output>, String> {
    let (shape, values) = numbers(value)?;
    let (count, padded) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
    let wrong_shape = || format!("the output has the shape {shape:?}, not what {count} inputs of {padded} tokens give");
    if values.is_empty() || !values.len().is_multiple_of(count) {
        return Err(wrong_shape());
    }
    let each = values.chunks_exact(values.len() / count);
    match reading {
        Reading::Logit if values.len() == count => Ok(values.iter().map(|&logit| Output::Logit(logit)).collect()),
        Reading::Sentence { normalise } if shape.len() == 2 => {
            Ok(each.map(|vector| embedding(vector.to_vec(), normalise)).collect())
        }
        Reading::Tokens { pooling, normalise } if shape.len() == 3 && usize::try_from(shape[1]) == Ok(padded) => {
            let size = values.len() / count / padded;
            let own = each.zip(lengths).map(|(tokens, length)| &tokens[..length * size]);
            Ok(own.zip(lengths).map(|(tokens, &length)| embedding(pool(tokens, length, pooling), normalise)).collect())
        }
        _ => Err(wrong_shape()),
    }
}

/// Single precision as it is, half precision widened: some fp16 exports keep it up to the output.
fn numbers(value: &DynValue) -> Result<(&[i64], Cow<'_, [f32]>), String> {
    if let Ok((shape, values)) = value.try_extract_tensor::<f16>() {
        return Ok((shape, values.iter().map(|value| value.to_f32()).collect()));
    }
    let (shape, values) = value.try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
    Ok((shape, Cow::Borrowed(values)))
}

/// Pools `length` token vectors, one after another in `tokens`, into one.
fn pool(tokens: &[f32], length: usize, pooling: Pooling) -> Vec<f32> {
    let size = tokens.len() / length;
    let (first, others) = tokens.split_at(size);
    let mut pooled = first.to_vec();
    if pooling == Pooling::Cls {
        return pooled;
    }
    for token in others.chunks_exact(size) {
        for (pooled, &value) in pooled.iter_mut().zip(token) {
            *pooled = if pooling == Pooling::Max { pooled.max(value) } else { *pooled + value };
        }
    }
    if pooling == Pooling::Mean {
        for sum in &mut pooled {
            *sum /= length as f32;
        }
    }
    pooled
}

fn embedding(mut vector: Vec<f32>, normalise: bool) -> Output {
    if normalise {
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
        for value in &mut vector {
            *value /= norm;
        }
    }
    Output::Embedding(vector.into())
}

#[cfg(test)]
mod tests {
    use ort::value::{PrimitiveTensorElementType, Tensor};

    use super::*;
    use crate::backend::Runtime;

    fn value<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
        shape: &[usize],
        values: Vec<T>,
    ) -> DynValue {
        Runtime::load(None).unwrap();
        Tensor::from_array((shape.to_vec(), values)).unwrap().into_dyn()
    }

    #[test]
    fn half_precision_is_read_as_well() {
        let logits = value(&[2, 1], vec![f16::from_f32(0.5), f16::from_f32(-2.0)]);
        assert_eq!(read(&logits, Reading::Logit, &[3, 2]), Ok(vec![Output::Logit(0.5), Output::Logit(-2.0)]));
    }

    #[test]
    fn what_was_padded_does_not_count() {
        let tokens = value(&[2, 2, 1], vec![1.0_f32, 3.0, 5.0, 1000.0]);
        let reading = Reading::Tokens { pooling: Pooling::Mean, normalise: false };
        let expected = [Output::Embedding([2.0].into()), Output::Embedding([5.0].into())];
        assert_eq!(read(&tokens, reading, &[2, 1]).unwrap(), expected);
        assert!(read(&tokens, reading, &[3, 1]).is_err(), "not the length that was run");
    }

    #[test]
    fn pooling_takes_mean_first_or_largest() {
        let tokens = [1.0, -4.0, 3.0, 2.0];
        assert_eq!(pool(&tokens, 2, Pooling::Mean), [2.0, -1.0]);
        assert_eq!(pool(&tokens, 2, Pooling::Cls), [1.0, -4.0]);
        assert_eq!(pool(&tokens, 2, Pooling::Max), [3.0, 2.0]);
    }

    #[test]
    fn embeddings_are_scaled_to_length_one() {
        assert_eq!(embedding(vec![3.0, 4.0], true), Output::Embedding([0.6, 0.8].into()));
        assert_eq!(embedding(vec![3.0, 4.0], false), Output::Embedding([3.0, 4.0].into()));
        assert!(embedding(vec![0.0, 0.0], true).is_finite());
    }
}
