// What the runner tells a kernel about the block that it is to run.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tilewright {

// The memories of one core, in this order: UB, L1, L0A, L0B, L0C.
enum Space { UB, L1, L0A, L0B, L0C, SPACES };

struct Context {
    uint32_t block;
    uint32_t blocks;
    uint8_t *memory[SPACES];
    size_t bytes[SPACES];
};

// Every kernel's library has one, under the name `tilewright_block`. Scalars are i32.
using Entry = void(const Context *context, void *const *tensors, const int32_t *scalars);

} // namespace tilewright
