// How kernels are started.
#pragma once

#include <cstdint>

// The compiler for the NPU has a syntax of its own for it. Who compiles kernels for something else defines this first.
#ifndef TILEWRIGHT_LAUNCH
#define TILEWRIGHT_LAUNCH(kernel, blocks, stream) kernel<<<blocks, nullptr, stream>>>
#endif

// Puts a kernel into a stream; a file in launch/ has one for each kernel.
using Launch = void(uint32_t blocks, void *stream, void *const *tensors, const int32_t *scalars);
