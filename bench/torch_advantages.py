#!/usr/bin/env python3
"""HDPO's two advantages for a million rollouts as a PyTorch user would vectorise them (float64 sums, index_add)."""
import argparse, time, torch

p = argparse.ArgumentParser()
p.add_argument("--rollouts", type=int, default=1_000_000)
p.add_argument("--group", type=int, default=16)
p.add_argument("--threads", type=int, default=2)
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(0)
groups = (torch.arange(a.rollouts) // a.group)[torch.randperm(a.rollouts)]
correct = torch.rand(a.rollouts) < 0.6
accuracy = 0.9 * correct.double() + 0.1
calls = torch.randint(0, 5, (a.rollouts,))


def normalise(reward, member):
    count = groups.max() + 1
    kept, ids = reward[member], groups[member]
    n = torch.zeros(count, dtype=torch.float64).index_add_(0, ids, torch.ones_like(kept))
    mean = torch.zeros(count, dtype=torch.float64).index_add_(0, ids, kept) / n.clamp(min=1)
    off = kept - mean[ids]
    std = (torch.zeros(count, dtype=torch.float64).index_add_(0, ids, off * off) / (n - 1).clamp(min=1)).sqrt()
    out = torch.zeros_like(reward)
    out[member] = torch.where((std[ids] > 0) & (n[ids] > 1), off / (std[ids] + 1e-6), torch.zeros_like(off))
    return out


def both():
    efficiency = torch.where(correct, 1.0 / (calls + 1).double(), torch.zeros(a.rollouts, dtype=torch.float64))
    return normalise(accuracy, torch.ones_like(correct)), normalise(efficiency, correct)


both()
times = []
for _ in range(5):
    start = time.perf_counter()
    both()
    times.append(time.perf_counter() - start)
print(f"advantages {sorted(times)[2] * 1e3:.2f} ms")
