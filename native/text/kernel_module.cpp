// TextKernel: our own words, features and MinHash keys for Python; see smolforge/corpus/_text.pyi.
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <map>
#include <mutex>

#include "arrays.h"
#include "features.h"
#include "module.h"
#include "nominate.h"

namespace smolforge {
namespace {

constexpr size_t kMost = 1024;  // bands, rows, words of a shingle

using Lists = std::map<std::string, std::vector<std::string>>;
using Numbers = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

class TextKernel {
  public:
    TextKernel(CharacterTable flags, CharacterTable lower, CharacterTable normal, const std::vector<Lists>& languages, const std::vector<uint8_t>& traits,
               const Lists& common)
        : flags_(flags), lower_(lower), normal_(normal), is_(flags.data()), words_(is_), nominator_(is_, normal.data()),
          meter_(is_, lower.data(), word_lists(languages, traits), {listed(common, "placeholders"), listed(common, "generated"), listed(common, "mathml")}),
          traits_(traits) {}

    nb::ndarray<nb::numpy, float, nb::ndim<2>> features(Bytes data, Offsets offsets, Numbers languages) {
        const size_t n = check(data, offsets, languages);
        std::vector<float> rows(n * kFeatures);
        {
            nb::gil_scoped_release release;
            std::lock_guard turn(turn_);
            for (size_t i = 0; i < n; ++i) {
                Features found;
                meter_.measure(begin(data, offsets, i), size(offsets, i), languages.data()[i], found);
                std::memcpy(rows.data() + i * kFeatures, &found, sizeof found);
            }
        }
        return array_of(std::move(rows), {n, kFeatures});
    }

    nb::tuple nominate(Bytes data, Offsets offsets, Numbers languages, size_t bands, size_t rows, size_t shingle) {
        for (const size_t value : {bands, rows, shingle})
            if (value == 0 || value > kMost) throw std::invalid_argument("bands, rows and shingle: 1 to 1024 expected");
        const size_t n = check(data, offsets, languages);
        std::vector<uint64_t> keys(n * bands);
        std::vector<uint8_t> states(n);
        {
            nb::gil_scoped_release release;
            std::lock_guard turn(turn_);
            for (size_t i = 0; i < n; ++i) {
                states[i] = static_cast<uint8_t>(nominator_.keys(begin(data, offsets, i), size(offsets, i), traits_[languages.data()[i]],
                                                                 {bands, rows, shingle}, keys.data() + i * bands));
            }
        }
        return nb::make_tuple(array_of(std::move(keys), {n, bands}), array_of(std::move(states), {n}));
    }

    std::vector<std::string> words(const std::string& text, uint8_t language) {
        if (language >= traits_.size()) throw std::invalid_argument("language: no such number");
        std::lock_guard turn(turn_);
        const std::u32string all = wide(text);
        const std::vector<Char> characters(all.begin(), all.end());
        std::vector<Span> spans;
        words_.split({characters.data(), characters.data() + characters.size()}, traits_[language], spans);
        std::vector<std::string> out;
        std::vector<uint8_t> utf8;
        for (const Span span : spans) {
            encode(span, utf8);
            out.emplace_back(utf8.begin(), utf8.end());
        }
        return out;
    }

  private:
    static std::vector<std::u32string> listed(const Lists& lists, const char* name) {
        const auto found = lists.find(name);
        if (found == lists.end()) throw std::invalid_argument(std::string("no list '") + name + "'");
        return wide(found->second);
    }

    static std::vector<WordLists> word_lists(const std::vector<Lists>& languages, const std::vector<uint8_t>& traits) {
        if (traits.size() != languages.size() || traits.size() > 256) throw std::invalid_argument("traits: one a language expected, 256 at most");
        std::vector<WordLists> out;
        for (size_t i = 0; i < languages.size(); ++i) out.push_back({traits[i], listed(languages[i], "stop_words"), listed(languages[i], "policy_phrases")});
        return out;
    }

    size_t check(const Bytes& data, const Offsets& offsets, const Numbers& languages) const {
        const size_t n = count_texts(data, offsets);
        if (languages.shape(0) != n) throw std::invalid_argument("languages: one number a text expected");
        for (size_t i = 0; i < n; ++i)
            if (languages.data()[i] >= traits_.size()) throw std::invalid_argument("languages: no such number");
        return n;
    }

    static const uint8_t* begin(const Bytes& data, const Offsets& offsets, size_t i) { return data.data() + offsets.data()[i]; }
    static size_t size(const Offsets& offsets, size_t i) { return static_cast<size_t>(offsets.data()[i + 1] - offsets.data()[i]); }

    CharacterTable flags_, lower_, normal_;  // kept as long as they are read
    Characters is_;
    PlainWords words_;
    Nominator nominator_;
    FeatureMeter meter_;
    std::vector<uint8_t> traits_;
    std::mutex turn_;  // scratch memory serves one caller
};

}  // namespace

void bind_kernel(nb::module_& m) {
    nb::class_<TextKernel>(m, "TextKernel")
        .def(nb::init<CharacterTable, CharacterTable, CharacterTable, const std::vector<Lists>&, const std::vector<uint8_t>&, const Lists&>(),
             nb::arg("flags"), nb::arg("lower"), nb::arg("normal"), nb::arg("languages"), nb::arg("traits"), nb::arg("common"))
        .def("features", &TextKernel::features, nb::arg("data"), nb::arg("offsets"), nb::arg("languages"))
        .def("nominate", &TextKernel::nominate, nb::arg("data"), nb::arg("offsets"), nb::arg("languages"), nb::arg("bands"), nb::arg("rows"),
             nb::arg("shingle"))
        .def("words", &TextKernel::words, nb::arg("text"), nb::arg("language"));
}

}  // namespace smolforge
