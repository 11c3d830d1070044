// MinHash keys straight from a text: normalised words (smolforge/corpus/text/words.py: nomination_words), their BLAKE2b hashes,
// shingles (minhash.py: shingles), minima.
#pragma once

#include <array>
#include <vector>

#include "words.h"

namespace smolforge {

constexpr Char kGone = 0xffffffff, kHard = 0xfffffffe;  // in the table of normal forms: dropped; not decided by itself

struct MinHash {
    size_t bands, rows, shingle;
};

enum class Nominated : uint8_t { kYes = 0, kEmpty = 1, kNeedsContext = 2 };

class Nominator {
  public:
    // normal[kCodePoints]: lower case, digits as 0, no diacritics.
    Nominator(Characters characters, const Char* normal) : words_(characters), normal_(normal), known_(kRemembered) {}

    // keys[bands] of a text. kEmpty: it has no words. kNeedsContext: a character whose form depends on its neighbours.
    Nominated keys(const uint8_t* text, size_t bytes, uint8_t traits, const MinHash& shape, uint64_t* keys);

    // The hashes of the normalised words themselves.
    Nominated hashes(const uint8_t* text, size_t bytes, uint8_t traits, std::vector<uint64_t>& out);

  private:
    static constexpr size_t kRemembered = 1 << 16;
    struct Known {  // a short word in UTF-8 and its hash
        std::array<uint8_t, 23> bytes;
        uint8_t size = 0;
        uint64_t hash;
    };
    bool normalize();
    uint64_t hash(Span word);

    PlainWords words_;
    const Char* normal_;
    std::vector<Known> known_;
    std::vector<Char> text_;
    std::vector<Span> spans_;
    std::vector<uint8_t> utf8_;
    std::vector<uint64_t> hashes_;
};

}  // namespace smolforge
