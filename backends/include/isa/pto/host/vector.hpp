// The vector unit: element-wise arithmetic, broadcasts, reductions, conversions.
//
// * f16 is computed in f32 and rounded once; i32 saturates.
// * max and min are IEEE 754-2019 maximum and minimum: NaN goes through, and -0 is below +0.
// * exp and log are computed in f64 and rounded once.
// * A row reduction takes element c to lane c % 64, in ascending columns, and then the lanes in a pairwise tree (lane i and
//   lane i + 32, then 16, 8, 4, 2, 1); lanes beyond the columns take no part.
#pragma once

namespace pto {
namespace host {

// What an element is computed as.
template <class T>
struct Lane;
template <>
struct Lane<float> {
    using type = float;
    static float get(float x) { return x; }
    static float put(float x) { return x; }
};
template <>
struct Lane<half> {
    using type = float;
    static float get(half x) { return x; }
    static half put(float x) { return x; }
};
template <>
struct Lane<int32_t> {
    using type = int64_t;
    static int64_t get(int32_t x) { return x; }
    static int32_t put(int64_t x) { return (int32_t)(x < low<int32_t> ? low<int32_t> : x > high<int32_t> ? high<int32_t> : x); }
};

inline float maximum(float a, float b)
{
    // Equal values differ in the sign of zero at most.
    const float equal = bits<float>(bits<uint32_t>(a) & bits<uint32_t>(b));
    const float larger = a > b ? a : a < b ? b : equal;
    return a != a ? a : b != b ? b : larger;
}
inline float minimum(float a, float b)
{
    const float equal = bits<float>(bits<uint32_t>(a) | bits<uint32_t>(b));
    const float smaller = a < b ? a : a > b ? b : equal;
    return a != a ? a : b != b ? b : smaller;
}
inline int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }

#define PTO_HOST_OP(name, expression) \
    struct name { \
        template <class V> \
        V operator()(V a, V b) const { return expression; } \
    };
PTO_HOST_OP(Add, a + b)
PTO_HOST_OP(Sub, a - b)
PTO_HOST_OP(Mul, a * b)
PTO_HOST_OP(Div, a / b)
PTO_HOST_OP(Max, maximum(a, b))
PTO_HOST_OP(Min, minimum(a, b))
#undef PTO_HOST_OP

template <class Dst, class Src>
inline void check_elements(const char *name, const Dst &dst, const Src &src)
{
    static_assert(Dst::Loc == TileType::Vec && Src::Loc == TileType::Vec && Dst::isRowMajor && Src::isRowMajor,
                  "element-wise instructions take row-major tiles of the unified buffer");
    equal(name, "valid rows", src.GetValidRow(), dst.GetValidRow());
    equal(name, "valid columns", src.GetValidCol(), dst.GetValidCol());
}

// Rows that lie one after the other are one.
template <class Dst, class Src>
inline void join(const Dst &, const Src &, int &rows, int &cols)
{
    if constexpr (Dst::Cols == Src::Cols) {
        if (cols == Dst::Cols) {
            cols *= rows;
            rows = 1;
        }
    }
}

// `dst = f(src)`, element by element.
template <class Dst, class Src, class F>
inline void map(const char *name, Dst &dst, Src &src, F f)
{
    check_elements(name, dst, src);
    int rows = dst.GetValidRow(), cols = dst.GetValidCol();
    join(dst, src, rows, cols);
    for (int r = 0; r < rows; ++r) {
        auto *y = &dst.at(r, 0);
        const auto *x = &src.at(r, 0);
        PTO_HOST_LOOP
        for (int c = 0; c < cols; ++c) y[c] = f(x[c]);
    }
}

// As `map`, in the type that elements are computed as.
template <class Dst, class Src, class F>
inline void compute(const char *name, Dst &dst, Src &src, F f)
{
    using T = typename Dst::DType;
    static_assert(same<T, typename Src::DType>, "one type");
    map(name, dst, src, [f](T x) { return Lane<T>::put(f(Lane<T>::get(x))); });
}

template <class F, class Dst, class A, class B>
inline void binary(const char *name, Dst &dst, A &a, B &b)
{
    using T = typename Dst::DType;
    using L = Lane<T>;
    static_assert(same<T, typename A::DType> && same<T, typename B::DType>, "one type");
    check_elements(name, dst, a);
    check_elements(name, dst, b);
    int rows = dst.GetValidRow(), cols = dst.GetValidCol();
    if constexpr (Dst::Cols == B::Cols) join(dst, a, rows, cols);
    for (int r = 0; r < rows; ++r) {
        T *z = &dst.at(r, 0);
        const T *x = &a.at(r, 0), *y = &b.at(r, 0);
        PTO_HOST_LOOP
        for (int c = 0; c < cols; ++c) z[c] = L::put(F()(L::get(x[c]), L::get(y[c])));
    }
}

template <class F, class Dst, class Src>
inline void scalar(const char *name, Dst &dst, Src &src, typename Dst::DType value)
{
    const auto y = Lane<typename Dst::DType>::get(value);
    compute(name, dst, src, [y](auto x) { return F()(x, y); });
}

// `dst [R, C] = a [R, C] op b [R, 1]`; a tile for the values spread out is not needed here.
template <class F, class Dst, class A, class B>
inline void row_expand(const char *name, Dst &dst, A &a, B &b)
{
    using T = typename Dst::DType;
    using L = Lane<T>;
    static_assert(same<T, typename A::DType> && same<T, typename B::DType>, "one type");
    static_assert(B::Loc == TileType::Vec && B::ORDER == Order::Column, "the second operand is a column");
    check_elements(name, dst, a);
    equal(name, "valid rows of the column", b.GetValidRow(), dst.GetValidRow());
    for (int r = 0; r < dst.GetValidRow(); ++r) {
        T *z = &dst.at(r, 0);
        const T *x = &a.at(r, 0);
        const auto y = L::get(b.at(r, 0));
        PTO_HOST_LOOP
        for (int c = 0; c < dst.GetValidCol(); ++c) z[c] = L::put(F()(L::get(x[c]), y));
    }
}

// `dst [R, C] = a [R, C] op b [1, C]`.
template <class F, class Dst, class A, class B>
inline void col_expand(const char *name, Dst &dst, A &a, B &b)
{
    using T = typename Dst::DType;
    using L = Lane<T>;
    static_assert(same<T, typename A::DType> && same<T, typename B::DType>, "one type");
    static_assert(B::Loc == TileType::Vec && B::isRowMajor, "the second operand is a row");
    check_elements(name, dst, a);
    equal(name, "valid columns of the row", b.GetValidCol(), dst.GetValidCol());
    const T *y = &b.at(0, 0);
    for (int r = 0; r < dst.GetValidRow(); ++r) {
        T *z = &dst.at(r, 0);
        const T *x = &a.at(r, 0);
        PTO_HOST_LOOP
        for (int c = 0; c < dst.GetValidCol(); ++c) z[c] = L::put(F()(L::get(x[c]), L::get(y[c])));
    }
}

// Lanes of a reduction.
inline constexpr int REDUCED = 64;

template <class F, class Dst, class Src>
inline void row_reduce(const char *name, Dst &dst, Src &src)
{
    using T = typename Dst::DType;
    using L = Lane<T>;
    using V = typename L::type;
    static_assert(same<T, typename Src::DType>, "one type");
    static_assert(Dst::Loc == TileType::Vec && Src::Loc == TileType::Vec && Src::isRowMajor, "the source is row-major");
    equal(name, "valid rows of the result", dst.GetValidRow(), src.GetValidRow());
    equal(name, "valid columns of the result", dst.GetValidCol(), 1);
    const F f;
    const int cols = src.GetValidCol();
    const int count = cols < REDUCED ? cols : REDUCED;
    for (int r = 0; r < src.GetValidRow(); ++r) {
        const T *x = &src.at(r, 0);
        V lane[REDUCED];
        for (int c = 0; c < count; ++c) lane[c] = L::get(x[c]);
        int c = count;
        for (; c + REDUCED <= cols; c += REDUCED)
            for (int i = 0; i < REDUCED; ++i) lane[i] = f(lane[i], L::get(x[c + i]));
        for (int i = 0; c + i < cols; ++i) lane[i] = f(lane[i], L::get(x[c + i]));
        if (count == REDUCED) {
            for (int half = REDUCED / 2; half > 0; half /= 2)
                for (int i = 0; i < half; ++i) lane[i] = f(lane[i], lane[i + half]);
        } else {
            for (int half = REDUCED / 2; half > 0; half /= 2)
                for (int i = 0; i < half && i + half < count; ++i) lane[i] = f(lane[i], lane[i + half]);
        }
        dst.at(r, 0) = L::put(lane[0]);
    }
}

} // namespace host

