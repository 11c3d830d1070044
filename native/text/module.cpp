// The nanobind face of the text kernels; see smolforge/corpus/_text.pyi.
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <mutex>

#include "arrays.h"
#include "fineweb.h"
#include "minhash.h"
#include "module.h"

using namespace smolforge;

namespace {

constexpr size_t kMostRows = 1024;

EnglishWords::Exceptions wide_exceptions(const std::map<std::string, std::vector<int>>& exceptions) {
    EnglishWords::Exceptions out;
    for (const auto& [text, lengths] : exceptions) {
        std::u32string chunk = wide(text);
        int left = static_cast<int>(chunk.size());
        for (const int length : lengths) left -= length > 0 ? length : left + 1;
        if (left != 0) throw std::invalid_argument("the pieces of '" + text + "' do not make it up");
        out.emplace(std::move(chunk), lengths);
    }
    return out;
}

class FineWebMeter {
  public:
    FineWebMeter(CharacterTable flags, const std::map<std::string, std::vector<int>>& exceptions, const std::vector<std::string>& stop_words,
                 const std::vector<std::string>& policies)
        : flags_(flags), words_(Characters(flags.data()), wide_exceptions(exceptions)), meter_(words_, wide(stop_words), wide(policies)) {}

    nb::ndarray<nb::numpy, double, nb::ndim<2>> measure(Bytes data, Offsets offsets) {
        const size_t n = count_texts(data, offsets);
        auto rows = std::make_unique<std::vector<FineWebMeasures>>(n);
        {
            nb::gil_scoped_release release;
            std::lock_guard turn(turn_);  // the meter's scratch memory serves one caller
            for (size_t i = 0; i < n; ++i) {
                const int64_t begin = offsets.data()[i];
                meter_.measure(data.data() + begin, static_cast<size_t>(offsets.data()[i + 1] - begin), (*rows)[i]);
            }
        }
        std::vector<FineWebMeasures>* kept = rows.release();
        nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<FineWebMeasures>*>(p); });
        return {reinterpret_cast<double*>(kept->data()), {n, kFineWebMeasures}, owner};
    }

    std::vector<int64_t> words(const std::string& text) {  // begin and end of each word, in characters
        const std::u32string all = wide(text);
        const std::vector<Char> characters(all.begin(), all.end());
        std::vector<Span> spans;
        words_.split({characters.data(), characters.data() + characters.size()}, spans);
        std::vector<int64_t> out;
        for (const Span span : spans) {
            out.push_back(span.begin - characters.data());
            out.push_back(span.end - characters.data());
        }
        return out;
    }

  private:
    CharacterTable flags_;  // keeps the table
    EnglishWords words_;
    FineWeb meter_;
    std::mutex turn_;
};

nb::ndarray<nb::numpy, uint64_t, nb::ndim<1>> keys_of(nb::ndarray<const uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> shingles, size_t bands,
                                                      size_t rows) {
    if (bands == 0 || rows == 0 || bands > kMostRows || rows > kMostRows) throw std::invalid_argument("bands and rows: 1 to 1024 expected");
    const size_t count = shingles.shape(0) ? bands : 0;  // a text without shingles has no keys
    auto keys = std::make_unique<uint64_t[]>(bands);
    if (count) {
        nb::gil_scoped_release release;
        band_keys(shingles.data(), shingles.shape(0), bands, rows, keys.get());
    }
    uint64_t* kept = keys.release();
    nb::capsule owner(kept, [](void* p) noexcept { delete[] static_cast<uint64_t*>(p); });
    return {kept, {count}, owner};
}

}  // namespace

NB_MODULE(_text, m) {
    bind_kernel(m);
    bind_langid(m);
    bind_passages(m);
    m.def("band_keys", &keys_of, nb::arg("shingles"), nb::arg("bands"), nb::arg("rows"));
    nb::class_<FineWebMeter>(m, "FineWebMeter")
        .def(nb::init<CharacterTable, const std::map<std::string, std::vector<int>>&, const std::vector<std::string>&, const std::vector<std::string>&>(),
             nb::arg("flags"), nb::arg("exceptions"), nb::arg("stop_words"), nb::arg("policies"))
        .def("measure", &FineWebMeter::measure, nb::arg("data"), nb::arg("offsets"))
        .def("words", &FineWebMeter::words, nb::arg("text"));
}
