#include "compare.hpp"

#include "values.hpp"

#include <algorithm>
#include <cmath>

namespace {

const Tolerance EXACT;

// Of a row at most one element in so many may be an outlier, and each at most this share of the scale off: an allowance for some
// elements must not cover a row that is wrong as a whole.
const size_t ROW_SHARE = 4;
const double OUTLIER_SIZE = 0.25;
// Rows with fewer columns share the scale of the whole tensor. What is so many times the lower quartile does not count.
const size_t NARROW = 16;
const double HUGE_SHARE = 1024;

double scale(const double *values, size_t count)
{
    std::vector<double> of;
    for (size_t i = 0; i < count; ++i)
        if (values[i] != 0 && std::isfinite(values[i])) of.push_back(std::fabs(values[i]));
    if (of.empty()) return 0;
    std::sort(of.begin(), of.end());
    const double quartile = of[of.size() / 4];
    double squares = 0;
    size_t counted = 0;
    for (double v : of) {
        if (v > HUGE_SHARE * quartile) break;
        squares += (v / quartile) * (v / quartile);
        counted += 1;
    }
    return quartile * std::sqrt(squares / double(counted));
}

// A comparison that goes on, row by row.
struct Tally {
    Comparison c;
    const Tolerance &tolerance;
    size_t columns;
    bool real;
    std::vector<double> scales;
    size_t row = 0, in_row = 0, worst_row = 0;
    bool beyond = false;

    Tally(const Tolerance &tolerance, const std::vector<double> &expected, size_t columns, bool real)
        : tolerance(tolerance), columns(std::max<size_t>(columns, 1)), real(real)
    {
        if (this->columns < NARROW) {
            scales.push_back(scale(expected.data(), expected.size()));
            return;
        }
        for (size_t i = 0; i < expected.size(); i += this->columns)
            scales.push_back(scale(&expected[i], std::min(this->columns, expected.size() - i)));
    }

    void record(size_t index, double off, double expected)
    {
        c.elements += 1;
        if (off == 0) return;
        if (off > c.max_abs) {
            c.max_abs = off;
            c.worst = (long long)index;
        }
        const double size = std::fabs(expected);
        if (expected != 0 && std::isfinite(expected)) c.max_rel = std::max(c.max_rel, off / size);
        const size_t at = index / columns;
        const double s = scales.empty() ? 0 : scales[scales.size() == 1 ? 0 : at];
        const double allowed = tolerance.atol + tolerance.of_scale * s + tolerance.rtol * size;
        // With an infinity expected, any number is infinitely far, whatever the relative part says.
        if (std::isfinite(off) && off <= allowed) return;
        c.mismatched += 1;
        if (at != row) in_row = 0;
        row = at;
        worst_row = std::max(worst_row, ++in_row);
        const double reach = std::max({OUTLIER_SIZE * std::max(s, size), real ? 0.0 : 1.0, allowed});
        beyond |= std::isinf(off) || off > std::min(reach, tolerance.max_off);
    }

    void add_real(size_t index, double actual, double expected)
    {
        const bool same = actual == expected || (std::isnan(actual) && std::isnan(expected));
        const double off = std::fabs(actual - expected);
        record(index, same ? 0 : std::isnan(off) ? INFINITY : off, expected);
    }

    void add_integer(size_t index, int64_t actual, int64_t expected)
    {
        const uint64_t off =
            actual > expected ? uint64_t(actual) - uint64_t(expected) : uint64_t(expected) - uint64_t(actual);
        record(index, double(off), double(expected));
    }

    Comparison finish(const std::string &output)
    {
        c.output = output;
        c.ok = !beyond && double(c.mismatched) <= tolerance.fraction * double(c.elements) &&
               worst_row <= columns / ROW_SHARE;
        return c;
    }
};

// Where a row has an index more than once, the one with the nearest weight; NaN is the furthest.
bool nearer(double a, double b) { return !std::isnan(a) && (std::isnan(b) || a < b); }

} // namespace

Comparison compare(const Tensor &tensor, const Tolerance &tolerance, const Bytes &actual, const Bytes &expected)
{
    const Dtype dtype = tensor.dtype;
    const bool real = is_float(dtype);
    const uint8_t *a = actual.data(), *e = expected.data();
    std::vector<double> values;
    for (size_t i = 0; i < tensor.elements(); ++i)
        values.push_back(real ? real_value(dtype, e, i) : double(integer_value(dtype, e, i)));
    Tally tally(tolerance, values, tensor.shape.empty() ? 1 : tensor.shape.back(), real);
    for (size_t i = 0; i < tensor.elements(); ++i) {
        if (real)
            tally.add_real(i, real_value(dtype, a, i), values[i]);
        else
            tally.add_integer(i, integer_value(dtype, a, i), integer_value(dtype, e, i));
    }
    return tally.finish(tensor.name);
}

std::pair<Comparison, Comparison> compare_routing(const Tensor &indices, const Tensor &weights,
                                                  const Tolerance &tolerance, const std::pair<Bytes, Bytes> &actual,
                                                  const std::pair<Bytes, Bytes> &expected)
{
    using Pair = std::pair<int64_t, double>;
    auto pair = [&](const std::pair<Bytes, Bytes> &from, size_t i) {
        return Pair{integer_value(indices.dtype, from.first.data(), i),
                    real_value(weights.dtype, from.second.data(), i)};
    };
    const size_t columns = indices.shape.empty() ? 1 : indices.shape.back();
    std::vector<double> values;
    for (size_t i = 0; i < indices.elements(); ++i) values.push_back(pair(expected, i).second);
    Tally of_indices(EXACT, {}, columns, false), of_weights(tolerance, values, columns, true);
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
                of_indices.c.elements += 1;
                of_weights.add_real(at, weight, partner->second);
                left.erase(partner);
            } else {
                const auto [expected_index, expected_weight] = pair(expected, at);
                of_indices.add_integer(at, index, expected_index);
                of_weights.add_real(at, NAN, expected_weight);
            }
        }
    }
    return {of_indices.finish(indices.name), of_weights.finish(weights.name)};
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
