// Included before a kernel's file: the kernel for this processor, by tilewright's own header, and its launch as a task of
// a stream.
#pragma once

#include <pto/pto-inst.hpp>

#include <functional>

// In runtime.cpp: `run` is called for the core's memories, once a block.
void stand_in_launch(void *stream, uint32_t blocks, std::function<void(tilewright::Context &)> run);

template <class Kernel>
auto stand_in(Kernel kernel, uint32_t blocks, void *stream)
{
    return [=](auto... arguments) {
        stand_in_launch(stream, blocks, [=](tilewright::Context &context) {
            pto::host::Scope scope(context);
            kernel(arguments...);
        });
    };
}

#define TILEWRIGHT_LAUNCH(kernel, blocks, stream) stand_in(kernel, blocks, stream)
