//! Weights in a stock ONNX file: an export in fp32 or fp16, or one that `quantize_dynamic` of ONNX Runtime has made int8. An
//! export gives the matrices of linear layers names of its own (`onnx::MatMul_1454`), so that they are found by what is done
//! with them: by the bias that is added afterwards, or by the name of the operator.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use half::{bf16, f16};

use super::source::{Source, numbers};
use crate::{
    array::{Array, Quantised, Values, Weights, transposed},
    error::BuildError,
    onnx::{NodeProto, TensorProto, data_type, file},
};

/// The suffixes that `quantize_dynamic` puts on the names of constants.
const QUANTISED: &str = "_quantized";
const SCALE: &str = "_scale";
const ZERO_POINT: &str = "_zero_point";

/// The steps at most from an int8 product to its floats.
const STEPS_OF_A_PRODUCT: usize = 4;

/// A stock file.
pub(super) struct Stock {
    file: PathBuf,
    /// In the order of the graph.
    nodes: Vec<NodeProto>,
    constants: BTreeMap<String, TensorProto>,
}

/// The place of a matrix in the graph.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// The constant.
    name: &'a str,
    /// True where it has a row for each output, not for each input.
    has_row_per_output: bool,
    /// The name of its zero point, where it is quantised and has one.
    zero_point: Option<&'a str>,
}

