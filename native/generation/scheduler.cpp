#include "generation/scheduler.h"

#include <algorithm>
#include <optional>

namespace hdpo {

namespace {

// Sequences that hold blocks without having a request, least recently used first.
std::vector<GenerationSequence*> idleHolders(GenerationSequences& sequences) {
  std::vector<GenerationSequence*> idle;
  for (auto& [id, sequence] : sequences) {
    if (!sequence.request && !sequence.cache.blocks.empty()) idle.push_back(&sequence);
  }
  std::stable_sort(idle.begin(), idle.end(), [](const GenerationSequence* a, const GenerationSequence* b) {
    return a->lastUse < b->lastUse;
  });
  return idle;
}

}  // namespace

std::vector<Scheduler::Share> Scheduler::plan(GenerationSequences& sequences, const ActiveSequences& active,
                                              uint64_t step) {
  std::vector<Share> shares;
  std::optional<Victims> idle;  // found when memory is short
  bool waiting = false;         // an older request lacks memory, so younger ones only take what is free
  for (const auto& entry : active) {
    if (static_cast<int64_t>(shares.size()) == maxBatchRows_) break;
    GenerationSequence& sequence = *entry.second;
    if (!fits(sequence)) {
      if (!idle) idle = idleHolders(sequences);
      if (waiting || !makeRoom(entry, *idle, active)) {
        waiting = true;
        continue;
      }
    }
    cache_.extend(sequence.cache, sequence.wanted());
    sequence.lastUse = step;
    shares.push_back({entry.first, &sequence, 0});
  }
  int64_t left = maxBatchRows_;
  for (Share& share : shares) {
    if (share.sequence->missing() == 1) left -= share.rows = 1;
  }
  for (Share& share : shares) {
    if (share.rows == 0) left -= share.rows = std::min(left, share.sequence->missing());
  }
  std::erase_if(shares, [](const Share& share) { return share.rows == 0; });
  return shares;
}

bool Scheduler::fits(const GenerationSequence& sequence) const {
  return cache_.blocksToExtend(sequence.cache, sequence.wanted()) <= cache_.freeBlocks();
}

bool Scheduler::makeRoom(const ActiveSequences::value_type& wanting, const Victims& idle,
                         const ActiveSequences& active) {
  const GenerationSequence& sequence = *wanting.second;
  Victims victims;
  for (GenerationSequence* holder : idle) {
    if (!holder->cache.blocks.empty()) victims.push_back(holder);
  }
  for (auto younger = active.rbegin(); younger != active.rend() && younger->first > wanting.first;
       ++younger) {
    if (!younger->second->cache.blocks.empty()) victims.push_back(younger->second);
  }
  if (!suffices(sequence, victims)) return false;
  for (GenerationSequence* victim : victims) {
    if (fits(sequence)) break;
    ++evictions_;
    // Blocks are dropped from the end, because what forks share lies at the beginning.
    while (!victim->cache.blocks.empty() && !fits(sequence)) cache_.dropLastBlock(victim->cache);
  }
  return fits(sequence);
}

// Whether emptying the victims would make room. A block is freed when its last holder lets go of it. A shared
// block that `wanting` must copy need not be copied once nobody else holds it.
bool Scheduler::suffices(const GenerationSequence& wanting, const Victims& victims) {
  const int64_t needed = cache_.blocksToExtend(wanting.cache, wanting.wanted());
  int64_t freed = cache_.freeBlocks();
  held_.assign(static_cast<size_t>(cache_.blocks()), 0);
  for (const GenerationSequence* victim : victims) {
    for (const int32_t block : victim->cache.blocks) {
      freed += ++held_[static_cast<size_t>(block)] == cache_.references(block);
    }
    if (freed >= needed) return true;
  }
  const size_t first = static_cast<size_t>(wanting.cache.cached / kvBlockTokens);
  if (first >= wanting.cache.blocks.size()) return false;
  const int32_t written = wanting.cache.blocks[first];
  const bool alone = cache_.references(written) - held_[static_cast<size_t>(written)] == 1;
  return cache_.references(written) > 1 && alone && freed >= needed - 1;
}

}  // namespace hdpo
