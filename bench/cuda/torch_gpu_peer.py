#!/usr/bin/env python3
"""What a PyTorch user gets on the same GPU: a plain policy loss, scaled_dot_product_attention, a training step and
generation of a Qwen3 of transformers. Takes hdpo's ModelConfig as JSON, prints one line of JSON."""
import json, sys, time
import torch, torch.nn.functional as F

if not torch.cuda.is_available():
    sys.exit("PyTorch sees no GPU")
c = json.loads(sys.argv[1])
dev, bf16 = "cuda", torch.bfloat16
torch.manual_seed(0)


def seconds(run, calls=10):
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def plain_loss(hidden, weight, targets, old, advantages):
    logits = (hidden @ weight.T).float()
    logprobs = torch.log_softmax(logits, -1).gather(-1, targets[:, None])[:, 0]
    ratio = (logprobs - old).exp()
    loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).mean()
    loss.backward()


def measure_loss():
    n, d, v = 8192, 4096, c["vocabSize"]
    hidden = torch.randn(n, d, device=dev, dtype=bf16, requires_grad=True)
    weight = (0.02 * torch.randn(v, d, device=dev, dtype=bf16)).requires_grad_()
    targets, old = torch.randint(v, (n,), device=dev), torch.full((n,), -11.0, device=dev)
    advantages = torch.randn(n, device=dev)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    t = seconds(lambda: plain_loss(hidden, weight, targets, old, advantages), 3)
    return t, torch.cuda.max_memory_allocated() - before


def measure_attention():
    shape = lambda heads: (1, heads, 8192, c["headDim"])
    q = torch.randn(shape(c["heads"]), device=dev, dtype=bf16, requires_grad=True)
    # Keys and values are repeated once, outside of the timing: what GQA costs the peer is not counted.
    k, v = (torch.randn(shape(c["heads"]), device=dev, dtype=bf16, requires_grad=True) for _ in range(2))
    forward = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    out = forward()
    grad = torch.randn_like(out)
    return seconds(forward), seconds(lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True))


def qwen3():
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=c["vocabSize"], hidden_size=c["hiddenSize"], num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"], num_key_value_heads=c["kvHeads"], head_dim=c["headDim"],
        intermediate_size=c["intermediateSize"], tie_word_embeddings=True, attn_implementation="sdpa")
    return Qwen3ForCausalLM(config).to(dev, bf16)


def measure_training(model):
    tokens = torch.randint(c["vocabSize"], (16, 1024), device=dev)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def step():
        for rows in tokens.split(4):  # the logits of all 16k tokens at once do not fit
            logits = model(rows).logits[:, :-1].float()
            logprobs = torch.log_softmax(logits, -1).gather(-1, rows[:, 1:, None])
            (-logprobs.mean() / 4).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return tokens.numel() / seconds(step, 3)


@torch.no_grad()
def measure_generation(model, batch):
    prompt = torch.randint(c["vocabSize"], (batch, 64), device=dev)
    new = 128
    run = lambda: model.generate(prompt, max_new_tokens=new, min_new_tokens=new, do_sample=True)
    return batch * new / seconds(run, 1)


loss, loss_bytes = measure_loss()
torch.cuda.empty_cache()
forward, backward = measure_attention()
model = qwen3()
print(json.dumps({
    "plainLossSeconds": loss, "plainLossBytes": loss_bytes,
    "attentionSeconds": forward, "attentionBackwardSeconds": backward,
    "trainTokensPerSecond": measure_training(model),
    "generateTokensPerSecond1": measure_generation(model, 1),
    "generateTokensPerSecond256": measure_generation(model, 256),
}))
