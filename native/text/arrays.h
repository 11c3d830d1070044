// Arrays from and to Python, and the texts in them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "characters.h"

namespace smolforge {

namespace nb = nanobind;

using CharacterTable = nb::ndarray<const uint32_t, nb::shape<kCodePoints>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

inline std::u32string wide(const std::string& text) {
    std::vector<Char> out;
    decode(reinterpret_cast<const uint8_t*>(text.data()), text.size(), out);
    return {out.begin(), out.end()};
}

inline std::vector<std::u32string> wide(const std::vector<std::string>& texts) {
    std::vector<std::u32string> out;
    for (const std::string& text : texts) out.push_back(wide(text));
    return out;
}

// How many texts there are; std::invalid_argument where the offsets lead out of the data.
inline size_t count_texts(const Bytes& data, const Offsets& offsets) {
    if (offsets.shape(0) == 0) throw std::invalid_argument("offsets: one more than there are texts is expected");
    const size_t n = offsets.shape(0) - 1;
    for (size_t i = 0; i <= n; ++i) {
        if (offsets.data()[i] < (i ? offsets.data()[i - 1] : 0) || static_cast<size_t>(offsets.data()[i]) > data.shape(0))
            throw std::invalid_argument("offsets: not ascending, or beyond the data");
    }
    return n;
}

// A NumPy array that owns `values`.
template <class Value, size_t kAxes>
nb::ndarray<nb::numpy, Value, nb::ndim<kAxes>> array_of(std::vector<Value>&& values, const size_t (&shape)[kAxes]) {
    auto kept = std::make_unique<std::vector<Value>>(std::move(values));
    nb::capsule owner(kept.get(), [](void* p) noexcept { delete static_cast<std::vector<Value>*>(p); });
    Value* data = kept.release()->data();
    return {data, kAxes, shape, owner};
}

}  // namespace smolforge
