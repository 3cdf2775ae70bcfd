// Outputs against what is expected, by the tolerances of layer.txt.
#pragma once

#include "layer.hpp"

#include <string>
#include <utility>
#include <vector>

struct Comparison {
    std::string output;
    double max_abs = 0;
    // Over the expected magnitude, of elements whose expected value is not 0.
    double max_rel = 0;
    size_t mismatched = 0;
    size_t elements = 0;
    // The element with the largest difference; -1 if there is none.
    long long worst = -1;
    bool ok = false;
};

using Bytes = std::vector<uint8_t>;

// Element by element. NaN equals NaN and no number.
Comparison compare(const Tensor &tensor, const Tolerance &tolerance, const Bytes &actual, const Bytes &expected);

// In each row the (index, weight) pairs as a set, so that ties may swap places.
std::pair<Comparison, Comparison> compare_routing(const Tensor &indices, const Tensor &weights,
                                                  const Tolerance &tolerance, const std::pair<Bytes, Bytes> &actual,
                                                  const std::pair<Bytes, Bytes> &expected);

// Sets rows that do not exist to zero: what they hold is nobody's business.
void clear_missing(const Tensor &tensor, Bytes &bytes);
