// Owned memory of the engine: packed matrices, and buffers that only grow.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

#include "packed.h"

namespace smolforge {

struct Weight {  // a packed matrix and whatever keeps its memory alive
    Packed packed;
    std::shared_ptr<const void> owner;
};

// `bytes` of zeros on a 64-byte line, in huge pages where the system has them; small matrices share them.
std::shared_ptr<uint8_t> allocate_packed(size_t bytes);

template <class T>
class Buffer {
  public:
    // Room for `count` values; what was there is lost when it grows.
    void reserve(int64_t count) {
        if (count <= capacity_) return;
        data_.reset();
        data_.reset(static_cast<T*>(::operator new(sizeof(T) * static_cast<size_t>(count), kAlign)));
        capacity_ = count;
    }
    T* data() const { return data_.get(); }
    T* at(int64_t index) const { return data_.get() + index; }

  private:
    static constexpr std::align_val_t kAlign{64};
    struct Free {
        void operator()(T* data) const { ::operator delete(data, kAlign); }
    };
    std::unique_ptr<T, Free> data_;
    int64_t capacity_ = 0;
};

}  // namespace smolforge
