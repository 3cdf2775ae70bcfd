// Products. Those of floats are summed in f32, for each element in ascending k, rounded after the multiplication and after
// the addition; those of int8 in int32, modulo 2^32.
#pragma once

namespace pto {
namespace host {

typedef float Floats __attribute__((vector_size(LANES * 4)));
// Unsigned: sums wrap around.
typedef uint32_t Ints __attribute__((vector_size(LANES * 4)));

template <class V>
inline V load(const void *p)
{
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

// M rows of the left operand, `lda` elements apart, against one block of 16 columns.
template <int M, class V, class E>
inline void rows_by_block(E *acc, const E *a, ptrdiff_t lda, const E *b, int k, bool accumulate)
{
    V sum[M];
    for (int m = 0; m < M; ++m) sum[m] = accumulate ? load<V>(acc + m * LANES) : V{};
    for (int i = 0; i < k; ++i) {
        const V column = load<V>(b + (ptrdiff_t)i * LANES);
        for (int m = 0; m < M; ++m) sum[m] += a[m * lda + i] * column;
    }
    for (int m = 0; m < M; ++m) __builtin_memcpy(acc + m * LANES, &sum[m], sizeof(V));
}

// Operands in the type that they are summed in: as they are, or converted into a buffer.
template <class E, class T, int N>
struct Widened {
    alignas(64) E buffer[N];
    const E *of(const T *p, int n)
    {
        PTO_HOST_LOOP
        for (int i = 0; i < n; ++i) buffer[i] = (E)p[i];
        return buffer;
    }
};
template <class E, int N>
struct Widened<E, E, N> {
    const E *of(const E *p, int) { return p; }
};

template <class Acc, class Left, class Right>
inline void product(const char *name, Acc &acc, Left &left, Right &right, bool accumulate)
{
    using T = typename Left::DType;
    constexpr bool ints = same<T, int8_t>;
    static_assert(same<T, typename Right::DType> && (ints || is_float<T>));
    static_assert(same<typename Acc::DType, int32_t> == ints && (ints || same<typename Acc::DType, float>));
    static_assert(Acc::Loc == TileType::Acc && Left::Loc == TileType::Left && Right::Loc == TileType::Right);
    using E = Choose<ints, uint32_t, float>;
    using V = Choose<ints, Ints, Floats>;
    const int m = left.GetValidRow(), k = left.GetValidCol(), n = right.GetValidCol();
    equal(name, "rows of the right operand and columns of the left one", right.GetValidRow(), k);
    equal(name, "rows of the result and of the left operand", acc.GetValidRow(), m);
    equal(name, "columns of the result and of the right operand", acc.GetValidCol(), n);
    Widened<E, T, Left::Rows * Left::Cols> wide_left;
    Widened<E, T, Right::Rows * LANES> wide_right;
    const E *a = wide_left.of(left.data(), m * Left::Cols);
    for (int c = 0; c < n; c += LANES) {
        const E *b = wide_right.of(&right.at(0, c), k * LANES);
        E *out = reinterpret_cast<E *>(&acc.at(0, c));
        int r = 0;
        for (; r + 8 <= m; r += 8)
            rows_by_block<8, V>(out + r * LANES, a + (ptrdiff_t)r * Left::Cols, Left::Cols, b, k, accumulate);
        for (; r < m; ++r)
            rows_by_block<1, V>(out + r * LANES, a + (ptrdiff_t)r * Left::Cols, Left::Cols, b, k, accumulate);
    }
}

} // namespace host

template <class Acc, class Left, class Right>
inline void TMATMUL(Acc &acc, Left &left, Right &right)
{
    host::product("TMATMUL", acc, left, right, false);
}

// `acc = before + left x right`; `before` is `acc`.
template <class Acc, class Left, class Right>
inline void TMATMUL_ACC(Acc &acc, Acc &before, Left &left, Right &right)
{
    host::equal("TMATMUL_ACC", "result and sum are one tile", &acc == &before, 1);
    host::product("TMATMUL_ACC", acc, left, right, true);
}

} // namespace pto
