// suffix_array, repeated_passages and passage_keys for Python; see smolforge/corpus/_text.pyi.
#include "arrays.h"
#include "module.h"
#include "passages.h"

namespace smolforge {
namespace {

nb::ndarray<nb::numpy, int32_t, nb::ndim<1>> suffixes(Bytes data) {
    if (data.shape(0) >= INT32_MAX) throw std::invalid_argument("data: fewer than 2^31 bytes expected");
    std::vector<int32_t> order;
    {
        nb::gil_scoped_release release;
        order = suffix_array(data.data(), static_cast<int32_t>(data.shape(0)), 255);
    }
    const size_t count = order.size();
    return array_of(std::move(order), {count});
}

nb::ndarray<nb::numpy, int64_t, nb::ndim<2>> repeated(Bytes data, Offsets offsets, size_t least) {
    const size_t n = count_texts(data, offsets);
    if (least == 0) throw std::invalid_argument("least: 1 or more expected");
    if (data.shape(0) + n >= INT32_MAX) throw std::invalid_argument("data: fewer than 2^31 bytes expected, one more for each text included");
    std::vector<int64_t> out;
    {
        nb::gil_scoped_release release;
        for (const Passage& passage : repeated_passages(data.data(), offsets.data(), n, least))
            out.insert(out.end(), {passage.text, passage.begin, passage.end});
    }
    const size_t count = out.size() / 3;
    return array_of(std::move(out), {count, 3});
}

nb::tuple keys_of(Bytes data, Offsets offsets, size_t gram, size_t window) {
    const size_t n = count_texts(data, offsets);
    if (gram == 0 || window == 0) throw std::invalid_argument("gram and window: 1 or more expected");
    std::vector<uint64_t> keys;
    std::vector<int64_t> counts(n);
    {
        nb::gil_scoped_release release;
        for (size_t i = 0; i < n; ++i) {
            const size_t before = keys.size();
            const int64_t begin = offsets.data()[i];
            passage_keys(data.data() + begin, static_cast<size_t>(offsets.data()[i + 1] - begin), gram, window, keys);
            counts[i] = static_cast<int64_t>(keys.size() - before);
        }
    }
    const size_t count = keys.size();
    return nb::make_tuple(array_of(std::move(keys), {count}), array_of(std::move(counts), {n}));
}

}  // namespace

void bind_passages(nb::module_& m) {
    m.def("suffix_array", &suffixes, nb::arg("data"));
    m.def("repeated_passages", &repeated, nb::arg("data"), nb::arg("offsets"), nb::arg("least"));
    m.def("passage_keys", &keys_of, nb::arg("data"), nb::arg("offsets"), nb::arg("gram"), nb::arg("window"));
}

}  // namespace smolforge
