// LanguageModel and script_counts for Python; see smolforge/corpus/_text.pyi.
#include <algorithm>
#include <mutex>

#include "arrays.h"
#include "langid.h"
#include "module.h"

namespace smolforge {
namespace {

template <class Value, size_t kAxes>
using Input = nb::ndarray<const Value, nb::ndim<kAxes>, nb::c_contig, nb::device::cpu>;

class LanguageModel {
  public:
    LanguageModel(Input<uint32_t, 1> next, Input<uint32_t, 1> row, Input<int32_t, 1> output, Input<float, 2> table, Input<float, 1> prior)
        : next_(next), row_(row), output_(output), table_(table), prior_(prior), scorer_(checked()) {}

    nb::ndarray<nb::numpy, float, nb::ndim<2>> scores(Bytes data, Offsets offsets) {
        const size_t n = count_texts(data, offsets), classes = prior_.shape(0);
        std::vector<float> out(n * classes);
        {
            nb::gil_scoped_release release;
            std::lock_guard turn(turn_);
            for (size_t i = 0; i < n; ++i) {
                const int64_t begin = offsets.data()[i];
                scorer_.score(data.data() + begin, static_cast<size_t>(offsets.data()[i + 1] - begin), out.data() + i * classes);
            }
        }
        return array_of(std::move(out), {n, classes});
    }

  private:
    // Every number that leads somewhere must lead into the tables.
    Automaton checked() const {
        const size_t states = row_.shape(0), features = table_.shape(0);
        const auto inside = [](const auto& numbers, auto most) {
            return std::all_of(numbers.data(), numbers.data() + numbers.size(), [&](auto x) { return x < most; });
        };
        const bool sound = states > 0 && output_.shape(0) == states && table_.shape(1) == prior_.shape(0) && next_.shape(0) >= 256 &&
                           inside(next_, states) && inside(row_, next_.shape(0) - 255) && inside(output_, static_cast<int64_t>(features));
        if (!sound) throw std::invalid_argument("language model: tables that do not fit each other");
        return {next_.data(), row_.data(), output_.data(), table_.data(), prior_.data(), states, features, prior_.shape(0)};
    }

    Input<uint32_t, 1> next_, row_;  // kept as long as they are read
    Input<int32_t, 1> output_;
    Input<float, 2> table_;
    Input<float, 1> prior_;
    LanguageScorer scorer_;
    std::mutex turn_;
};

nb::ndarray<nb::numpy, int32_t, nb::ndim<2>> script_counts(CharacterTable flags, Bytes data, Offsets offsets) {
    const size_t n = count_texts(data, offsets);
    std::vector<int32_t> out(n * kScripts);
    {
        nb::gil_scoped_release release;
        const Characters is(flags.data());
        std::vector<Char> text;
        for (size_t i = 0; i < n; ++i) {
            const int64_t begin = offsets.data()[i];
            decode(data.data() + begin, static_cast<size_t>(offsets.data()[i + 1] - begin), text);
            count_scripts({text.data(), text.data() + text.size()}, is, out.data() + i * kScripts);
        }
    }
    return array_of(std::move(out), {n, kScripts});
}

}  // namespace

void bind_langid(nb::module_& m) {
    m.def("script_counts", &script_counts, nb::arg("flags"), nb::arg("data"), nb::arg("offsets"));
    nb::class_<LanguageModel>(m, "LanguageModel")
        .def(nb::init<Input<uint32_t, 1>, Input<uint32_t, 1>, Input<int32_t, 1>, Input<float, 2>, Input<float, 1>>(), nb::arg("next"), nb::arg("row"),
             nb::arg("output"), nb::arg("table"), nb::arg("prior"))
        .def("scores", &LanguageModel::scores, nb::arg("data"), nb::arg("offsets"));
}

}  // namespace smolforge
