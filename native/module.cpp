// The Python face: the only file that knows Python. Types and meanings: smolforge/engine/_native.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include "kernels.h"
#include "model.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace smolforge {
namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Releases the GIL while C++ computes. A thread that asked for the GIL back while the interpreter ends would be torn down through
// C++ frames, and the process aborted: so the interpreter's exit waits for calls inside, and lets no new one in (`close`).
class Released {
  public:
    Released() : entered_(enter()) {}
    ~Released() {
        release_.reset();
        --inside;
    }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

    static void close() {
        closing = true;
        while (inside > 0) {
            nb::gil_scoped_release release;
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }

  private:
    static bool enter() {
        if (closing) throw std::runtime_error("the interpreter is shutting down");
        ++inside;
        return true;
    }

    static inline int inside = 0;  // guarded, as `closing`, by the GIL
    static inline bool closing = false;
    bool entered_;
    std::optional<nb::gil_scoped_release> release_{std::in_place};
};

// An array of `count` floats that Python owns, and where to write it.
template <class... Sizes>
nb::ndarray<nb::numpy, float> new_array(float** data, Sizes... sizes) {
    const size_t shape[] = {static_cast<size_t>(sizes)...};
    size_t count = 1;
    for (size_t size : shape) count *= size;
    *data = new float[count];
    nb::capsule owner(*data, [](void* memory) noexcept { delete[] static_cast<float*>(memory); });
    return {*data, sizeof...(sizes), shape, owner};
}

// Keeps a Python object alive from C++; dropped with the GIL held, wherever the last owner goes.
std::shared_ptr<const void> keep(nb::object object) {
    return {object.release().ptr(), [](const void* held) {
                if (!nb::is_alive()) return;
                nb::gil_scoped_acquire gil;
                nb::handle(static_cast<PyObject*>(const_cast<void*>(held))).dec_ref();
            }};
}

// Python can make arrays that start anywhere; numbers are read from their natural places only.
template <class Array>
void check_aligned(const Array& array, const std::string& name) {
    if (reinterpret_cast<uintptr_t>(array.data()) % sizeof *array.data() != 0)
        throw std::invalid_argument(name + ": the array does not start on a multiple of its numbers' size; copy it");
}

nb::ndarray<nb::numpy, float> weight_row(const Weight& weight, int64_t index) {
    if (index < 0 || index >= weight.packed.rows)
        throw nb::index_error(("row " + std::to_string(index) + " is not in 0.." + std::to_string(weight.packed.rows - 1)).c_str());
    float* data;
    auto row = new_array(&data, weight.packed.cols);
    kernels().unpack_row(weight.packed, index, data);
    return row;
}

nb::ndarray<nb::numpy, const uint8_t> weight_buffer(nb::handle_t<Weight> self) {
    const Packed& packed = nb::cast<const Weight&>(self).packed;
    const size_t shape[] = {packed.bytes};
    return {packed.data, 1, shape, nb::borrow(self)};
}

void check_row_order(const Indices& order, int64_t rows) {
    check_aligned(order, "row_order");
    if (static_cast<int64_t>(order.size()) != rows)
        throw std::invalid_argument("row_order has " + std::to_string(order.size()) + " entries, expected " + std::to_string(rows));
    for (size_t i = 0; i < order.size(); ++i)
        if (order.data()[i] < 0 || order.data()[i] >= rows)
            throw std::invalid_argument("row_order[" + std::to_string(i) + "] = " + std::to_string(order.data()[i]) + " is no row");
}

Weight pack_blocks(const Bytes& blocks, const std::string& name, int64_t rows, int64_t cols, std::optional<Indices> row_order) {
    const GgufType& type = gguf_type(name.c_str());
    const size_t bytes = packed_bytes(type.kind, rows, cols);  // checks rows and cols
    if (cols % type.block_cols != 0)
        throw std::invalid_argument(name + ": " + std::to_string(cols) + " columns are not a multiple of " + std::to_string(type.block_cols));
    const size_t expected = static_cast<size_t>(rows) * static_cast<size_t>(cols / type.block_cols) * static_cast<size_t>(type.block_bytes);
    if (blocks.size() != expected)
        throw std::invalid_argument(name + ": " + std::to_string(blocks.size()) + " bytes, expected " + std::to_string(expected) + " for " +
                                    std::to_string(rows) + " x " + std::to_string(cols));
    if (row_order) check_row_order(*row_order, rows);
    const int32_t* order = row_order ? row_order->data() : nullptr;
    const Released released;
    std::shared_ptr<uint8_t> data = allocate_packed(bytes);
    const int64_t all = panels(rows), each = 16;
    Phases phases;
    const int threads = all * cols < 1 << 14 ? 1 : default_threads();
    phases.begin(threads);
    Pool::shared().run(threads, [&](int thread) {
        Walk walk(thread);
        phases.each(walk, (all + each - 1) / each, [&](int64_t i) {
            pack(type, blocks.data(), rows, cols, order, data.get(), i * each, std::min(all, (i + 1) * each));
        });
    });
    return {{type.kind, rows, cols, data.get(), bytes}, data};
}

Weight view_buffer(const std::string& kind_name, int64_t rows, int64_t cols, Bytes buffer) {
    const Kind kind = kind_of(kind_name.c_str());
    const size_t expected = packed_bytes(kind, rows, cols);
    if (buffer.size() != expected)
        throw std::invalid_argument(kind_name + ": " + std::to_string(buffer.size()) + " bytes, expected " + std::to_string(expected) +
                                    " for " + std::to_string(rows) + " x " + std::to_string(cols));
    if (reinterpret_cast<uintptr_t>(buffer.data()) % kAlignment != 0)
        throw std::invalid_argument(kind_name + ": the buffer does not start on a 64-byte line");
    return {{kind, rows, cols, buffer.data(), buffer.size()}, keep(nb::cast(buffer))};
}

template <class T>
T field(const nb::dict& shape, const char* name) {
    if (!shape.contains(name)) throw std::invalid_argument("shape: '" + std::string(name) + "' is missing");
    T value;
    if (!nb::try_cast(shape[name], value)) throw std::invalid_argument("shape: '" + std::string(name) + "' has the wrong type");
    return value;
}

Shape shape_of(const nb::dict& dict) {
    Shape shape;
    shape.n_layers = field<int>(dict, "n_layers");
    shape.n_heads = field<int>(dict, "n_heads");
    shape.n_kv_heads = field<int>(dict, "n_kv_heads");
    shape.head_dim = field<int>(dict, "head_dim");
    shape.d_model = field<int>(dict, "d_model");
    shape.d_ff = field<int>(dict, "d_ff");
    shape.vocab_size = field<int>(dict, "vocab_size");
    shape.norm_eps = static_cast<float>(field<double>(dict, "norm_eps"));
    shape.layer_rope = field<std::vector<int>>(dict, "layer_rope");
    for (nb::handle table : field<nb::list>(dict, "rope_tables")) {
        nb::tuple pair;
        Floats frequencies;
        double scale = 1;
        if (!nb::try_cast(table, pair) || pair.size() != 2 || !nb::try_cast(pair[0], frequencies) || !nb::try_cast(pair[1], scale))
            throw std::invalid_argument("shape: 'rope_tables' holds pairs (float32 inverse frequencies, scale)");
        check_aligned(frequencies, "shape: rope_tables");
        shape.rope_tables.push_back({{frequencies.data(), frequencies.data() + frequencies.size()}, static_cast<float>(scale)});
    }
    return shape;
}

Tensors tensors_of(const nb::dict& dict) {
    Tensors tensors;
    for (auto [key, value] : dict) {
        const auto name = nb::cast<std::string>(key);
        Weight* weight = nullptr;
        Floats vector;
        if (nb::try_cast(value, weight) && weight != nullptr) {
            tensors.packed[name] = *weight;
            continue;
        }
        if (!nb::try_cast(value, vector)) throw std::invalid_argument("tensor '" + name + "' is neither Packed nor a float32 vector");
        check_aligned(vector, "tensor '" + name + "'");
        tensors.vectors[name] = {vector.data(), vector.data() + vector.size()};
    }
    return tensors;
}

Batch batch_of(const Indices& tokens, const Indices& starts, const Indices& counts, const Table& pages, const Indices& outputs) {
    const std::pair<const Indices&, const char*> arrays[] = {{tokens, "tokens"}, {starts, "starts"}, {counts, "counts"}, {outputs, "outputs"}};
    for (const auto& [array, name] : arrays) check_aligned(array, name);
    check_aligned(pages, "pages");
    const size_t sequences = starts.size();
    if (counts.size() != sequences || pages.shape(0) != sequences)
        throw std::invalid_argument("starts, counts and pages must name the same number of sequences");
    return {tokens.data(), starts.data(), counts.data(), pages.data(), outputs.data(), static_cast<int64_t>(tokens.size()),
            static_cast<int64_t>(sequences), static_cast<int64_t>(pages.shape(1)), static_cast<int64_t>(outputs.size())};
}

nb::ndarray<nb::numpy, float> forward(Model& model, Pages& kv, const Indices& tokens, const Indices& starts, const Indices& counts,
                                      const Table& pages, const Indices& outputs, bool hidden) {
    const Batch batch = batch_of(tokens, starts, counts, pages, outputs);
    float* out;
    auto result = new_array(&out, batch.m, hidden ? model.shape().d_model : model.shape().vocab_size);
    const Released released;
    model.forward(kv, batch, hidden, out, nullptr);
    return result;
}

nb::ndarray<nb::numpy, float> layers(Model& model, Pages& kv, const Indices& tokens, const Indices& starts, const Indices& counts,
                                     const Table& pages, const Indices& outputs) {
    Batch batch = batch_of(tokens, starts, counts, pages, outputs);
    float* trace;
    auto result = new_array(&trace, model.shape().n_layers + 1, batch.n, model.shape().d_model);
    batch.m = 0;
    const Released released;
    model.forward(kv, batch, true, nullptr, trace);
    return result;
}

nb::bytes read_page(const Pages& pages, int64_t index) {
    pages.check(index);
    return nb::bytes(pages.page(index), pages.layout().page_bytes);
}

void write_page(Pages& pages, int64_t index, const nb::bytes& data) {
    pages.check(index);
    if (data.size() != pages.layout().page_bytes)
        throw std::invalid_argument("page: " + std::to_string(data.size()) + " bytes, expected " + std::to_string(pages.layout().page_bytes));
    std::memcpy(pages.page(index), data.c_str(), data.size());
}

std::vector<std::string> isas() {
    int count = 0;
    const Kernels* const* sets = available_kernels(&count);
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.emplace_back(sets[i]->name);
    return names;
}

}  // namespace
}  // namespace smolforge

