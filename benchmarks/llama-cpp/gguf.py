#!/usr/bin/env python3
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.
"""Rewrites a bf16 checkpoint of DeepSeek-V3's or Kimi-K2's layout as a GGUF file for llama.cpp.

gguf.py CHECKPOINT FILE.gguf [--f32]

For checkpoints such as `moontide bench --save-model` writes: one model.safetensors, no RoPE scaling. The
weights stay bf16 (or become f32), vectors and the router become f32, and kv_b_proj becomes attn_k_b and
attn_v_b, by which llama.cpp attends in the latent space: all as its own converter has it. There is no vocabulary.
"""

import array
import json
import mmap
import struct
import sys
from pathlib import Path

ALIGNMENT = 32
F32, BF16 = 0, 30
SIGMOID = 2

ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
}


class Checkpoint:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        with open(folder / "model.safetensors", "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        (length,) = struct.unpack_from("<Q", self.data)
        self.tensors = json.loads(self.data[8 : 8 + length])
        self.start = 8 + length

    def shape(self, name):
        return self.tensors[name]["shape"]

    def bf16(self, name):
        tensor = self.tensors[name]
        if tensor["dtype"] != "BF16":
            sys.exit(f"gguf.py: {name} is {tensor['dtype']}: expected BF16")
        begin, end = tensor["data_offsets"]
        return self.data[self.start + begin : self.start + end]


def as_f32(bf16):
    f32 = bytearray(2 * len(bf16))
    f32[2::4] = bf16[0::2]
    f32[3::4] = bf16[1::2]
    return f32


def transposed(bf16, columns):
    values = array.array("H", bf16)
    return b"".join(values[column::columns].tobytes() for column in range(columns))


def split_kv_b(bf16, config):
    """Per head: keys, rows to be multiplied with the query's latent; and values, as they are."""
    rank = config["kv_lora_rank"]
    keys = config["qk_nope_head_dim"] * rank * 2
    head = keys + config["v_head_dim"] * rank * 2
    heads = [bf16[i : i + head] for i in range(0, len(bf16), head)]
    return b"".join(transposed(h[:keys], rank) for h in heads), b"".join(h[keys:] for h in heads)


def tensors(checkpoint, weight_type):
    """Yields name, type, dimensions (the innermost first) and a function that reads the bytes."""
    config = checkpoint.config

    def tensor(name, source, kind=None):
        shape = checkpoint.shape(source)
        return stacked(name, [source], shape, F32 if len(shape) == 1 else kind or weight_type)

    def stacked(name, sources, shape, kind):
        def read():
            data = b"".join(checkpoint.bf16(source) for source in sources)
            return as_f32(data) if kind == F32 else data

        return name, kind, shape[::-1], read

    def latent_attention(block, source):
        heads, rank = config["num_attention_heads"], config["kv_lora_rank"]
        for part, dimensions in enumerate(
            [(config["qk_nope_head_dim"], rank, heads), (rank, config["v_head_dim"], heads)]
        ):
            def read(part=part):
                data = split_kv_b(checkpoint.bf16(source), config)[part]
                return as_f32(data) if weight_type == F32 else data

            yield f"{block}attn_{'kv'[part]}_b.weight", weight_type, dimensions, read

    yield tensor("token_embd.weight", "model.embed_tokens.weight")
    yield tensor("output_norm.weight", "model.norm.weight")
    yield tensor("output.weight", "lm_head.weight")
    for layer in range(config["num_hidden_layers"]):
        block, source = f"blk.{layer}.", f"model.layers.{layer}."
        for name, part in ATTENTION.items():
            yield tensor(f"{block}{name}.weight", f"{source}{part}.weight")
        yield from latent_attention(block, f"{source}self_attn.kv_b_proj.weight")
        mlp = f"{source}mlp."
        if layer < config["first_k_dense_replace"]:
            for part in ("gate", "up", "down"):
                yield tensor(f"{block}ffn_{part}.weight", f"{mlp}{part}_proj.weight")
            continue
        yield tensor(f"{block}ffn_gate_inp.weight", f"{mlp}gate.weight", F32)
        yield tensor(f"{block}exp_probs_b.bias", f"{mlp}gate.e_score_correction_bias")
        for part in ("gate", "up", "down"):
            yield tensor(f"{block}ffn_{part}_shexp.weight", f"{mlp}shared_experts.{part}_proj.weight")
            experts = [
                f"{mlp}experts.{expert}.{part}_proj.weight" for expert in range(config["n_routed_experts"])
            ]
            shape = [len(experts), *checkpoint.shape(experts[0])]
            yield stacked(f"{block}ffn_{part}_exps.weight", experts, shape, weight_type)


def metadata(config):
    rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    return {
        "general.architecture": "deepseek2",
        "general.alignment": ALIGNMENT,
        "tokenizer.ggml.model": "none",
        "deepseek2.vocab_size": config["vocab_size"],
        "deepseek2.context_length": config["max_position_embeddings"],
        "deepseek2.embedding_length": config["hidden_size"],
        "deepseek2.block_count": config["num_hidden_layers"],
        "deepseek2.leading_dense_block_count": config["first_k_dense_replace"],
        "deepseek2.feed_forward_length": config["intermediate_size"],
        "deepseek2.attention.head_count": config["num_attention_heads"],
        "deepseek2.attention.head_count_kv": 1,
        "deepseek2.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "deepseek2.attention.q_lora_rank": config["q_lora_rank"],
        "deepseek2.attention.kv_lora_rank": rank,
        "deepseek2.attention.key_length": rank + rope,
        "deepseek2.attention.value_length": rank,
        "deepseek2.attention.key_length_mla": config["qk_nope_head_dim"] + rope,
        "deepseek2.attention.value_length_mla": config["v_head_dim"],
        "deepseek2.rope.dimension_count": rope,
        "deepseek2.rope.freq_base": float(config["rope_theta"]),
        "deepseek2.expert_count": config["n_routed_experts"],
        "deepseek2.expert_used_count": config["num_experts_per_tok"],
        "deepseek2.expert_shared_count": config["n_shared_experts"],
        "deepseek2.expert_feed_forward_length": config["moe_intermediate_size"],
        "deepseek2.expert_weights_scale": float(config["routed_scaling_factor"]),
        "deepseek2.expert_weights_norm": bool(config["norm_topk_prob"]),
        "deepseek2.expert_gating_func": SIGMOID,
    }


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(of):
    if isinstance(of, bool):
        return struct.pack("<I?", 7, of)
    if isinstance(of, int):
        return struct.pack("<II", 4, of)
    if isinstance(of, float):
        return struct.pack("<If", 6, of)
    return struct.pack("<I", 8) + string(of)


def size(kind, dimensions):
    elements = 4 if kind == F32 else 2
    for dimension in dimensions:
        elements *= dimension
    return elements


def padding(length):
    return bytes(-length % ALIGNMENT)


def write(checkpoint, file, weight_type):
    pairs = metadata(checkpoint.config)
    table = list(tensors(checkpoint, weight_type))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(table), len(pairs))
    header += b"".join(string(key) + value(of) for key, of in pairs.items())
    offset = 0
    for name, kind, dimensions, _ in table:
        header += string(name)
        header += struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)
        length = size(kind, dimensions)
        offset += length + len(padding(length))
    file.write(header + padding(len(header)))
    for name, kind, dimensions, read in table:
        data = read()
        if len(data) != size(kind, dimensions):
            sys.exit(f"gguf.py: {name} has {len(data)} bytes: expected {size(kind, dimensions)}")
        file.write(data)
        file.write(padding(len(data)))


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--f32"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    with open(arguments[1], "wb") as output:
        write(Checkpoint(Path(arguments[0])), output, F32 if "--f32" in sys.argv else BF16)
