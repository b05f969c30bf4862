//! Which ONNX file of a model is run, where nobody said. The same rule picks what is pulled and what is loaded.

/// ONNX files by preference, without folder and ending. Quantised ones come first: on a CPU they score about three times
/// as many pairs a second and order them all but alike. Those made for one kind of processor are taken on that kind.
fn preferred() -> Vec<&'static str> {
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

/// The paths within a folder that may hold the ONNX file, best first.
pub fn candidates(variant: Option<&str>) -> Vec<String> {
    let names: Vec<&str> = match variant {
        Some(variant) => vec![variant],
        None => preferred(),
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
            assert_eq!(candidates(Some(name)), ["onnx/model_q4.onnx", "model_q4.onnx"]);
        }
        assert_eq!(candidates(None)[0], "onnx/model_quantized.onnx");
    }
}