#define PTO_HOST_BINARY(NAME, F) \
    template <class Dst, class A, class B> \
    inline void T##NAME(Dst &dst, A &a, B &b) { host::binary<host::F>("T" #NAME, dst, a, b); } \
    template <class Dst, class Src> \
    inline void T##NAME##S(Dst &dst, Src &src, typename Dst::DType value) { host::scalar<host::F>("T" #NAME "S", dst, src, value); } \
    template <class Dst, class A, class B> \
    inline void TROWEXPAND##NAME(Dst &dst, A &a, B &b) { host::row_expand<host::F>("TROWEXPAND" #NAME, dst, a, b); } \
    template <class Dst, class A, class B, class Tmp> \
    inline void TROWEXPAND##NAME(Dst &dst, A &a, B &b, Tmp &) { host::row_expand<host::F>("TROWEXPAND" #NAME, dst, a, b); } \
    template <class Dst, class A, class B> \
    inline void TCOLEXPAND##NAME(Dst &dst, A &a, B &b) { host::col_expand<host::F>("TCOLEXPAND" #NAME, dst, a, b); }
PTO_HOST_BINARY(ADD, Add)
PTO_HOST_BINARY(SUB, Sub)
PTO_HOST_BINARY(MUL, Mul)
PTO_HOST_BINARY(DIV, Div)
PTO_HOST_BINARY(MAX, Max)
PTO_HOST_BINARY(MIN, Min)
#undef PTO_HOST_BINARY

