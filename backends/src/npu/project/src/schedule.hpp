// Kernels on streams, in the order that they wait for each other.
#pragma once

#include "device.hpp"
#include "layer.hpp"
#include "launch.hpp"

#include <vector>

// A layer on a device.
struct Loaded {
    const Layer &layer;
    const Device &device;
    // Of each kernel.
    std::vector<Launch *> launches;
    // Of each tensor.
    std::vector<Buffer> buffers;
};

// Puts one kernel into a stream.
void launch(const Loaded &loaded, size_t kernel, aclrtStream stream);

// Runs all kernels once, on the streams that layer.txt gives them; microseconds from the first to the last.
double run_on_streams(const Loaded &loaded);

// Runs all kernels once, and waits after each, so that the one that fails is named.
void run_serially(const Loaded &loaded);

// Runs a kernel this often in a row; microseconds of one.
double time_kernel(const Loaded &loaded, size_t kernel, size_t repeat);
