// The parts of the module that Python sees, each bound beside its code.
#pragma once

#include <nanobind/nanobind.h>

namespace smolforge {

void bind_kernel(nanobind::module_& m);
void bind_langid(nanobind::module_& m);
void bind_passages(nanobind::module_& m);

}  // namespace smolforge
