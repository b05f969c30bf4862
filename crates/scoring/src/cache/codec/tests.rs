//! Any output, written and read again, and bytes that nobody wrote.

use proptest::prelude::*;

use super::*;

fn float() -> impl Strategy<Value = f32> {
    use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

fn vector() -> impl Strategy<Value = Arc<[f32]>> {
    prop::collection::vec(float(), 0..40).prop_map(Into::into)
}

prop_compose! {
    fn span()(start: u32, end: u32) -> Span {
        Span { start, end }
    }
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![
        float().prop_map(Output::Logit),
        float().prop_map(Output::Relevance),
        vector().prop_map(Output::Embedding),
        prop::collection::vec((span(), vector()), 0..5).prop_map(|windows| Output::Embeddings(windows.into())),
    ]
}

prop_compose! {
    fn model_output()(output in output(), truncated: bool, span in prop::option::of(span()), tokens: u32) -> ModelOutput {
        ModelOutput { output, truncated, span, tokens }
    }
}

/// `PartialEq` takes 0.0 for -0.0.
fn is_the_same(one: &ModelOutput, other: &ModelOutput) -> bool {
    one == other && format!("{one:?}") == format!("{other:?}")
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_bit_for_bit(key: u128, written in model_output()) {
        let read = decode(Key(key), &encode(Key(key), &written)).expect("readable");
        prop_assert!(is_the_same(&read, &written), "{read:?} is not {written:?}");
    }

    #[test]
    fn garbage_is_no_score(key: u128, bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(decode(Key(key), &bytes), None);
        // As if its checksum were right: what is read then stands for nothing else.
        if let Some(written) = read(&bytes) {
            let written = encode(Key(key), &written);
            prop_assert_eq!(&written[..written.len() - 4], &bytes[..]);
        }
    }

    #[test]
    fn what_was_altered_or_cut_off_is_no_score(key: u128, written in model_output(), at: prop::sample::Index, bit in 0..8) {
        let bytes = encode(Key(key), &written);
        let at = at.index(bytes.len());
        prop_assert_eq!(decode(Key(key), &bytes[..at]), None);
        let mut altered = bytes;
        altered[at] ^= 1_u8 << bit;
        prop_assert_eq!(decode(Key(key), &altered), None);
    }

    #[test]
    fn a_score_under_another_key_is_none(key: u128, other: u128, written in model_output()) {
        prop_assume!(key != other);
        prop_assert_eq!(decode(Key(other), &encode(Key(key), &written)), None);
    }
}

#[test]
fn what_is_not_finite_is_no_score() {
    for output in [Output::Logit(f32::NAN), Output::Embedding([1.0, f32::INFINITY].into())] {
        let written = ModelOutput { output, truncated: false, span: None, tokens: 7 };
        assert_eq!(decode(Key(1), &encode(Key(1), &written)), None);
    }
}

#[test]
fn bytes_of_this_version_stay_readable() {
    let written =
        ModelOutput { output: Output::Logit(1.5), truncated: true, span: Some(Span { start: 2, end: 3 }), tokens: 300 };
    let bytes = encode(Key(7), &written);
    assert_eq!(bytes[..15], [0x2c, 0xac, 2, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0xc0, 0x3f]);
    assert_eq!(bytes.len(), 19);
    assert_eq!(decode(Key(7), &bytes), Some(written));
}
