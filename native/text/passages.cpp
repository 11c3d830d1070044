#include "passages.h"

#include <algorithm>

#include "repeats.h"

namespace smolforge {
namespace {

constexpr uint8_t kBetween = 0xff;  // no byte of UTF-8

// Sorts suffixes by induction from those that are known. A suffix is S where it is smaller than the next one, L where it is larger;
// "leftmost S" ones stand behind an L.
template <class Value>
class Induction {
  public:
    Induction(const Value* text, int32_t size, int32_t most) : text_(text), size_(size), smaller_(size), starts_(static_cast<size_t>(most) + 2) {
        for (int32_t i = size - 2; i >= 0; --i) smaller_[i] = text[i] < text[i + 1] || (text[i] == text[i + 1] && smaller_[i + 1]);
        for (int32_t i = 0; i < size; ++i) ++starts_[text[i] + 1];
        for (size_t c = 1; c < starts_.size(); ++c) starts_[c] += starts_[c - 1];
    }

    bool is_leftmost(int32_t i) const { return i > 0 && smaller_[i] && !smaller_[i - 1]; }

    // All suffixes, in order if `leftmost` are.
    void sort(const std::vector<int32_t>& leftmost, std::vector<int32_t>& order) const {
        order.assign(size_, -1);
        std::vector<int32_t> at(starts_.begin() + 1, starts_.end());  // ends of the buckets
        for (size_t i = leftmost.size(); i-- > 0;) order[--at[text_[leftmost[i]]]] = leftmost[i];
        at.assign(starts_.begin(), starts_.end() - 1);
        order[at[text_[size_ - 1]]++] = size_ - 1;  // the end of the text is smaller than any value
        for (int32_t i = 0; i < size_; ++i) {
            const int32_t before = order[i] - 1;
            if (before >= 0 && !smaller_[before]) order[at[text_[before]]++] = before;
        }
        at.assign(starts_.begin() + 1, starts_.end());
        for (int32_t i = size_ - 1; i >= 0; --i) {
            const int32_t before = order[i] - 1;
            if (before >= 0 && smaller_[before]) order[--at[text_[before]]] = before;
        }
    }

