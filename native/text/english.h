// English words as FineWeb's published floors count them: punctuation marks are words, "don't" is two, "well-known" is three.
//
// White space separates chunks; from a chunk, marks are cut at both ends as long as there are any, known exceptions ("Mr.", "I'm")
// and addresses stay whole or fall into their pieces, and what is left is cut at marks between letters.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "characters.h"

namespace smolforge {

class EnglishWords {
  public:
    // Exceptions: a chunk and the lengths of its pieces.
    using Exceptions = std::unordered_map<std::u32string, std::vector<int>>;
    EnglishWords(Characters characters, Exceptions exceptions) : is_(characters), exceptions_(std::move(exceptions)) {}

    // Appends the words of `text` in order.
    void split(Span text, std::vector<Span>& out);

    // Sentences of `text`, as counted from its words: one ends behind its last closing mark.
    size_t sentences(Span text);

    const Characters& characters() const { return is_; }

  private:
    void split_chunk(Span chunk, std::vector<Span>& out);
    void split_middle(Span middle, std::vector<Span>& out) const;
    const std::vector<int>* exception(Span chunk);
    size_t prefix(Span s) const;
    size_t suffix(Span s) const;
    size_t infix(Span s, const Char* at) const;
    bool address(Span s) const;

    Characters is_;
    Exceptions exceptions_;
    std::u32string key_;
    std::vector<Span> behind_, words_;
};

}  // namespace smolforge