impl Stock {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Stock, BuildError> {
        let model = file::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                let problem = format!("no ONNX file ({error}); download it again");
                BuildError::Malformed { file: path.to_path_buf(), problem }
            }
            _ => BuildError::Unreadable { file: path.to_path_buf(), source: error },
        })?;
        let graph = model.graph.unwrap_or_default();
        let mut constants: BTreeMap<String, TensorProto> =
            graph.initializer.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
            let value = node.attribute.iter().find_map(|attribute| attribute.t.clone());
            constants.extend(node.output.first().cloned().zip(value));
        }
        Ok(Stock { file: path.to_path_buf(), nodes: graph.node, constants })
    }

    /// The matrix that a node multiplies by.
    fn matrix_of<'a>(&'a self, node: &'a NodeProto) -> Option<Found<'a>> {
        let input = |place: usize| node.input.get(place).map(String::as_str).filter(|name| !name.is_empty());
        let is_set = |name: &str| node.attribute.iter().any(|attribute| attribute.name == name && attribute.i != 0);
        let name = input(1)?;
        let found = Found { name, has_row_per_output: false, zero_point: None };
        let found = match node.op_type.as_str() {
            "MatMul" => found,
            "Gemm" => Found { has_row_per_output: is_set("transB"), ..found },
            "MatMulInteger" | "DynamicQuantizeMatMul" => Found { zero_point: input(3), ..found },
            "MatMulIntegerToFloat" => Found { zero_point: input(5), ..found },
            _ => return None,
        };
        if self.constants.contains_key(name) {
            return Some(found);
        }
        // An export may leave the transposition of torch's matrix to the graph.
        let before = self.producer(name).filter(|node| node.op_type == "Transpose")?;
        let name = before.input.first()?;
        let has_row_per_output = !found.has_row_per_output;
        self.constants.contains_key(name).then_some(Found { name, has_row_per_output, ..found })
    }

    /// The matrix of a layer, by the constant of that name.
    fn by_weight<'a>(&'a self, weight: &str) -> Option<Found<'a>> {
        let quantised = format!("{weight}{QUANTISED}");
        let found = self.nodes.iter().filter_map(|node| self.matrix_of(node));
        let is_it = |found: &Found| found.name == weight || found.name == quantised;
        found.filter(is_it).max_by_key(|found| found.name == quantised)
    }

    /// The matrix of a layer, by what its bias is added to. Where a layer is run on several inputs, some of its copies may
    /// have been quantised and some not: those that were are preferred.
    fn by_bias<'a>(&'a self, bias: &str) -> Option<Found<'a>> {
        let users = self.nodes.iter().filter(|node| node.input.iter().any(|input| input == bias));
        let found = users.filter_map(|node| match self.matrix_of(node) {
            Some(found) => Some(found),
            None if node.op_type == "Add" => {
                let other = node.input.iter().find(|input| *input != bias)?;
                self.matrix_of(self.product(other)?)
            }
            None => None,
        });
        found.max_by_key(|found| found.name.ends_with(QUANTISED))
    }

    /// The matrix of a layer, by the name of the operator, which torch makes of the names of modules.
    fn by_node<'a>(&'a self, module: &str) -> Option<Found<'a>> {
        let is_of = |node: &&NodeProto| {
            let path = node.name.trim_start_matches('/').replace('/', ".");
            let within = path.rsplit_once('.').map_or("", |(module, _)| module);
            within.strip_suffix(module).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        self.nodes.iter().filter(is_of).find_map(|node| self.matrix_of(node))
    }

    /// The multiplication whose outcome is `value`: at once, or after the steps that make floats of int8 products.
    fn product(&self, value: &str) -> Option<&NodeProto> {
        let mut node = self.producer(value)?;
        // Mul(Cast(MatMulInteger(…)), scales)
        for _ in 0..STEPS_OF_A_PRODUCT {
            if !matches!(node.op_type.as_str(), "Mul" | "Cast") {
                break;
            }
            let is_product = |input: &&String| {
                self.producer(input).is_some_and(|node| matches!(node.op_type.as_str(), "Cast" | "MatMulInteger"))
            };
            node = self.producer(node.input.iter().find(is_product)?)?;
        }
        Some(node)
    }

    fn producer(&self, value: &str) -> Option<&NodeProto> {
        self.nodes.iter().find(|node| node.output.iter().any(|output| output == value))
    }

    /// The numbers of a quantised constant, with the scales and zero points that go with it.
    fn quantised(&self, name: &str, zero_point: Option<&str>) -> Result<(Vec<usize>, Quantised), BuildError> {
        let wrong = |problem: &str| self.wrong(name, problem);
        let plain = name.strip_suffix(QUANTISED).unwrap_or(name);
        let scales = self.floats(&format!("{plain}{SCALE}"))?.values;
        let tensor = &self.constants[name];
        let shape = lengths(tensor);
        let values = self.bytes(tensor)?;
        // Numbers without a sign are moved down by 128, and their zero points with them: the same products.
        let is_signed = |tensor: &TensorProto| match tensor.data_type {
            data_type::INT8 => Ok(true),
            data_type::UINT8 => Ok(false),
            _ => Err(wrong("is neither int8 nor uint8")),
        };
        let signed = |bytes: &[u8], is_signed: bool| -> Vec<i8> {
            bytes.iter().map(|byte| if is_signed { byte.cast_signed() } else { (byte ^ 0x80).cast_signed() }).collect()
        };
        let has_sign = is_signed(tensor)?;
        let usual = format!("{plain}{ZERO_POINT}");
        let zero_points = match self.constants.get(zero_point.unwrap_or(&usual)) {
            Some(points) => signed(&self.bytes(points)?, is_signed(points)?),
            None => signed(&[0], has_sign),
        };
        let columns = shape.last().copied().unwrap_or(1);
        if columns == 0 {
            return Err(wrong("has no values"));
        }
        let each = |length: usize| length == 1 || length == columns;
        if !each(scales.len()) || !each(zero_points.len()) || values.len() != count(&shape) {
            return Err(wrong("has another number of scales than columns"));
        }
        let zero_points = zero_points.iter().any(|point| *point != 0).then_some(zero_points);
        Ok((shape, Quantised { values: signed(&values, has_sign), scales, zero_points }))
    }

    /// A constant of floats.
    fn floats(&self, name: &str) -> Result<Array, BuildError> {
        let tensor = self.constants.get(name).ok_or_else(|| self.wrong(name, "is not there"))?;
        let shape = lengths(tensor);
        let bytes = self.bytes(tensor)?;
        let values: Vec<f32> = match tensor.data_type {
            data_type::FLOAT if bytes.is_empty() => tensor.float_data.clone(),
            data_type::FLOAT => numbers(&bytes, f32::from_le_bytes),
            data_type::FLOAT16 if bytes.is_empty() => {
                tensor.int32_data.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect()
            }
            data_type::FLOAT16 => numbers(&bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            data_type::BFLOAT16 => numbers(&bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            data_type::DOUBLE => numbers(&bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            _ => return Err(self.wrong(name, "holds no floats")),
        };
        if values.len() != count(&shape) {
            return Err(self.wrong(name, "has not as many values as its shape"));
        }
        Ok(Array { shape, values })
    }

    fn bytes(&self, tensor: &TensorProto) -> Result<Bytes, BuildError> {
        let bytes = file::raw_values(tensor, &self.file);
        let bytes = bytes.map_err(|source| BuildError::Unreadable { file: self.file.clone(), source })?;
        // The few numbers of a zero point may be written one by one.
        let is_small = bytes.is_empty() && matches!(tensor.data_type, data_type::INT8 | data_type::UINT8);
        Ok(if is_small { tensor.int32_data.iter().map(|&number| number as u8).collect() } else { bytes })
    }

    fn wrong(&self, name: &str, problem: &str) -> BuildError {
        BuildError::Weights { file: self.file.clone(), name: name.to_owned(), problem: problem.to_owned() }
    }
}

impl Source for Stock {
    fn tensor(&self, name: &str) -> Result<Array, BuildError> {
        let quantised = format!("{name}{QUANTISED}");
        if self.constants.contains_key(&quantised) && !self.constants.contains_key(name) {
            let (shape, quantised) = self.quantised(&quantised, None)?;
            let values = quantised.to_floats(shape.last().copied().unwrap_or(1));
            return Ok(Array { shape, values });
        }
        self.floats(name)
    }

    fn quantised_table(&self, name: &str) -> Result<Option<Weights>, BuildError> {
        let quantised = format!("{name}{QUANTISED}");
        if self.constants.contains_key(name) || !self.constants.contains_key(&quantised) {
            return Ok(None);
        }
        let (shape, values) = self.quantised(&quantised, None)?;
        let [inputs, outputs] = shape[..] else { return Err(self.wrong(name, "is no matrix")) };
        Ok(Some(Weights { inputs, outputs, values: Values::Quantised(values) }))
    }

    fn matrix(&self, module: &str, weight: Option<&str>, bias: Option<&str>) -> Result<Weights, BuildError> {
        let found = weight.and_then(|weight| self.by_weight(weight));
        let found = found.or_else(|| bias.and_then(|bias| self.by_bias(bias))).or_else(|| self.by_node(module));
        let found = found.ok_or_else(|| {
            let problem = "is not found: the file may have been optimised, so that its layers are no longer apart; use a \
                           plain export, or safetensors";
            self.wrong(module, problem)
        })?;
        let is_quantised = matches!(self.constants[found.name].data_type, data_type::INT8 | data_type::UINT8);
        if is_quantised && !found.has_row_per_output {
            let (shape, values) = self.quantised(found.name, found.zero_point)?;
            let [inputs, outputs] = shape[..] else { return Err(self.wrong(found.name, "is no matrix")) };
            return Ok(Weights { inputs, outputs, values: Values::Quantised(values) });
        }
        let Array { shape, values } = self.floats(found.name)?;
        match (&shape[..], found.has_row_per_output) {
            (&[outputs, inputs], true) => Ok(Weights::float(inputs, outputs, transposed(outputs, &values))),
            (&[inputs, outputs], false) => Ok(Weights::float(inputs, outputs, values)),
            _ => Err(self.wrong(found.name, "is no matrix")),
        }
    }

    fn names(&self) -> Vec<String> {
        let plain = |name: &String| name.strip_suffix(QUANTISED).unwrap_or(name).to_owned();
        let mut names: Vec<String> = self.constants.keys().map(plain).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn files(&self) -> Vec<PathBuf> {
        let beside = self.constants.values().filter_map(|tensor| tensor.external("location"));
        let mut beside: Vec<PathBuf> = beside.filter_map(|location| file::in_folder_of(&self.file, location)).collect();
        beside.sort();
        beside.dedup();
        std::iter::once(self.file.clone()).chain(beside).collect()
    }
}

fn lengths(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|&length| length.max(0) as usize).collect()
}

/// The numbers that a shape has room for.
fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |count: usize, length| count.saturating_mul(*length))
}
