// The layer that is run: what layer.txt says, as values.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

enum class Dtype { F32, Bf16, F16, I8, I32, U32, I64 };

enum class Role { Input, Output, Workspace };

// A dense row-major tensor in global memory.
struct Tensor {
    std::string name;
    Dtype dtype = Dtype::F32;
    Role role = Role::Input;
    std::vector<size_t> shape;
    // If not empty: the rows are as many groups of equal size, and only the first few of each exist.
    std::vector<size_t> rows;

    size_t elements() const;
    size_t bytes() const;
};

struct Kernel {
    std::string name;
    uint32_t blocks = 1;
    size_t stream = 0;
    // Tensors and values of scalars, in the order of the function's arguments.
    std::vector<size_t> tensors;
    std::vector<int32_t> scalars;
    // Earlier kernels that must have finished before it starts.
    std::vector<size_t> after;
};

// An element is mismatched that is further than atol + of_scale * scale + rtol * |expected| from what is expected; the scale is the
// magnitude of its expected row. At most this fraction of the elements may be, and a quarter of each row; none may be off by
// more than max_off, nor by more than a quarter of the scale and of what is expected.
struct Tolerance {
    double atol = 0;
    double of_scale = 0;
    double rtol = 0;
    double fraction = 0;
    double max_off = INFINITY;
};

// How an output is compared; a routing is two outputs, the chosen columns of each row and values at them.
struct Check {
    size_t output = 0;
    bool routing = false;
    size_t weights = 0;
    Tolerance tolerance;
};

struct Layer {
    std::string name;
    std::vector<Tensor> tensors;
    // In an order in which they can be launched.
    std::vector<Kernel> kernels;
    std::vector<Check> checks;

    size_t streams() const;
};

// Reads layer.txt; README.md says what its lines mean. Ends the process with the line that is wrong.
Layer read_layer(const std::string &path);
