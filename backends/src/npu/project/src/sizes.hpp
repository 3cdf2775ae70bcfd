// Which layer runs a size: what sizes.txt says, as values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

// Sizes from one to another, which the kernels of the larger one run.
struct Bucket {
    size_t from = 0;
    size_t to = 0;
    // What is run, and where its tensors are.
    std::string layer;
    std::string data;
};

struct Sizes {
    // What the sizes are of; empty where the project is for one size.
    std::string param;
    // Ascending.
    std::vector<Bucket> buckets;
};

// Reads sizes.txt; nothing where there is no such file. Ends the process with the line that is wrong.
Sizes read_sizes(const std::string &path);

// The first bucket whose largest size is no smaller; null if there is none.
const Bucket *find_bucket(const Sizes &sizes, size_t size);
