// Which of a list of phrases a text holds, in one pass.
#pragma once

#include <bitset>
#include <string>
#include <vector>

#include "characters.h"

namespace smolforge {

class Phrases {
  public:
    // Adds phrases of at least two characters; their numbers go on from those added before.
    void add(const std::vector<std::u32string>& phrases);
    size_t size() const { return phrases_.size(); }

    // Adds to counts[number] how often each phrase occurs, and sets first[number] to where its first occurrence ends.
    void count(Span text, std::vector<uint32_t>& counts, std::vector<size_t>& first) const;

  private:
    static constexpr size_t kBuckets = 4096;
    static size_t bucket(Char a, Char b) { return (a * 31 + b * 17) % kBuckets; }

    std::vector<std::u32string> phrases_;
    std::bitset<kBuckets> begins_;  // by the first two characters
};

}  // namespace smolforge
