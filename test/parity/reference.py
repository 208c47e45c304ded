"""Plain PyTorch models of every supported architecture, written from their papers and config.json files alone, without transformers.
Writes, for a small random instance of each, fixtures/<name>/: config.json, model.safetensors, and expected.json with logits and
losses, and gradients.safetensors. test/parity/parity.test.ts compares. PyTorch 1.13 on CPU, float64 throughout, written in float32:
    /usr/bin/python3 test/parity/reference.py
"""

import json
import math
import struct
from pathlib import Path

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
here = Path(__file__).parent

small = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 48,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
llama3_scaling = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    # Small, so that of the four frequencies of a head some are kept, some divided and some between the two.
    "original_max_position_embeddings": 64,
}
instances = {
    "qwen2": {**small, "model_type": "qwen2", "rope_theta": 1000000.0, "head_dim": None, "num_attention_heads": 2, "num_key_value_heads": 1},
    "qwen3": {**small, "model_type": "qwen3", "rope_theta": 1000000.0, "tie_word_embeddings": True},
    "llama2": {**small, "model_type": "llama", "rms_norm_eps": 1e-5, "num_key_value_heads": 4, "head_dim": 4},
    "llama3.1": {**small, "model_type": "llama", "rope_theta": 500.0, "rope_scaling": llama3_scaling},
    "smollm2": {**small, "model_type": "llama", "rope_theta": 100000.0, "tie_word_embeddings": True, "rms_norm_eps": 1e-5},
    "mistral": {**small, "model_type": "mistral", "rms_norm_eps": 1e-5, "sliding_window": None},
}


def parameter_shapes(config):
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["head_dim"] or hidden // heads
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for name, rows in [("q", heads * size), ("k", kv_heads * size), ("v", kv_heads * size)]:
            shapes[f"{at}self_attn.{name}_proj.weight"] = (rows, hidden)
            if config["model_type"] == "qwen2":
                shapes[f"{at}self_attn.{name}_proj.bias"] = (rows,)
        shapes[f"{at}self_attn.o_proj.weight"] = (hidden, heads * size)
        if config["model_type"] == "qwen3":
            shapes[f"{at}self_attn.q_norm.weight"] = (size,)
            shapes[f"{at}self_attn.k_norm.weight"] = (size,)
        shapes[f"{at}mlp.gate_proj.weight"] = (inner, hidden)
        shapes[f"{at}mlp.up_proj.weight"] = (inner, hidden)
        shapes[f"{at}mlp.down_proj.weight"] = (hidden, inner)
        shapes[f"{at}input_layernorm.weight"] = (hidden,)
        shapes[f"{at}post_attention_layernorm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return shapes


def random_parameters(config, seed):
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        value = torch.randn(shape, generator=generator) * (0.3 if len(shape) == 1 else 0.25)
        if name.endswith("norm.weight"):
            value += 1
        # What a float32 file holds, so that both sides start from the same numbers.
        parameters[name] = value.float().double().requires_grad_()
    return parameters


def rms_norm(x, weight, epsilon):
    return x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


def inverse_frequencies(config, size):
    frequencies = config["rope_theta"] ** (-torch.arange(0, size, 2).double() / size)
    scaling = config.get("rope_scaling")
    if scaling is None:
        return frequencies
    # Llama 3.1: long wavelengths are stretched, short ones kept, those between interpolated.
    wavelengths = 2 * math.pi / frequencies
    low, high, original = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["original_max_position_embeddings"]
    share = ((original / wavelengths - low) / (high - low)).clamp(0, 1)
    return frequencies / scaling["factor"] * (1 - share) + frequencies * share


def rotate(x, frequencies):
    """x [tokens, heads, size]; the halves of a head are the two coordinates of its rotations."""
    angles = torch.arange(x.shape[0]).double()[:, None] * frequencies
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def attention(config, weights, at, x):
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["head_dim"] or config["hidden_size"] // heads
    tokens = x.shape[0]

    def project(name, count):
        bias = weights.get(f"{at}{name}_proj.bias")
        return F.linear(x, weights[f"{at}{name}_proj.weight"], bias).view(tokens, count, size)

    q, k, v = project("q", heads), project("k", kv_heads), project("v", kv_heads)
    if f"{at}q_norm.weight" in weights:
        q = rms_norm(q, weights[f"{at}q_norm.weight"], config["rms_norm_eps"])
        k = rms_norm(k, weights[f"{at}k_norm.weight"], config["rms_norm_eps"])
    frequencies = inverse_frequencies(config, size)
    q, k = rotate(q, frequencies), rotate(k, frequencies)
    k, v = (part.repeat_interleave(heads // kv_heads, 1) for part in (k, v))
    scores = torch.einsum("qhe,khe->hqk", q, k) / math.sqrt(size)
    scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -math.inf)
    mixed = torch.einsum("hqk,khe->qhe", scores.softmax(-1), v).reshape(tokens, heads * size)
    return mixed @ weights[f"{at}o_proj.weight"].T


def logits_of(config, weights, tokens):
    epsilon = config["rms_norm_eps"]
    x = weights["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        x = x + attention(config, weights, at + "self_attn.", rms_norm(x, weights[at + "input_layernorm.weight"], epsilon))
        h = rms_norm(x, weights[at + "post_attention_layernorm.weight"], epsilon)
        gated = F.silu(h @ weights[at + "mlp.gate_proj.weight"].T) * (h @ weights[at + "mlp.up_proj.weight"].T)
        x = x + gated @ weights[at + "mlp.down_proj.weight"].T
    head = weights["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return rms_norm(x, weights["model.norm.weight"], epsilon) @ head.T


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_instance(name, config, seed):
    folder = here / "fixtures" / name
    folder.mkdir(parents=True, exist_ok=True)
    weights = random_parameters(config, seed)
    generator = torch.Generator().manual_seed(seed + 100)
    # Two sequences; the loss is the mean negative logprob of every token but the first of each.
    sequences = [torch.randint(config["vocab_size"], (length,), generator=generator) for length in (40, 23)]
    rows = [logits_of(config, weights, tokens).log_softmax(-1) for tokens in sequences]
    terms = [row[:-1].gather(1, tokens[1:, None])[:, 0] for row, tokens in zip(rows, sequences)]
    loss = -torch.cat(terms).mean()
    loss.backward()
    write_safetensors(folder / "model.safetensors", weights)
    write_safetensors(folder / "gradients.safetensors", {key: value.grad for key, value in weights.items()})
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    expected = {
        "tokens": [tokens.tolist() for tokens in sequences],
        "logprobs": [[round(value, 7) for value in term.tolist()] for term in terms],
        # Of the last position of the first sequence: logits up to the constant that a softmax does not see.
        "lastRow": [round(value, 7) for value in rows[0][-1].tolist()],
        "loss": loss.item(),
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


for seed, (name, config) in enumerate(instances.items()):
    write_instance(name, config, seed)
