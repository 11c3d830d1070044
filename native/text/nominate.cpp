#include "nominate.h"

#include <algorithm>
#include <cstring>

#include "blake2b.h"
#include "minhash.h"
#include "repeats.h"

namespace smolforge {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

}  // namespace

bool Nominator::normalize() {
    Char* out = text_.data();
    for (const Char c : text_) {
        const Char form = normal_[c];
        if (form == kHard) return false;
        *out = form;
        out += form != kGone;
    }
    text_.resize(static_cast<size_t>(out - text_.data()));
    return true;
}

uint64_t Nominator::hash(Span word) {
    encode(word, utf8_);
    if (utf8_.size() > sizeof(Known::bytes)) return blake2b_64(utf8_.data(), utf8_.size());
    Known& known = known_[hash_of(word) & (kRemembered - 1)];
    if (known.size != utf8_.size() || std::memcmp(known.bytes.data(), utf8_.data(), utf8_.size()) != 0) {
        std::copy(utf8_.begin(), utf8_.end(), known.bytes.begin());
        known.size = static_cast<uint8_t>(utf8_.size());
        known.hash = blake2b_64(utf8_.data(), utf8_.size());
    }
    return known.hash;
}

Nominated Nominator::hashes(const uint8_t* text, size_t bytes, uint8_t traits, std::vector<uint64_t>& out) {
    out.clear();
    decode(text, bytes, text_);
    if (!normalize()) return Nominated::kNeedsContext;
    words_.split({text_.data(), text_.data() + text_.size()}, traits, spans_);
    for (const Span word : spans_) out.push_back(hash(word));
    return out.empty() ? Nominated::kEmpty : Nominated::kYes;
}

Nominated Nominator::keys(const uint8_t* text, size_t bytes, uint8_t traits, const MinHash& shape, uint64_t* keys) {
    const Nominated found = hashes(text, bytes, traits, hashes_);
    if (found != Nominated::kYes) return found;
    const size_t n = std::min(shape.shingle, hashes_.size()), count = hashes_.size() - n + 1;
    for (size_t i = 0; i < count; ++i) {  // in place: shingle i needs the words from i on
        uint64_t state = 0;
        for (size_t k = 0; k < n; ++k) state = mix(state + hashes_[i + k] + kGolden);
        hashes_[i] = state;
    }
    band_keys(hashes_.data(), count, shape.bands, shape.rows, keys);
    return found;
}

}  // namespace smolforge
