// GGUF blocks to packed panels: takes each block of a row apart and lays its codes and scales beside those of 15 other rows.
#include <limits>
#include <stdexcept>
#include <string>

#include "gguf_blocks.h"
#include "packed.h"

namespace smolforge {
namespace {

using Decode = void (*)(const uint8_t*, Decoded&);

struct Source {
    GgufType type;
    Decode decode;  // null: floats, copied as they are
};

constexpr Source kSources[] = {
    {{"F32", 1, 4, Kind::f32}, nullptr},
    {{"F16", 1, 2, Kind::f16}, nullptr},
    {{"BF16", 1, 2, Kind::bf16}, nullptr},
    {{"Q4_0", 32, 18, Kind::q4}, decode_q4_0},
    {{"Q4_1", 32, 20, Kind::q4m}, decode_q4_1},
    {{"Q5_0", 32, 22, Kind::q8}, decode_q5_0},
    {{"Q5_1", 32, 24, Kind::q8m}, decode_q5_1},
    {{"Q8_0", 32, 34, Kind::q8}, decode_q8_0},
    {{"Q2_K", 256, 84, Kind::q8hm}, decode_q2_k},
    {{"Q3_K", 256, 110, Kind::q8h}, decode_q3_k},
    {{"Q4_K", 256, 144, Kind::q4k}, decode_q4_k},
    {{"Q5_K", 256, 176, Kind::q8k}, decode_q5_k},
    {{"Q6_K", 256, 210, Kind::q8h}, decode_q6_k},
    {{"IQ4_NL", 32, 18, Kind::q8}, decode_iq4_nl},
    {{"IQ4_XS", 256, 136, Kind::q8h}, decode_iq4_xs},
};

// 32 codes of one row into its block: `row` is the row in the panel.
void store_codes_4(const uint8_t* codes, uint8_t* block, int row) {
    for (int column = 0; column < 16; ++column) {
        block[column / 4 * 64 + row * 4 + column % 4] = static_cast<uint8_t>(codes[column] | codes[column + 16] << 4);
    }
}

void store_codes_8(const uint8_t* codes, uint8_t* block, int row) {
    for (int group = 0; group < 8; ++group) std::memcpy(block + group * 64 + row * 4, codes + group * 4, 4);
}

void store_half(uint16_t half, uint8_t* lane, int row) { std::memcpy(lane + 2 * row, &half, 2); }

// The scales of one row and one group (packed.h); the multipliers of a K kind start where d (and dmin) end.
void store_scales(Kind kind, const Decoded& from, uint8_t* group, int row) {
    store_half(from.scale, group, row);
    if (kind == Kind::q4 || kind == Kind::q8) return;
    if (kind == Kind::q8h) {
        for (int i = 0; i < 16; ++i) group[32 + 16 * i + row] = from.s[i];
        return;
    }
    store_half(from.min, group + 32, row);
    const int multipliers = kind == Kind::q8hm ? 16 : kind == Kind::q4k || kind == Kind::q8k ? 8 : 0;
    for (int i = 0; i < multipliers; ++i) {
        group[64 + 32 * i + row] = from.s[i];
        group[64 + 32 * i + 16 + row] = from.m[i];
    }
}

void pack_row(const Source& source, const uint8_t* blocks, int64_t cols, uint8_t* panel, int row) {
    const Layout& shape = layout(source.type.kind);
    uint8_t* codes = panel;
    uint8_t* scales = panel + codes_bytes(source.type.kind, cols);
    const int parts = source.type.block_cols / kBlockCols;
    Decoded decoded{};
    for (int64_t column = 0; column < cols; column += source.type.block_cols, blocks += source.type.block_bytes) {
        source.decode(blocks, decoded);
        for (int part = 0; part < parts; ++part, codes += shape.code_bytes) {
            (shape.code_bytes == 256 ? store_codes_4 : store_codes_8)(decoded.codes + part * kBlockCols, codes, row);
        }
        store_scales(source.type.kind, decoded, scales, row);
        scales += shape.scale_bytes;
    }
}

void pack_float_row(size_t item, const uint8_t* values, int64_t cols, uint8_t* panel, int row) {
    for (int64_t column = 0; column < cols; ++column) {
        std::memcpy(panel + (static_cast<size_t>(column) * kPanelRows + static_cast<size_t>(row)) * item,
                    values + static_cast<size_t>(column) * item, item);
    }
}

const Source& source_of(const GgufType& type) {
    for (const Source& source : kSources) {
        if (&source.type == &type) return source;
    }
    throw std::invalid_argument("not one of the tensor types that can be packed");
}

}  // namespace

const GgufType& gguf_type(const char* name) {
    std::string known;
    for (const Source& source : kSources) {
        if (std::string(name) == source.type.name) return source.type;
        known += std::string(known.empty() ? "" : ", ") + source.type.name;
    }
    throw std::invalid_argument("tensors of type " + std::string(name) + " cannot be packed; these can: " + known);
}

Kind kind_of(const char* name) {
    for (int i = 0; i < kKinds; ++i) {
        if (std::string(name) == kLayouts[i].name) return static_cast<Kind>(i);
    }
    throw std::invalid_argument("'" + std::string(name) + "' is not a packed layout");
}

size_t packed_bytes(Kind kind, int64_t rows, int64_t cols) {
    const int64_t unit = layout(kind).span * kBlockCols;
    const std::string shape = std::to_string(rows) + " x " + std::to_string(cols);
    if (rows <= 0 || cols <= 0) throw std::invalid_argument("a weight matrix of " + shape + " is empty");
    if (cols % unit != 0) {
        throw std::invalid_argument("a weight matrix of " + shape + " cannot be packed as " + layout(kind).name +
                                    ": its columns must be a multiple of " + std::to_string(unit));
    }
    constexpr int64_t limit = std::numeric_limits<int64_t>::max() / 256;  // below, no product here overflows
    if (rows > limit / cols) throw std::invalid_argument("a weight matrix of " + shape + " is too large");
    return static_cast<size_t>(panels(rows)) * panel_bytes(kind, cols);
}

void pack(const GgufType& type, const uint8_t* blocks, int64_t rows, int64_t cols, const int32_t* row_order, uint8_t* out,
          int64_t panel_begin, int64_t panel_end) {
    const Source& source = source_of(type);
    const size_t stride = panel_bytes(type.kind, cols);
    const size_t row_bytes = static_cast<size_t>(cols / type.block_cols) * static_cast<size_t>(type.block_bytes);
    for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
        uint8_t* to = out + static_cast<size_t>(panel) * stride;
        if (rows < (panel + 1) * kPanelRows) std::memset(to, 0, stride);
        for (int row = 0; row < kPanelRows && panel * kPanelRows + row < rows; ++row) {
            const int64_t n = panel * kPanelRows + row;
            const uint8_t* from = blocks + static_cast<size_t>(row_order ? row_order[n] : n) * row_bytes;
            if (source.decode) {
                pack_row(source, from, cols, to, row);
            } else {
                pack_float_row(static_cast<size_t>(type.block_bytes), from, cols, to, row);
            }
        }
    }
}

}  // namespace smolforge
