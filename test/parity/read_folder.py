"""Opens saved folders as transformers does, and PEFT where there is an adapter, by the names they publish; computes logprobs from what
is found there. An implementation apart from hdpo's and from reference.py's, in plain Python: no library is needed, and sums are in
float64. Refuses what those readers refuse or only warn of: missing, unexpected, misshapen tensors, an index that does not fit.

Standard input: [{"folder": ..., "adapter": ..., "tokens": [...]}, ...]; the adapter is optional. Standard output: for each, the
logprob of every token but the first.
"""

import json
import math
import struct
import sys
from operator import mul
from pathlib import Path

DTYPES = {"F32": ("f", 4), "BF16": ("H", 2)}


def require(condition, message):
    if not condition:
        raise ValueError(message)


def read_json(path):
    return json.loads(path.read_text())


def floats(dtype, data):
    letter, size = DTYPES[dtype]
    numbers = struct.unpack(f"<{len(data) // size}{letter}", data)
    if dtype == "F32":
        return list(numbers)
    # bfloat16 is the upper half of a float32.
    return list(struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}I", *(number << 16 for number in numbers))))


def read_safetensors(path):
    """By name: a list of numbers, or of rows. The checks are those of the safetensors library and of transformers' load_state_dict."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    require(header.pop("__metadata__", {}).get("format") == "pt", f'{path}: its metadata has no "format": "pt"')
    data = data[8 + length :]
    tensors, place = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        require(begin == place, f"{path}: {name} begins at {begin}, not {place}")
        place = end
        numbers, shape = floats(entry["dtype"], data[begin:end]), entry["shape"]
        require(len(numbers) == math.prod(shape), f"{path}: {name} has {len(numbers)} numbers for the shape {shape}")
        width = shape[-1]
        tensors[name] = numbers if len(shape) == 1 else [numbers[at : at + width] for at in range(0, len(numbers), width)]
    require(place == len(data), f"{path}: {len(data) - place} bytes follow the last tensor")
    return tensors


def data_bytes(path):
    data = path.read_bytes()
    return len(data) - 8 - struct.unpack_from("<Q", data)[0]


def read_weights(folder):
    """One file, or the shards of an index, whose map has to name exactly what each of them holds."""
    single = folder / "model.safetensors"
    if single.exists():
        return read_safetensors(single)
    index = read_json(folder / "model.safetensors.index.json")
    files = sorted(set(index["weight_map"].values()))
    weights, total = {}, 0
    for file in files:
        shard = read_safetensors(folder / file)
        mapped = {name for name, where in index["weight_map"].items() if where == file}
        require(set(shard) == mapped, f"{file} and the index differ in {sorted(set(shard) ^ mapped)}")
        weights.update(shard)
        total += data_bytes(folder / file)
    require(index["metadata"]["total_size"] == total, f"total_size is {index['metadata']['total_size']}, the shards have {total}")
    return weights


def sizes(config):
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    return heads, config.get("num_key_value_heads") or heads, size


def parameter_shapes(config):
    """The parameters of the class that AutoModelForCausalLM finds by "model_type", as its modules are named."""
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, kv_heads, size = sizes(config)
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "model.norm.weight": [hidden]}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes[at + "input_layernorm.weight"] = shapes[at + "post_attention_layernorm.weight"] = [hidden]
        for name, rows in {"q": heads * size, "k": kv_heads * size, "v": kv_heads * size}.items():
            shapes[f"{at}self_attn.{name}_proj.weight"] = [rows, hidden]
            if config["model_type"] == "qwen2":
                shapes[f"{at}self_attn.{name}_proj.bias"] = [rows]
        shapes[at + "self_attn.o_proj.weight"] = [hidden, heads * size]
        if config["model_type"] == "qwen3":
            shapes[at + "self_attn.q_norm.weight"] = shapes[at + "self_attn.k_norm.weight"] = [size]
        shapes[at + "mlp.gate_proj.weight"] = shapes[at + "mlp.up_proj.weight"] = [inner, hidden]
        shapes[at + "mlp.down_proj.weight"] = [hidden, inner]
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = [vocabulary, hidden]
    return shapes


def shape_of(tensor):
    return [len(tensor), len(tensor[0])] if isinstance(tensor[0], list) else [len(tensor)]


def check(tensors, shapes, what):
    differing = sorted(set(tensors) ^ set(shapes))
    require(not differing, f"{what}: missing or unexpected: {differing}")
    for name, shape in shapes.items():
        require(shape_of(tensors[name]) == shape, f"{what}: {name} has the shape {shape_of(tensors[name])}, not {shape}")


def add_adapter(weights, adapter):
    """LoRA as PEFT adds it: to every linear layer whose name ends in a target module, W + scale * B A."""
    config = read_json(adapter / "adapter_config.json")
    require(config["peft_type"] == "LORA" and config["task_type"] == "CAUSAL_LM", f"{adapter}: not LoRA of a causal model")
    require(config["bias"] == "none" and not config["use_dora"] and not config["fan_in_fan_out"], f"{adapter}: more than LoRA")
    rank, alpha = config["r"], config["lora_alpha"]
    scale = alpha / math.sqrt(rank) if config["use_rslora"] else alpha / rank
    tensors = read_safetensors(adapter / "adapter_model.safetensors")
    modules = [name.removesuffix(".weight") for name, tensor in weights.items() if len(shape_of(tensor)) == 2]
    targets = [name for name in modules if name.split(".")[-1] in config["target_modules"]]
    shapes = {}
    for module in targets:
        outputs, inputs = shape_of(weights[module + ".weight"])
        shapes[f"base_model.model.{module}.lora_A.weight"] = [rank, inputs]
        shapes[f"base_model.model.{module}.lora_B.weight"] = [outputs, rank]
    check(tensors, shapes, str(adapter))
    for module in targets:
        a = tensors[f"base_model.model.{module}.lora_A.weight"]
        b = tensors[f"base_model.model.{module}.lora_B.weight"]
        columns = list(zip(*a))
        weights[module + ".weight"] = [
            [value + scale * sum(map(mul, row, column)) for value, column in zip(old, columns)]
            for old, row in zip(weights[module + ".weight"], b)
        ]


def linear(rows, x):
    return [sum(map(mul, row, x)) for row in rows]


def plus(x, y):
    return [a + b for a, b in zip(x, y)]


def rms_norm(x, weight, epsilon):
    scale = 1 / math.sqrt(sum(map(mul, x, x)) / len(x) + epsilon)
    return [value * scale * factor for value, factor in zip(x, weight)]


def inverse_frequencies(config, size):
    """transformers 5 reads "rope_scaling", else "rope_parameters", and a theta in it before the one beside it."""
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    frequencies = [theta ** (-2 * at / size) for at in range(size // 2)]
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return frequencies
    require(kind == "llama3", f"rope type {kind}")
    low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]

    def scaled(frequency):
        rotations = original * frequency / (2 * math.pi)
        kept = min(max((rotations - low) / (high - low), 0), 1)
        return frequency * (kept + (1 - kept) / rope["factor"])

    return [scaled(frequency) for frequency in frequencies]


def rotate(x, position, frequencies):
    half = len(frequencies)
    turned = [0.0] * len(x)
    for at, frequency in enumerate(frequencies):
        cos, sin = math.cos(position * frequency), math.sin(position * frequency)
        turned[at] = x[at] * cos - x[at + half] * sin
        turned[at + half] = x[at + half] * cos + x[at] * sin
    return turned


def softmax(scores):
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


class Layer:
    """With the keys and values of the positions before; run on one position after the other."""

    def __init__(self, config, weights, index):
        self.config, self.weights, self.at = config, weights, f"model.layers.{index}."
        self.frequencies = inverse_frequencies(config, sizes(config)[2])
        self.keys, self.values = [], []

    def get(self, name):
        return self.weights.get(self.at + name)

    def project(self, name, x, position=None):
        """Rows of heads; rotated where there is a position."""
        size = sizes(self.config)[2]
        y = linear(self.get(f"self_attn.{name}_proj.weight"), x)
        bias, norm = self.get(f"self_attn.{name}_proj.bias"), self.get(f"self_attn.{name}_norm.weight")
        y = plus(y, bias) if bias else y
        heads = [y[begin : begin + size] for begin in range(0, len(y), size)]
        if norm:
            heads = [rms_norm(head, norm, self.config["rms_norm_eps"]) for head in heads]
        return heads if position is None else [rotate(head, position, self.frequencies) for head in heads]

    def attend(self, x):
        heads, kv_heads, size = sizes(self.config)
        position = len(self.keys)
        self.keys.append(self.project("k", x, position))
        self.values.append(self.project("v", x))
        mixed = []
        for head, query in enumerate(self.project("q", x, position)):
            group = head * kv_heads // heads
            shares = softmax([sum(map(mul, query, keys[group])) / math.sqrt(size) for keys in self.keys])
            mixed += [sum(share * values[group][at] for share, values in zip(shares, self.values)) for at in range(size)]
        return linear(self.get("self_attn.o_proj.weight"), mixed)

    def run(self, x):
        epsilon = self.config["rms_norm_eps"]
        x = plus(x, self.attend(rms_norm(x, self.get("input_layernorm.weight"), epsilon)))
        h = rms_norm(x, self.get("post_attention_layernorm.weight"), epsilon)
        gate, up = linear(self.get("mlp.gate_proj.weight"), h), linear(self.get("mlp.up_proj.weight"), h)
        inner = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]
        return plus(x, linear(self.get("mlp.down_proj.weight"), inner))


def logprobs(config, weights, tokens):
    layers = [Layer(config, weights, index) for index in range(config["num_hidden_layers"])]
    head = weights["model.embed_tokens.weight" if config.get("tie_word_embeddings", False) else "lm_head.weight"]
    result = []
    for token, following in zip(tokens, tokens[1:]):
        x = weights["model.embed_tokens.weight"][token]
        for layer in layers:
            x = layer.run(x)
        logits = linear(head, rms_norm(x, weights["model.norm.weight"], config["rms_norm_eps"]))
        largest = max(logits)
        result.append(logits[following] - largest - math.log(sum(math.exp(logit - largest) for logit in logits)))
    return result


def run(job):
    folder = Path(job["folder"])
    config, weights = read_json(folder / "config.json"), read_weights(folder)
    check(weights, parameter_shapes(config), str(folder))
    if "adapter" in job:
        add_adapter(weights, Path(job["adapter"]))
    return logprobs(config, weights, job["tokens"])


json.dump([run(job) for job in json.load(sys.stdin)], sys.stdout)
