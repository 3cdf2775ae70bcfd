// Elements of tensors as numbers.
#pragma once

#include "layer.hpp"

#include <cmath>
#include <cstring>

inline bool is_float(Dtype dtype) { return dtype == Dtype::F32 || dtype == Dtype::Bf16 || dtype == Dtype::F16; }

template <class T>
T element(const uint8_t *data, size_t i)
{
    T value;
    memcpy(&value, data + i * sizeof(T), sizeof(T));
    return value;
}

inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// IEEE binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
inline double half_value(uint16_t bits)
{
    const double sign = bits >> 15 ? -1.0 : 1.0;
    const int exponent = (bits >> 10) & 31;
    const int fraction = bits & 1023;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(1024 + fraction, exponent - 25);
}

inline double real_value(Dtype dtype, const uint8_t *data, size_t i)
{
    switch (dtype) {
    case Dtype::F32: return element<float>(data, i);
    case Dtype::Bf16: return from_bits(uint32_t(element<uint16_t>(data, i)) << 16);
    default: return half_value(element<uint16_t>(data, i));
    }
}

inline int64_t integer_value(Dtype dtype, const uint8_t *data, size_t i)
{
    switch (dtype) {
    case Dtype::I8: return element<int8_t>(data, i);
    case Dtype::I32: return element<int32_t>(data, i);
    case Dtype::U32: return element<uint32_t>(data, i);
    default: return element<int64_t>(data, i);
    }
}
