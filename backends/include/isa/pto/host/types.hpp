// Element types, and what a conversion does to one element. Where formats leave a choice:
//
// * float to a narrower float follows IEEE 754 in all modes, subnormals included; what is too large becomes infinity, or
//   the largest finite value where the mode rounds towards zero or away from that infinity;
// * float to integer rounds in the mode, then saturates; NaN becomes 0;
// * integer to float rounds once; integer to integer saturates;
// * NaN stays NaN with its sign and the upper bits of its payload, and becomes quiet.
#pragma once

namespace pto {

enum class RoundMode : uint8_t { CAST_NONE, CAST_RINT, CAST_ROUND, CAST_FLOOR, CAST_CEIL, CAST_TRUNC };
enum class SaturationMode : uint8_t { ON, OFF };

namespace host {

using f64 = double;

template <class To, class From>
constexpr To bits(From x)
{
    return __builtin_bit_cast(To, x);
}

// A float format narrower than f32: bits of its significand with the implicit one, exponents of the last bit of a
// subnormal and of the leading bit of the largest value.
struct Format {
    int precision, least, top;
};
inline constexpr Format FORMAT_F32 = {24, -149, 127};
inline constexpr Format FORMAT_BF16 = {8, -133, 127};
inline constexpr Format FORMAT_F16 = {11, -24, 15};

constexpr f64 pow2(int e)
{
    return bits<f64>((uint64_t)(e + 1023) << 52);
}

// `±magnitude * 2^exponent`, rounded once; exact as f32.
inline float round_to(Format f, bool negative, uint64_t magnitude, int exponent, RoundMode mode)
{
    const float sign = negative ? -1.0f : 1.0f;
    if (magnitude == 0) return 0.0f * sign;
    const int leading = 63 - __builtin_clzll(magnitude) + exponent;
    int last = leading - f.precision + 1;
    if (last < f.least) last = f.least;
    const int shift = last - exponent;
    uint64_t quotient = magnitude;
    if (shift <= 0) {
        last = exponent;
    } else {
        const uint64_t rest = shift < 64 ? magnitude & ((1ull << shift) - 1) : magnitude;
        // For a shift above 64 the rest is below half a unit.
        const uint64_t middle = shift <= 64 ? 1ull << (shift - 1) : 0;
        const bool above = middle && rest > middle, tie = middle && rest == middle;
        quotient = shift < 64 ? magnitude >> shift : 0;
        bool up = false;
        switch (mode) {
        case RoundMode::CAST_NONE:
        case RoundMode::CAST_RINT: up = above || (tie && (quotient & 1)); break;
        case RoundMode::CAST_ROUND: up = above || tie; break;
        case RoundMode::CAST_TRUNC: break;
        case RoundMode::CAST_FLOOR: up = negative && rest; break;
        case RoundMode::CAST_CEIL: up = !negative && rest; break;
        }
        quotient += up;
    }
    const f64 value = (f64)quotient * pow2(last);
    if (value < pow2(f.top + 1)) return (float)value * sign;
    const bool to_largest = mode == RoundMode::CAST_TRUNC || (mode == RoundMode::CAST_FLOOR && !negative) ||
                            (mode == RoundMode::CAST_CEIL && negative);
    const float largest = (float)((f64)((1ull << f.precision) - 1) * pow2(f.top - f.precision + 1));
    return sign * (to_largest ? largest : __builtin_inff());
}

// An f32 in a narrower format; NaN is the caller's.
inline float narrowed(Format f, float x, RoundMode mode)
{
    const uint32_t b = bits<uint32_t>(x);
    const int biased = (b >> 23) & 0xff;
    const uint32_t fraction = b & 0x7fffff;
    if (biased == 255) return x;
    return round_to(f, b >> 31, biased ? fraction | 0x800000 : fraction, biased ? biased - 150 : -149, mode);
}

// To nearest even, without branches.
constexpr uint16_t bf16_bits(float x)
{
    const uint32_t b = bits<uint32_t>(x);
    const uint32_t rounded = b + 0x7fff + ((b >> 16) & 1);
    return (uint16_t)(((b & 0x7fffffff) > 0x7f800000 ? b | 0x400000 : rounded) >> 16);
}

constexpr float bf16_value(uint16_t b)
{
    return bits<float>((uint32_t)b << 16);
}

// To nearest even, without branches. A subnormal is what an addition of 0.5 leaves in the last bits; others are rounded
// as integers, where a carry runs into the exponent as it should.
constexpr uint16_t f16_bits(float x)
{
    const uint32_t b = bits<uint32_t>(x);
    const uint32_t sign = (b >> 16) & 0x8000;
    const uint32_t a = b & 0x7fffffff;
    const uint32_t small = bits<uint32_t>(bits<float>(a) + 0.5f) - 0x3f000000;
    const uint32_t normal = (a - 0x38000000 + 0xfff + ((a >> 13) & 1)) >> 13;
    const uint32_t nan = 0x7e00 | (a >> 13 & 0x3ff);
    const uint32_t finite = a < 0x38800000 ? small : normal;
    const uint32_t large = a > 0x7f800000 ? nan : 0x7c00;
    return (uint16_t)(sign | (a >= 0x477ff000 ? large : finite));
}

constexpr float f16_value(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    const uint32_t m = (uint32_t)(h & 0x7fff) << 13;
    // Exponents are 112 apart; a subnormal becomes normal on the way.
    const uint32_t finite = bits<uint32_t>(bits<float>(m) * 0x1p112f);
    return bits<float>(sign | (m >= 0x0f800000 ? m | 0x7f800000 : finite));
}

} // namespace host
} // namespace pto

