"""Writes gate_tiny_sort.safetensors and gate_tiny_hash.safetensors: the gate of a small layer, inputs and outputs.

Plain Python, f64 arithmetic with a rounding to f32 where the layer has one, and no code in common with the interpreter that
the files test. Run it in this folder; the files it writes are the committed ones, byte for byte.
"""

import json
import math
import random
import struct

T, D, E, K, V, SCALE, EPS = 4, 64, 8, 2, 10, 1.5, 1e-6


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bf16_bits(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def bf16(x):
    return struct.unpack("<f", struct.pack("<I", bf16_bits(x) << 16))[0]


def gate(inputs, hashed):
    rows, out = inputs["x_mixed"], {}
    weight = inputs["norm_w"]
    active = inputs["num_tokens"]
    norm, quantised, scales, indices, weights = [], [], [], [], []
    for t, row in enumerate(rows):
        mean = f32(math.fsum(x * x for x in row) / D)
        factor = f32(1.0 / math.sqrt(f32(mean + f32(EPS))))
        y = [bf16(f32(f32(x * factor) * w)) for x, w in zip(row, weight)]
        s = f32(127.0 / max(f32(1e-4), max(map(abs, y))))
        norm.append(y)
        # Python's round is to even.
        quantised.append([round(f32(v * s)) for v in y])
        scales.append([f32(1.0 / s) if t < active else 0.0])
        score = []
        for w in inputs["gate_w"]:
            logit = f32(math.fsum(a * b for a, b in zip(y, w)))
            score.append(f32(math.sqrt(math.log1p(math.exp(logit)))))
        if hashed:
            chosen = inputs["tid2eid"][inputs["input_ids"][t]]
        else:
            biased = [f32(a + b) for a, b in zip(score, inputs["gate_bias"])]
            chosen = sorted(range(E), key=lambda e: (-biased[e], e))[:K]
        total = f32(math.fsum(score[e] for e in chosen))
        routed = [f32(f32(score[e] / total) * f32(SCALE)) for e in chosen]
        indices.append(chosen if t < active else [0] * K)
        weights.append(routed if t < active else [0.0] * K)
    out["x_norm"], out["x_norm_i8"], out["x_norm_scale"] = norm, quantised, scales
    out["indices"], out["weights"] = indices, weights
    return out


def flatten(x):
    return [z for y in x for z in flatten(y)] if isinstance(x, list) else [x]


def shape(x):
    return [len(x)] + shape(x[0]) if isinstance(x, list) else []


FORMAT = {"F32": "f", "I8": "b", "I32": "i", "I64": "q", "BF16": "H"}
TYPES = {
    "in.x_mixed": "BF16", "in.norm_w": "BF16", "in.gate_w": "F32", "in.gate_bias": "F32",
    "in.tid2eid": "I32", "in.input_ids": "I64", "in.num_tokens": "I32",
    "out.x_norm": "BF16", "out.x_norm_i8": "I8", "out.x_norm_scale": "F32",
    "out.indices": "I32", "out.weights": "F32",
}


def save(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, dtype in TYPES.items():
        flat = flatten(tensors[name])
        if dtype == "BF16":
            flat = [bf16_bits(x) for x in flat]
        start = len(data)
        data += struct.pack(f"<{len(flat)}{FORMAT[dtype]}", *flat)
        header[name] = {"dtype": dtype, "shape": shape(tensors[name]), "data_offsets": [start, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    for kind, active, seed in [("sort", 4, 1), ("hash", 3, 2)]:
        rng = random.Random(seed)
        inputs = {
            "x_mixed": [[bf16(rng.gauss(0, 1)) for _ in range(D)] for _ in range(T)],
            "norm_w": [bf16(rng.gauss(1, 0.1)) for _ in range(D)],
            "gate_w": [[f32(rng.gauss(0, 0.125)) for _ in range(D)] for _ in range(E)],
            "gate_bias": [f32(rng.gauss(0, 0.1)) for _ in range(E)],
            "tid2eid": [rng.sample(range(E), K) for _ in range(V)],
            "input_ids": [rng.randrange(V) for _ in range(T)],
            "num_tokens": active,
        }
        # One row of zeros, for the smallest amax.
        inputs["x_mixed"][1] = [0.0] * D
        out = gate(inputs, kind == "hash")
        tensors = {f"in.{k}": v for k, v in inputs.items()} | {f"out.{k}": v for k, v in out.items()}
        sizes = {"T": T, "D": D, "E": E, "V": V, "TOPK": K, "route_scale": SCALE, "eps": EPS}
        metadata = {k: str(v) for k, v in sizes.items()}
        metadata |= {"layer": "0" if kind == "hash" else "10", "n_hash_layers": "3"}
        save(f"gate_tiny_{kind}.safetensors", tensors, metadata)


main()
