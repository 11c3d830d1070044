// Packed weight layouts: what lies in memory while the engine runs, and how GGUF blocks become it.
//
// A matrix of `rows` outputs and `cols` inputs is cut into panels of 16 output rows; a panel is one contiguous piece of memory,
// so a thread that computes some panels reads one stream. Inside a panel the codes of all column blocks come first, then
// the scales of all column blocks, and the panel ends on a 64-byte line. Rows beyond `rows` hold zeros.
//
//   panel    | codes of block 0 | codes of block 1 | ... | scales of block 0 | scales of block 1 | ... | pad to 64 |
//
// A block is 32 columns. Its codes are vectors of 64 bytes; a vector holds 4 neighbouring columns of each of the 16 rows:
//
//   vector j | r0: c c+1 c+2 c+3 | r1: c c+1 c+2 c+3 | ... | r15: c c+1 c+2 c+3 |        8 bit: c = 4 j, j = 0..7
//                                                                                         4 bit: c = 4 j in the low half of each
//                                                                                         byte, 16 + 4 j in the high, j = 0..3
// That is the operand of one int8 dot-product instruction: 16 rows x 4 columns against 4 broadcast activations.
//
// Scales of a block, 16 rows side by side (h = half float, u8 / i8 = bytes):
//
//   q4, q8      h scale[16]                                     value = scale * code           (4 bit: code - 8)
//   q4m, q8m    h scale[16], h min[16]                          value = scale * code + min
// and of a span of eight blocks (256 columns, the K types):
//   q4k, q8k    h d[16], h dmin[16], 8 x { u8 s[16], u8 m[16] }         value = d * s * code - dmin * m     per 32 columns
//   q8h         h d[16], 16 x { i8 s[16] }                              value = d * s * code                per 16 columns
//   q8hm        h d[16], h dmin[16], 16 x { u8 s[16], u8 m[16] }        value = d * s * code - dmin * m     per 16 columns
//
// Products d * s * code have at most 24 significant bits, so they are exact in float32, and a packed row dequantizes to the bits
// of its GGUF row. f16, bf16 and f32 have no scales: column after column, the 16 rows side by side.
#pragma once

#include <cstddef>
#include <cstdint>

namespace smolforge {

constexpr int kPanelRows = 16;
constexpr int kBlockCols = 32;
constexpr int kSpanBlocks = 8;    // blocks that share d and dmin in the K kinds
constexpr size_t kAlignment = 64; // bytes; of `Packed::data` and of every panel

enum class Kind : uint8_t { q4, q4m, q4k, q8, q8m, q8k, q8h, q8hm, f16, bf16, f32 };
constexpr int kKinds = 11;

struct Packed {  // one weight matrix; the memory is owned elsewhere (arena or mapped file)
    Kind kind;
    int64_t rows, cols;
    const uint8_t* data;
    size_t bytes;
};

struct Layout {  // bytes of 16 rows
    const char* name;
    int code_bytes;   // of one block of 32 columns
    int span;         // blocks that one group of scales serves
    int scale_bytes;  // of that group
};

constexpr Layout kLayouts[kKinds] = {
    {"q4", 256, 1, 32},
    {"q4m", 256, 1, 64},
    {"q4k", 256, kSpanBlocks, 64 + 8 * 32},
    {"q8", 512, 1, 32},
    {"q8m", 512, 1, 64},
    {"q8k", 512, kSpanBlocks, 64 + 8 * 32},
    {"q8h", 512, kSpanBlocks, 32 + 16 * 16},
    {"q8hm", 512, kSpanBlocks, 64 + 16 * 32},
    {"f16", 1024, 1, 0},
    {"bf16", 1024, 1, 0},
    {"f32", 2048, 1, 0},
};

constexpr const Layout& layout(Kind kind) { return kLayouts[static_cast<int>(kind)]; }
constexpr bool is_float(Kind kind) { return kind == Kind::f16 || kind == Kind::bf16 || kind == Kind::f32; }
constexpr int64_t panels(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

constexpr size_t codes_bytes(Kind kind, int64_t cols) {
    return static_cast<size_t>(cols / kBlockCols) * static_cast<size_t>(layout(kind).code_bytes);
}

constexpr size_t panel_bytes(Kind kind, int64_t cols) {
    const Layout& shape = layout(kind);
    const size_t scales = static_cast<size_t>(cols / kBlockCols / shape.span) * static_cast<size_t>(shape.scale_bytes);
    return (codes_bytes(kind, cols) + scales + kAlignment - 1) / kAlignment * kAlignment;
}

// Bytes of a whole matrix. Throws std::invalid_argument for a shape this kind cannot hold (cols not a multiple of 32, or of 256
// for the K kinds; sizes that do not fit in memory).
size_t packed_bytes(Kind kind, int64_t rows, int64_t cols);

// Throws std::invalid_argument unless `name` is one of kLayouts.
Kind kind_of(const char* name);

struct GgufType {      // a tensor type of GGUF files and the layout it is packed into
    const char* name;  // as in the file format: "Q4_K"
    int block_cols;    // columns of one block in the file
    int block_bytes;
    Kind kind;
};

// Throws std::invalid_argument, naming the types that can be packed, for any other.
const GgufType& gguf_type(const char* name);

// Packs panels [panel_begin, panel_end) of a matrix of GGUF rows into `out`, the start of packed_bytes() zeroed or fresh bytes.
// `row_order` (or null): packed row r comes from file row row_order[r]; the caller checks that each is in [0, rows).
// `blocks` holds rows * cols / block_cols blocks of `type`. Calls for disjoint panels may run at the same time.
void pack(const GgufType& type, const uint8_t* blocks, int64_t rows, int64_t cols, const int32_t* row_order, uint8_t* out,
          int64_t panel_begin, int64_t panel_end);

}  // namespace smolforge
