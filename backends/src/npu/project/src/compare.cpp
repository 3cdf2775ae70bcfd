#include "compare.hpp"

#include "values.hpp"

#include <algorithm>
#include <cmath>

namespace {

const Tolerance EXACT;

void record(Comparison &c, size_t index, double off, double expected, const Tolerance &tolerance)
{
    c.elements += 1;
    if (off == 0) return;
    if (off > c.max_abs) {
        c.max_abs = off;
        c.worst = (long long)index;
    }
    if (expected != 0 && std::isfinite(expected)) c.max_rel = std::max(c.max_rel, off / std::fabs(expected));
    // With an infinity expected, any number is infinitely far, whatever the relative part says.
    if (std::isinf(off) || off > tolerance.atol + tolerance.rtol * std::fabs(expected)) c.mismatched += 1;
}

void add_real(Comparison &c, size_t index, double actual, double expected, const Tolerance &tolerance)
{
    const bool same = actual == expected || (std::isnan(actual) && std::isnan(expected));
    const double off = std::fabs(actual - expected);
    record(c, index, same ? 0 : std::isnan(off) ? INFINITY : off, expected, tolerance);
}

void add_integer(Comparison &c, size_t index, int64_t actual, int64_t expected, const Tolerance &tolerance)
{
    const uint64_t off = actual > expected ? uint64_t(actual) - uint64_t(expected) : uint64_t(expected) - uint64_t(actual);
    record(c, index, double(off), double(expected), tolerance);
}

void finish(Comparison &c, const Tolerance &tolerance)
{
    c.ok = double(c.mismatched) <= tolerance.fraction * double(c.elements) && c.max_abs <= tolerance.max_off;
}

// Where a row has an index more than once, the one with the nearest weight; NaN is the furthest.
bool nearer(double a, double b) { return !std::isnan(a) && (std::isnan(b) || a < b); }

} // namespace

Comparison compare(const Tensor &tensor, const Tolerance &tolerance, const Bytes &actual, const Bytes &expected)
{
    Comparison c;
    c.output = tensor.name;
    const Dtype dtype = tensor.dtype;
    const uint8_t *a = actual.data(), *e = expected.data();
    for (size_t i = 0; i < tensor.elements(); ++i) {
        if (is_float(dtype))
            add_real(c, i, real_value(dtype, a, i), real_value(dtype, e, i), tolerance);
        else
            add_integer(c, i, integer_value(dtype, a, i), integer_value(dtype, e, i), tolerance);
    }
    finish(c, tolerance);
    return c;
}

std::pair<Comparison, Comparison> compare_routing(const Tensor &indices, const Tensor &weights,
                                                  const Tolerance &tolerance, const std::pair<Bytes, Bytes> &actual,
                                                  const std::pair<Bytes, Bytes> &expected)
{
    Comparison of_indices, of_weights;
    of_indices.output = indices.name;
    of_weights.output = weights.name;
    using Pair = std::pair<int64_t, double>;
    auto pair = [&](const std::pair<Bytes, Bytes> &from, size_t i) {
        return Pair{integer_value(indices.dtype, from.first.data(), i),
                    real_value(weights.dtype, from.second.data(), i)};
    };
    const size_t columns = indices.shape.empty() ? 1 : indices.shape.back();
    for (size_t first = 0; first < indices.elements(); first += columns) {
        std::vector<Pair> left;
        for (size_t i = first; i < first + columns; ++i) left.push_back(pair(expected, i));
        for (size_t at = first; at < first + columns; ++at) {
            const auto [index, weight] = pair(actual, at);
            auto partner = left.end();
            for (auto p = left.begin(); p != left.end(); ++p) {
                if (p->first != index) continue;
                if (partner == left.end() ||
                    nearer(std::fabs(p->second - weight), std::fabs(partner->second - weight)))
                    partner = p;
            }
            if (partner != left.end()) {
                of_indices.elements += 1;
                add_real(of_weights, at, weight, partner->second, tolerance);
                left.erase(partner);
            } else {
                const auto [expected_index, expected_weight] = pair(expected, at);
                add_integer(of_indices, at, index, expected_index, EXACT);
                add_real(of_weights, at, NAN, expected_weight, tolerance);
            }
        }
    }
    finish(of_indices, EXACT);
    finish(of_weights, tolerance);
    return {of_indices, of_weights};
}

void clear_missing(const Tensor &tensor, Bytes &bytes)
{
    if (tensor.rows.empty() || tensor.shape.empty()) return;
    const size_t groups = tensor.rows.size();
    const size_t rows = tensor.elements() / tensor.shape.back() / groups;
    const size_t width = bytes.size() / (rows * groups);
    for (size_t group = 0; group < groups; ++group) {
        const size_t first = (group * rows + std::min(tensor.rows[group], rows)) * width;
        std::fill(bytes.begin() + first, bytes.begin() + (group + 1) * rows * width, 0);
    }
}
