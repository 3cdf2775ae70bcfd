// What the runner tells a kernel about the block that it is to run.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tilewright {

// The memories of one core, in this order: UB, L1, L0A, L0B, L0C.
enum Space { UB, L1, L0A, L0B, L0C, SPACES };

// The cores that run a block of a mixed kernel, each on a thread: the cube core, then the vector cores.
constexpr uint32_t CORES = 3;

// Flags between the cores of a block. A set counts one up: from the cube core on every vector core, from a vector core on the
// cube core, which waits for all of them.
struct Cross {
    void (*set)(Cross *self, uint32_t core, uint32_t flag);
    void (*wait)(Cross *self, uint32_t core, uint32_t flag);
};

struct Context {
    uint32_t block;
    uint32_t blocks;
    // 0 in a kernel of one core type.
    uint32_t core;
    // Of a mixed kernel.
    Cross *cross;
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
