"""BERT as an ONNX file, written byte by byte from safetensors weights: what Chroma downloads, where nothing can be downloaded.

The file has the inputs and the output of Chroma's own, and needs neither the package `onnx` nor an exporter that may export something else.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

FLOAT, INT64 = 1, 7


def write_bert(weights: Path, folder: Path) -> Path:
    """Write `model.onnx` and `tokenizer.json` of the model in `weights` into `folder`."""
    config = json.loads((weights / "config.json").read_text())
    graph = _Graph({name.removeprefix("bert."): value for name, value in load_file(weights / "model.safetensors").items()})
    _bert(graph, layers=config["num_hidden_layers"], heads=config["num_attention_heads"], width=config["hidden_size"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph.model())
    (folder / "tokenizer.json").write_bytes((weights / "tokenizer.json").read_bytes())
    return folder


def _bert(g, *, layers, heads, width):
    words = g.op("Gather", g.weight("embeddings.word_embeddings.weight"), "input_ids")
    kinds = g.op("Gather", g.weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
    length = g.op("Gather", g.op("Shape", "input_ids"), g.constant(np.array(1)))
    places = g.op("Range", g.constant(np.array(0)), length, g.constant(np.array(1)))
    spots = g.op("Gather", g.weight("embeddings.position_embeddings.weight"), places)
    x = _norm(g, g.op("Add", g.op("Add", words, kinds), spots), "embeddings.LayerNorm")
    mask = g.op("Unsqueeze", g.op("Cast", "attention_mask", to=FLOAT), g.constant(np.array([1, 2])))
    away = g.op("Mul", g.op("Sub", g.number(1.0), mask), g.number(-1e9))
    for n in range(layers):
        x = _layer(g, x, away, f"encoder.layer.{n}", (heads, width // heads))
    g.op("Identity", x, output="last_hidden_state")


def _layer(g, x, away, name, shape):
    split = g.constant(np.array([0, 0, *shape]))

    def parted(part, order):
        return g.op("Transpose", g.op("Reshape", _linear(g, x, f"{name}.attention.self.{part}"), split), perm=order)

    scores = g.op("MatMul", parted("query", [0, 2, 1, 3]), parted("key", [0, 2, 3, 1]))
    scores = g.op("Add", g.op("Mul", scores, g.number(shape[1] ** -0.5)), away)
    seen = g.op("MatMul", g.op("Softmax", scores, axis=-1), parted("value", [0, 2, 1, 3]))
    seen = g.op("Reshape", g.op("Transpose", seen, perm=[0, 2, 1, 3]), g.constant(np.array([0, 0, shape[0] * shape[1]])))
    x = _norm(g, g.op("Add", _linear(g, seen, f"{name}.attention.output.dense"), x), f"{name}.attention.output.LayerNorm")
    wide = _linear(g, x, f"{name}.intermediate.dense")
    error = g.op("Add", g.op("Erf", g.op("Div", wide, g.number(2**0.5))), g.number(1.0))
    wide = g.op("Mul", g.op("Mul", wide, error), g.number(0.5))
    return _norm(g, g.op("Add", _linear(g, wide, f"{name}.output.dense"), x), f"{name}.output.LayerNorm")


def _linear(g, x, name):
    kernel = g.constant(np.ascontiguousarray(g.weights[f"{name}.weight"].T))
    return g.op("Add", g.op("MatMul", x, kernel), g.weight(f"{name}.bias"))


def _norm(g, x, name):
    return g.op("LayerNormalization", x, g.weight(f"{name}.weight"), g.weight(f"{name}.bias"), axis=-1, epsilon=1e-12)


class _Graph:
    """Collects nodes and constants, and writes them as the ONNX format has it (onnx.proto3; the numbers are its field numbers)."""

    def __init__(self, weights):
        self.weights = weights
        self.parts = []
        self.count = 0

    def op(self, kind, *inputs, output=None, **attributes):
        output = output or self._name()
        fields = [_bytes(1, name.encode()) for name in inputs] + [_bytes(2, output.encode()), _bytes(4, kind.encode())]
        self.parts.append(_bytes(1, b"".join(fields + [_bytes(5, _attribute(k, v)) for k, v in attributes.items()])))
        return output

    def weight(self, name):
        return self.constant(self.weights[name])

    def number(self, value):
        return self.constant(np.array(value, np.float32))

    def constant(self, array):
        name, kind = self._name(), INT64 if array.dtype.kind == "i" else FLOAT
        raw = array.astype("<i8" if kind == INT64 else "<f4").tobytes()
        dims = b"".join(_int(1, size) for size in array.shape)
        self.parts.append(_bytes(5, dims + _int(2, kind) + _bytes(8, name.encode()) + _bytes(9, raw)))
        return name

    def model(self):
        inputs = [_bytes(11, _value(name, INT64, 2)) for name in ("input_ids", "attention_mask", "token_type_ids")]
        graph = b"".join([*self.parts, _bytes(2, b"bert"), *inputs, _bytes(12, _value("last_hidden_state", FLOAT, 3))])
        return _int(1, 8) + _bytes(7, graph) + _bytes(8, _int(2, 17))

    def _name(self):
        self.count += 1
        return f"n{self.count}"


def _attribute(name, value):
    if isinstance(value, float):
        return _bytes(1, name.encode()) + b"\x15" + np.array(value, "<f4").tobytes() + _int(20, 1)
    if isinstance(value, int):
        return _bytes(1, name.encode()) + _int(3, value) + _int(20, 2)
    return _bytes(1, name.encode()) + b"".join(_int(8, number) for number in value) + _int(20, 7)


def _value(name, kind, rank):
    shape = b"".join(_bytes(1, _bytes(2, f"{name}_{n}".encode())) for n in range(rank))
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, kind) + _bytes(2, shape)))


def _int(field, value):
    return _varint(field << 3) + _varint(value & (2**64 - 1))


def _bytes(field, value):
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
