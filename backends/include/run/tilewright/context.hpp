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
    // Of all ranks: how many blocks run, how many of them wait for a counter, and a number that changes with every
    // counter and whenever a wait is over.
    uint32_t *running;
    uint32_t *waiting;
    uint32_t *progress;
};

// Every kernel's library has one, under the name `tilewright_block`. Tensors are followed by the table of window memories
// of all ranks where the kernel takes it, scalars by rank and epoch; scalars are i32.
using Entry = void(const Context *context, void *const *tensors, const int32_t *scalars);

} // namespace tilewright