NB_MODULE(_native, m) {
    using namespace smolforge;
    nb::module_::import_("atexit").attr("register")(nb::cpp_function(&Released::close));
    m.def("isas", &isas);
    m.def("isa", [] { return std::string(kernels().name); });
    m.def("default_threads", &default_threads);

    nb::class_<Weight>(m, "Packed")
        .def_prop_ro("kind", [](const Weight& w) { return std::string(layout(w.packed.kind).name); })
        .def_prop_ro("rows", [](const Weight& w) { return w.packed.rows; })
        .def_prop_ro("cols", [](const Weight& w) { return w.packed.cols; })
        .def_prop_ro("nbytes", [](const Weight& w) { return w.packed.bytes; })
        .def("buffer", &weight_buffer)
        .def("row", &weight_row, "index"_a);
    m.def("pack", &pack_blocks, "blocks"_a.noconvert(), "gguf_type"_a, "rows"_a, "cols"_a, "row_order"_a.noconvert() = nb::none());
    m.def("view", &view_buffer, "kind"_a, "rows"_a, "cols"_a, "buffer"_a.noconvert());

    nb::class_<Model>(m, "Model")
        .def("__init__", [](Model* self, const nb::dict& shape, const nb::dict& tensors, int threads) {
                new (self) Model(shape_of(shape), tensors_of(tensors), threads);
            }, "shape"_a, "tensors"_a, "threads"_a = 0)
        .def_prop_ro("threads", &Model::threads)
        .def("forward", &forward, "kv"_a, "tokens"_a.noconvert(), "starts"_a.noconvert(), "counts"_a.noconvert(), "pages"_a.noconvert(),
             "outputs"_a.noconvert(), nb::kw_only(), "hidden"_a = false)
        .def("layers", &layers, "kv"_a, "tokens"_a.noconvert(), "starts"_a.noconvert(), "counts"_a.noconvert(), "pages"_a.noconvert(),
             "outputs"_a.noconvert());

    nb::class_<Pages>(m, "Pages")
        .def("__init__", [](Pages* self, const Model& model, int64_t pages, const std::string& kind) {
                new (self) Pages(model.page_layout(kv_kind_of(kind.c_str())), pages);
            }, "model"_a, "pages"_a, "kind"_a = "f16")
        .def_prop_ro("kind", [](const Pages& p) { return std::string(kv_name(p.layout().kind)); })
        .def_prop_ro("page_tokens", [](const Pages&) { return kPageTokens; })
        .def_prop_ro("page_bytes", [](const Pages& p) { return p.layout().page_bytes; })
        .def_prop_ro("pages", &Pages::count)
        .def("copy", &Pages::copy, "source"_a, "target"_a)
        .def("read", &read_page, "page"_a)
        .def("write", &write_page, "page"_a, "data"_a)
        .def("release", &Pages::release, "page"_a);
}
