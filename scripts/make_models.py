#!/usr/bin/env python3
"""Makes the models that `make bench` measures: the shapes of public rerankers, with random weights that are the same for
each run. They know nothing about relevance, and cost as much time as their originals. Never committed.

    make_models.py [NAME…] [--folder FOLDER]

- `xsmall`, `base`: DeBERTa-v2 as in mixedbread-ai/mxbai-rerank-xsmall-v1 and -base-v1, fp32 and int8;
- `minilm`: BERT as in cross-encoder/ms-marco-MiniLM-L-6-v2, int8 only.

The public tokenizers cannot be had here. All three use that of the bundled all-MiniLM-L6-v2, whose ids lie inside every
table of embeddings and which cuts English into about as many tokens as theirs do; that of the bundled tiny-deberta-v2
would make passages twice as long. What is there and up to date is left alone. Runs in an environment of its own,
target/bench/venv, which it makes: torch needs several GB there, and the Python package index."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
OUTPUT = REPOSITORY / "target" / "bench"
ENVIRONMENT = OUTPUT / "venv"
REQUIREMENTS = Path(__file__).with_name("requirements-models.txt")
SHARED = REPOSITORY / "scripts" / "fixtures"
TOKENIZER = REPOSITORY / "fixtures" / "models" / "all-MiniLM-L6-v2" / "tokenizer.json"

# What the public config.json says that decides how long a pair takes.
DEBERTA = {
    "hidden_act": "gelu", "layer_norm_eps": 1e-7, "max_position_embeddings": 512, "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm", "num_hidden_layers": 12, "pad_token_id": 0, "pooler_dropout": 0,
    "pooler_hidden_act": "gelu", "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "position_buckets": 256,
    "relative_attention": True, "share_att_key": True, "type_vocab_size": 0, "vocab_size": 128_100,
}  # fmt: skip
SHAPES = {
    "xsmall": {
        **DEBERTA, "hidden_size": 384, "pooler_hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6,
    },
    "base": {
        **DEBERTA, "hidden_size": 768, "pooler_hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
    },
    "minilm": {
        "hidden_act": "gelu", "hidden_size": 384, "intermediate_size": 1536, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
        "type_vocab_size": 2, "vocab_size": 30_522,
    },
}  # fmt: skip
INT8_ONLY = {"minilm"}


def recipe() -> str:
    """What the models are made from; a model of another recipe is made again."""
    files = (Path(__file__), SHARED / "export.py", REQUIREMENTS, TOKENIZER)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_made(folder: Path) -> bool:
    stamp = folder / ".recipe"
    return stamp.is_file() and stamp.read_text() == recipe()


def make_environment() -> Path:
    """The Python of an environment with torch in it, which is made where it is missing."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".requirements"
    if stamp.is_file() and stamp.read_text() == REQUIREMENTS.read_text():
        return python
    print(f"installing torch and transformers into {ENVIRONMENT} (several GB, once)", file=sys.stderr)
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"]
    if subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=False).returncode != 0:
        raise SystemExit(
            "error: torch and transformers cannot be installed (pip says why, above). Making the models needs the Python "
            "package index, some GB of disk and a Python that torch has wheels for (3.11 to 3.13)."
        )
    stamp.write_text(REQUIREMENTS.read_text())
    return python


def narrow(model: "torch.nn.Module") -> None:
    """Makes queries and keys as much smaller as twelve layers need. Those of the tiny models are so large that each layer
    multiplies a difference: after twelve, the rounding of a float is worth a whole logit, and no two graphs of one model
    agree."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("query_proj.weight", "key_proj.weight")):
                parameter.mul_(0.15)


def make(name: str, folder: Path) -> None:
    """Makes one model; `folder` is there afterwards or not at all."""
    sys.path.insert(0, str(SHARED))
    import export
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        DebertaV2Config,
        DebertaV2ForSequenceClassification,
    )

    is_bert = name == "minilm"
    shape = {**SHAPES[name], "num_labels": 1, "attn_implementation": "eager"}
    if is_bert:
        model, wrapper = BertForSequenceClassification(BertConfig(**shape)), export.Bert
    else:
        model, wrapper = DebertaV2ForSequenceClassification(DebertaV2Config(**shape)), export.Deberta
    model.eval()
    export.draw_weights(model)
    narrow(model)

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    architecture = type(model).__name__
    kind = {"architectures": [architecture], "model_type": model.config.model_type, "id2label": {"0": "LABEL_0"}}
    export.write_json(partial / "config.json", {**kind, **SHAPES[name]})
    export.write_json(partial / "tokenizer_config.json", {"model_max_length": 512})
    shutil.copyfile(TOKENIZER, partial / "tokenizer.json")
    inputs = export.sample_inputs(2, 17)
    if not is_bert:
        del inputs["token_type_ids"]  # type_vocab_size is 0: the model has no use for them
    fp32, int8 = partial / "onnx" / "model.onnx", partial / "onnx" / "model_quantized.onnx"
    export.export(wrapper(model, "logits"), inputs, "logits", {0: "batch_size"}, fp32)
    export.quantise(fp32, int8)
    if name in INT8_ONLY:
        fp32.unlink()
    (partial / ".recipe").write_text(recipe())
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(SHAPES)}; all by default")
    parser.add_argument("--folder", type=Path, default=OUTPUT / "models")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SHAPES):
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    missing = [name for name in arguments.names or SHAPES if not is_made(arguments.folder / name)]
    if not missing:
        return 0
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        again = [str(make_environment()), __file__, *missing, "--folder", str(arguments.folder)]
        return subprocess.run(again, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False).returncode
    for name in missing:
        print(f"making {arguments.folder / name}", file=sys.stderr)
        make(name, arguments.folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