#define PTO_HOST_UNARY(NAME, expression) \
    template <class Dst, class Src> \
    inline void NAME(Dst &dst, Src &src) { host::compute(#NAME, dst, src, [](auto x) { return expression; }); }
PTO_HOST_UNARY(TEXP, (float)__builtin_exp((double)x))
PTO_HOST_UNARY(TLOG, (float)__builtin_log((double)x))
PTO_HOST_UNARY(TSQRT, __builtin_sqrtf(x))
PTO_HOST_UNARY(TABS, x < 0 || x == 0 ? 0 - x : x)
PTO_HOST_UNARY(TRELU, x <= 0 ? decltype(x)(0) : x)
PTO_HOST_UNARY(TNEG, -x)
#undef PTO_HOST_UNARY

#define PTO_HOST_REDUCE(NAME, F) \
    template <class Dst, class Src, class Tmp> \
    inline void NAME(Dst &dst, Src &src, Tmp &) { host::row_reduce<host::F>(#NAME, dst, src); }
PTO_HOST_REDUCE(TROWSUM, Add)
PTO_HOST_REDUCE(TROWMAX, Max)
PTO_HOST_REDUCE(TROWMIN, Min)
#undef PTO_HOST_REDUCE

template <class Dst>
inline void TEXPANDS(Dst &dst, typename Dst::DType value)
{
    static_assert(Dst::Loc == TileType::Vec && Dst::isRowMajor);
    for (int r = 0; r < dst.GetValidRow(); ++r) {
        auto *y = &dst.at(r, 0);
        for (int c = 0; c < dst.GetValidCol(); ++c) y[c] = value;
    }
}

namespace host {

template <RoundMode M, class Dst, class Src>
inline void cvt(Dst &dst, Src &src)
{
    map("TCVT", dst, src, [](typename Src::DType x) { return convert<typename Dst::DType, M>(x); });
}

} // namespace host

template <class Dst, class Src>
[[gnu::always_inline]] inline void TCVT(Dst &dst, Src &src, RoundMode mode, SaturationMode saturation = SaturationMode::ON)
{
    host::equal("TCVT", "saturation", (long)saturation, (long)SaturationMode::ON);
    switch (mode) {
    case RoundMode::CAST_NONE:
    case RoundMode::CAST_RINT: return host::cvt<RoundMode::CAST_RINT>(dst, src);
    case RoundMode::CAST_ROUND: return host::cvt<RoundMode::CAST_ROUND>(dst, src);
    case RoundMode::CAST_FLOOR: return host::cvt<RoundMode::CAST_FLOOR>(dst, src);
    case RoundMode::CAST_CEIL: return host::cvt<RoundMode::CAST_CEIL>(dst, src);
    case RoundMode::CAST_TRUNC: return host::cvt<RoundMode::CAST_TRUNC>(dst, src);
    }
}

} // namespace pto