// IEEE 754 binary16.
struct half {
    uint16_t bits;
    half() = default;
    constexpr half(float x) : bits(pto::host::f16_bits(x)) {}
    constexpr operator float() const { return pto::host::f16_value(bits); }
};

// The upper half of an f32.
struct bfloat16_t {
    uint16_t bits;
    bfloat16_t() = default;
    constexpr bfloat16_t(float x) : bits(pto::host::bf16_bits(x)) {}
    constexpr operator float() const { return pto::host::bf16_value(bits); }
};

namespace pto::host {

template <class T>
inline constexpr bool is_float = false;
template <>
inline constexpr bool is_float<float> = true;
template <>
inline constexpr bool is_float<half> = true;
template <>
inline constexpr bool is_float<bfloat16_t> = true;

template <class A, class B>
inline constexpr bool same = false;
template <class A>
inline constexpr bool same<A, A> = true;

template <bool C, class A, class B>
struct ChooseOf {
    using type = A;
};
template <class A, class B>
struct ChooseOf<false, A, B> {
    using type = B;
};
// A if C, otherwise B.
template <bool C, class A, class B>
using Choose = typename ChooseOf<C, A, B>::type;

// Least and largest value of an integer type.
template <class T>
inline constexpr int64_t low = (T)-1 < (T)0 ? (int64_t)(~0ull << (8 * sizeof(T) - 1)) : 0;
template <class T>
inline constexpr int64_t high = (T)-1 < (T)0 ? ~low<T> : (int64_t)(~0ull >> (64 - 8 * sizeof(T)));

// Rounded to an integral value.
template <RoundMode M>
inline f64 integral(f64 x)
{
    if constexpr (M == RoundMode::CAST_ROUND) {
        // Half away from zero. What is added is below a half, so that nothing below a half goes up.
        return __builtin_trunc(x + __builtin_copysign(0x1.fffffffffffffp-2, x));
    } else if constexpr (M == RoundMode::CAST_FLOOR) {
        return __builtin_floor(x);
    } else if constexpr (M == RoundMode::CAST_CEIL) {
        return __builtin_ceil(x);
    } else if constexpr (M == RoundMode::CAST_TRUNC) {
        return __builtin_trunc(x);
    } else {
        return __builtin_rint(x);
    }
}

// A rounded value as an integer, saturated.
template <class T>
inline T saturated(f64 x)
{
    if constexpr (sizeof(T) == 8) {
        if (x >= 0x1p63) return high<T>;
        if (x < -0x1p63) return low<T>;
        return x == x ? (T)x : 0;
    } else {
        // Finite for the conversion, whatever is selected.
        f64 y = x < (f64)low<T> ? (f64)low<T> : x;
        y = y > (f64)high<T> ? (f64)high<T> : y;
        y = y == y ? y : 0.0;
        if constexpr (same<T, uint32_t>) return (T)(int64_t)y;
        return (T)(int32_t)y;
    }
}

// One element converted.
template <class To, RoundMode M, class From>
inline To convert(From x)
{
    constexpr bool nearest = M == RoundMode::CAST_RINT || M == RoundMode::CAST_NONE;
    if constexpr (same<To, From> && same<To, float>) {
        const float y = (float)integral<M>(x);
        return x == x ? y : x;
    } else if constexpr (same<To, From>) {
        return x;
    } else if constexpr (is_float<From> && is_float<To>) {
        if constexpr (nearest || same<To, float>) return To((float)x);
        constexpr Format format = same<To, half> ? FORMAT_F16 : FORMAT_BF16;
        const float y = x;
        return To(y == y ? narrowed(format, y, M) : y);
    } else if constexpr (is_float<From>) {
        return saturated<To>(integral<M>((float)x));
    } else if constexpr (same<To, float>) {
        if constexpr (nearest || sizeof(From) == 1) return (float)x;
        return round_to(FORMAT_F32, x < 0, x < 0 ? 0 - (uint64_t)x : (uint64_t)x, 0, M);
    } else if constexpr (is_float<To>) {
        if constexpr (same<To, half> && nearest && sizeof(From) <= 4) {
            // What f32 cannot hold is too large for f16, too.
            return half((float)x);
        }
        constexpr Format format = same<To, half> ? FORMAT_F16 : FORMAT_BF16;
        return To(round_to(format, x < 0, x < 0 ? 0 - (uint64_t)x : (uint64_t)x, 0, M));
    } else {
        const int64_t wide = x;
        return (To)(wide < low<To> ? low<To> : wide > high<To> ? high<To> : wide);
    }
}

} // namespace pto::host