  private:
    const Value* text_;
    int32_t size_;
    std::vector<bool> smaller_;
    std::vector<int32_t> starts_;  // of the bucket of each value
};

}  // namespace

template <class Value>
std::vector<int32_t> suffix_array(const Value* text, int32_t size, int32_t most) {
    std::vector<int32_t> order;
    if (size == 0) return order;
    const Induction<Value> induction(text, size, most);
    std::vector<int32_t> leftmost;
    for (int32_t i = 1; i < size; ++i)
        if (induction.is_leftmost(i)) leftmost.push_back(i);
    if (leftmost.empty()) {
        induction.sort(leftmost, order);
        return order;
    }
    // Sorted by the text up to the next leftmost one, they get names: equal pieces, equal names.
    induction.sort(leftmost, order);
    const int32_t count = static_cast<int32_t>(leftmost.size());
    std::vector<int32_t> name(static_cast<size_t>(size) / 2 + 1, -1);  // of a place, halved: two leftmost ones are never neighbours
    std::vector<int32_t> ends(name.size());
    for (int32_t i = 0; i < count; ++i) ends[leftmost[i] / 2] = i + 1 < count ? leftmost[i + 1] + 1 : size;
    int32_t names = 0, previous = -1;
    for (const int32_t place : order) {
        if (!induction.is_leftmost(place)) continue;
        if (previous >= 0) {
            const int32_t length = ends[place / 2] - place, other = ends[previous / 2] - previous;
            const bool at_end = ends[place / 2] == size || ends[previous / 2] == size;
            if (length != other || at_end || !std::equal(text + place, text + place + length, text + previous)) ++names;
        }
        name[place / 2] = names;
        previous = place;
    }
    if (names + 1 < count) {  // not all are different: their order is that of the suffixes of their names
        std::vector<int32_t> reduced(count);
        for (int32_t i = 0; i < count; ++i) reduced[i] = name[leftmost[i] / 2];
        const std::vector<int32_t> ranked = suffix_array(reduced.data(), count, names);
        std::vector<int32_t> sorted(count);
        for (int32_t i = 0; i < count; ++i) sorted[i] = leftmost[ranked[i]];
        leftmost = std::move(sorted);
    } else {
        std::vector<int32_t> sorted(count);
        for (const int32_t place : leftmost) sorted[name[place / 2]] = place;
        leftmost = std::move(sorted);
    }
    induction.sort(leftmost, order);
    return order;
}

template std::vector<int32_t> suffix_array(const uint8_t*, int32_t, int32_t);
template std::vector<int32_t> suffix_array(const int32_t*, int32_t, int32_t);

namespace {

// How many bytes each suffix has in common with the one before it in order, up to the end of its text (the permuted array of
// Karkkainen, Manzini and Puglisi 2009, by place).
std::vector<int32_t> common_with_previous(const std::vector<uint8_t>& text, const std::vector<int32_t>& order) {
    std::vector<int32_t> common(text.size(), -1);
    for (size_t i = 1; i < order.size(); ++i) common[order[i]] = order[i - 1];
    size_t length = 0;
    for (size_t place = 0; place < text.size(); ++place) {
        const int32_t other = common[place];
        if (other < 0) {
            length = 0;
        } else {
            const size_t most = text.size() - std::max<size_t>(place, static_cast<size_t>(other));
            while (length < most && text[place + length] == text[other + length] && text[place + length] != kBetween) ++length;
        }
        common[place] = static_cast<int32_t>(length);
        if (length > 0) --length;
    }
    return common;
}

}  // namespace

std::vector<Passage> repeated_passages(const uint8_t* data, const int64_t* offsets, size_t n, size_t least) {
    std::vector<uint8_t> text;
    std::vector<int64_t> starts;
    text.reserve(static_cast<size_t>(offsets[n] - offsets[0]) + n);
    for (size_t i = 0; i < n; ++i) {
        starts.push_back(static_cast<int64_t>(text.size()));
        text.insert(text.end(), data + offsets[i], data + offsets[i + 1]);
        text.push_back(kBetween);
    }
    const std::vector<int32_t> order = suffix_array(text.data(), static_cast<int32_t>(text.size()), 255);
    const std::vector<int32_t> common = common_with_previous(text, order);
    const auto text_of = [&](int32_t place) { return std::upper_bound(starts.begin(), starts.end(), place) - starts.begin() - 1; };
    std::vector<bool> repeats(text.size());  // `least` bytes from here on stand in an earlier text
    for (size_t begin = 0; begin < order.size();) {
        size_t end = begin + 1;
        while (end < order.size() && static_cast<size_t>(common[order[end]]) >= least) ++end;
        if (end - begin > 1) {
            const auto first = text_of(*std::min_element(order.begin() + begin, order.begin() + end));
            for (size_t i = begin; i < end; ++i) repeats[order[i]] = text_of(order[i]) != first;
        }
        begin = end;
    }
    std::vector<Passage> passages;
    for (size_t i = 0; i < n; ++i) {
        const size_t size = static_cast<size_t>(offsets[i + 1] - offsets[i]), kept = passages.size();
        for (size_t at = 0; at + least <= size; ++at) {
            if (!repeats[starts[i] + at]) continue;
            const int64_t begin = static_cast<int64_t>(at), end = static_cast<int64_t>(at + least);
            if (passages.size() > kept && passages.back().end >= begin) passages.back().end = end;
            else passages.push_back({static_cast<int64_t>(i), begin, end});
        }
    }
    return passages;
}

void passage_keys(const uint8_t* data, size_t size, size_t gram, size_t window, std::vector<uint64_t>& keys) {
    constexpr uint64_t kBase = 0x9e3779b97f4a7c15ULL;
    if (size + 1 < gram + window) return;
    uint64_t rolling = 0, leaving = 1;
    for (size_t i = 0; i < gram; ++i) {
        rolling = rolling * kBase + data[i] + 1;
        leaving *= kBase;
    }
    struct Sampled {
        uint64_t hash;
        size_t place;
    };
    std::vector<Sampled> queue;  // ascending hashes of the window, the smallest at `head`
    size_t head = 0, taken = SIZE_MAX;
    const size_t places = size - gram + 1;
    for (size_t place = 0; place < places; ++place) {
        const uint64_t hash = mix(rolling);
        while (queue.size() > head && queue.back().hash >= hash) queue.pop_back();
        queue.push_back({hash, place});
        if (queue[head].place + window <= place) ++head;
        if (place + 1 >= window && queue[head].place != taken) {
            taken = queue[head].place;
            keys.push_back(queue[head].hash);
        }
        if (head > 4096) {
            queue.erase(queue.begin(), queue.begin() + static_cast<ptrdiff_t>(head));
            head = 0;
        }
        if (place + 1 < places) rolling = rolling * kBase + data[place + gram] + 1 - leaving * (data[place] + 1ULL);
    }
}

}  // namespace smolforge
