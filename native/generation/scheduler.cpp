#include "generation/scheduler.h"

#include <algorithm>
#include <unordered_map>

namespace hdpo {

std::vector<Scheduler::Share> Scheduler::plan(GenerationSequences& sequences, const ActiveSequences& active,
                                              uint64_t step) {
  std::vector<Share> shares;
  bool waiting = false;  // an older request lacks memory: younger ones only take what is free
  for (const auto& entry : active) {
    if (static_cast<int64_t>(shares.size()) == maxBatchRows_) break;
    GenerationSequence& sequence = *entry.second;
    if (cache_.blocksToExtend(sequence.cache, sequence.wanted()) > cache_.freeBlocks()) {
      if (waiting || !makeRoom(entry, sequences, active)) {
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

bool Scheduler::makeRoom(const ActiveSequences::value_type& wanting, GenerationSequences& sequences,
                         const ActiveSequences& active) {
  GenerationSequence& sequence = *wanting.second;
  const auto fits = [&] {
    return cache_.blocksToExtend(sequence.cache, sequence.wanted()) <= cache_.freeBlocks();
  };
  const Victims victims = victimsOf(wanting.first, sequences, active);
  if (!victimsSuffice(sequence, victims)) return false;
  for (GenerationSequence* victim : victims) {
    if (fits()) break;
    if (!victim->cache.blocks.empty()) ++evictions_;
    // From the end: what forks share lies at the beginning.
    while (!victim->cache.blocks.empty() && !fits()) cache_.dropLastBlock(victim->cache);
  }
  return fits();
}

Scheduler::Victims Scheduler::victimsOf(SequenceId id, GenerationSequences& sequences,
                                        const ActiveSequences& active) const {
  Victims victims;
  for (auto& [other, sequence] : sequences) {
    if (!sequence.request && !sequence.cache.blocks.empty()) victims.push_back(&sequence);
  }
  std::stable_sort(
      victims.begin(), victims.end(),
      [](const GenerationSequence* a, const GenerationSequence* b) { return a->lastUse < b->lastUse; });
  for (auto younger = active.rbegin(); younger != active.rend() && younger->first > id; ++younger) {
    victims.push_back(younger->second);
  }
  return victims;
}

// Whether emptying all victims would make room. A block is freed when its last holder lets go; a shared block
// that `wanting` must copy need not be copied once nobody else holds it.
bool Scheduler::victimsSuffice(const GenerationSequence& wanting, const Victims& victims) const {
  std::unordered_map<int32_t, int32_t> held;  // by victims
  int64_t freed = 0;
  for (const GenerationSequence* victim : victims) {
    for (const int32_t block : victim->cache.blocks) freed += ++held[block] == cache_.references(block);
  }
  int64_t needed = cache_.blocksToExtend(wanting.cache, wanting.wanted());
  const size_t first = static_cast<size_t>(wanting.cache.cached / kvBlockTokens);
  if (first < wanting.cache.blocks.size()) {
    const int32_t block = wanting.cache.blocks[first], references = cache_.references(block);
    if (references > 1 && references - held[block] == 1) --needed;
  }
  return needed <= cache_.freeBlocks() + freed;
}

}  // namespace hdpo
