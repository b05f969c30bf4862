//! Which ONNX file of a model is run, where nobody said. The same rule picks what is pulled and what is loaded.

/// ONNX files by preference on a CPU, without folder and ending. Quantised ones come first: on a CPU they score about
/// three times as many pairs a second and order them all but alike. Those made for one kind of processor are taken on
/// that kind.
fn preferred_on_cpu() -> Vec<&'static str> {
    let mut names = vec!["model_quantized", "model_int8"];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512vnni") {
            names.push("model_qint8_avx512_vnni");
        }
        if is_x86_feature_detected!("avx512f") {
            names.push("model_qint8_avx512");
        }
        if is_x86_feature_detected!("avx2") {
            names.push("model_quint8_avx2");
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        names.push("model_qint8_arm64");
    }
    names.extend(["model_uint8", "model", "model_fp32"]);
    names
}

/// The same for GPUs and their like: half precision is what they are made for, and the operators of quantised files
/// mostly end up on the CPU beside them.
fn preferred_on_accelerators() -> Vec<&'static str> {
    let others = preferred_on_cpu().into_iter().filter(|name| !matches!(*name, "model" | "model_fp32"));
    ["model_fp16", "model", "model_fp32"].into_iter().chain(others).collect()
}

/// The paths within a folder that may hold the ONNX file, best first; `accelerated` is whether it is to be run on
/// something else than the CPU.
pub fn candidates(variant: Option<&str>, accelerated: bool) -> Vec<String> {
    let names: Vec<&str> = match variant {
        Some(variant) => vec![variant],
        None if accelerated => preferred_on_accelerators(),
        None => preferred_on_cpu(),
    };
    let both = ["onnx/", ""].into_iter().flat_map(|place| names.iter().map(move |name| (place, name)));
    let path = |(place, name): (&str, &&str)| {
        let name = name.strip_suffix(".onnx").unwrap_or(name);
        format!("{}{}.onnx", place, name.strip_prefix("onnx/").unwrap_or(name))
    };
    both.map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_may_be_named_with_or_without_folder_and_ending() {
        for name in ["model_q4", "model_q4.onnx", "onnx/model_q4.onnx"] {
            assert_eq!(candidates(Some(name), false), ["onnx/model_q4.onnx", "model_q4.onnx"]);
        }
        assert_eq!(candidates(None, false)[0], "onnx/model_quantized.onnx");
    }

    #[test]
    fn an_accelerator_gets_half_precision_and_what_is_quantised_last() {
        let candidates = candidates(None, true);
        assert_eq!(candidates[..2], ["onnx/model_fp16.onnx", "onnx/model.onnx"]);
        assert!(candidates.contains(&"onnx/model_quantized.onnx".to_owned()));
    }
}
