// Sorting, gathering, index rows. A pair is 8 bytes: an f32 value, then 32 index bits, which are copied as they are. Order
// is descending by value and stable; NaN comes before all numbers, and -0 equals +0.
#pragma once

namespace pto {

struct MrgSortExecutedNumList {
    uint16_t mrgSortList0, mrgSortList1, mrgSortList2, mrgSortList3;
};

enum class MaskPattern { P0101 = 1, P1010 = 2 };

namespace host {

struct Pair {
    uint32_t value, index;
};

// An integer that is larger for what goes first, and equal for what is equal.
inline int32_t rank(uint32_t value)
{
    const uint32_t magnitude = value & 0x7fffffff;
    const int32_t number = value >> 31 ? -(int32_t)magnitude : (int32_t)magnitude;
    return magnitude > 0x7f800000 ? INT32_MAX : number;
}

// Sorted runs of `n` pairs each, one after the other, into one; of equal values the earlier run's goes first.
template <int RUNS>
inline void merge(Pair *to, const Pair *const *from, const int *n)
{
    int next[RUNS] = {};
    int total = 0;
    for (int i = 0; i < RUNS; ++i) total += n[i];
    for (int k = 0; k < total; ++k) {
        int best = -1;
        int32_t most = 0;
        for (int i = 0; i < RUNS; ++i) {
            if (next[i] == n[i]) continue;
            const int32_t r = rank(from[i][next[i]].value);
            if (best < 0 || r > most) {
                best = i;
                most = r;
            }
        }
        to[k] = from[best][next[best]++];
    }
}

template <class Tile>
inline Pair *pairs(const char *name, Tile &tile)
{
    static_assert(Tile::Loc == TileType::Vec && Tile::isRowMajor && same<typename Tile::DType, float>, "pairs are in rows of f32");
    equal(name, "valid rows", tile.GetValidRow(), 1);
    return reinterpret_cast<Pair *>(tile.data());
}

} // namespace host

// Each 32 values with their indices.
template <class Dst, class Src, class Index>
inline void TSORT32(Dst &dst, Src &src, Index &index)
{
    static_assert(host::same<typename Src::DType, float> && host::same<typename Index::DType, uint32_t>);
    host::Pair *out = host::pairs("TSORT32", dst);
    const int n = src.GetValidCol();
    host::equal("TSORT32", "values modulo 32", n % 32, 0);
    host::equal("TSORT32", "indices", index.GetValidCol(), n);
    host::equal("TSORT32", "columns of the pairs", dst.GetValidCol(), 2 * n);
    for (int at = 0; at < n; at += 32) {
        const uint32_t *x = reinterpret_cast<const uint32_t *>(src.data()) + at;
        const uint32_t *i = index.data() + at;
        int32_t key[32], place[32] = {};
        for (int k = 0; k < 32; ++k) key[k] = host::rank(x[k]);
        // How many go before.
        for (int j = 0; j < 32; ++j)
            for (int k = 0; k < 32; ++k) place[k] += key[j] > key[k] || (key[j] == key[k] && j < k);
        for (int k = 0; k < 32; ++k) out[at + place[k]] = {x[k], i[k]};
    }
}

// Runs of `length` elements, which are two a pair, four at a time.
template <class Dst, class Src>
inline void TMRGSORT(Dst &dst, Src &src, int length)
{
    host::Pair *out = host::pairs("TMRGSORT", dst);
    const host::Pair *in = host::pairs("TMRGSORT", src);
    const int cols = src.GetValidCol();
    host::equal("TMRGSORT", "the length of a run modulo 64", length % 64, 0);
    host::equal("TMRGSORT", "columns modulo four runs", cols % (4 * length), 0);
    const int n = length / 2;
    const int counts[4] = {n, n, n, n};
    for (int at = 0; at < cols / 2; at += 4 * n) {
        const host::Pair *runs[4] = {in + at, in + at + n, in + at + 2 * n, in + at + 3 * n};
        host::merge<4>(out + at, runs, counts);
    }
}

// Two lists, by way of `tmp`.
template <class Dst, class Tmp, class A, class B, bool EXHAUSTED>
inline void TMRGSORT(Dst &dst, MrgSortExecutedNumList &counts, Tmp &tmp, A &a, B &b)
{
    static_assert(!EXHAUSTED, "both lists are merged to their ends");
    host::Pair *out = host::pairs("TMRGSORT", dst), *through = host::pairs("TMRGSORT", tmp);
    const host::Pair *lists[2] = {host::pairs("TMRGSORT", a), host::pairs("TMRGSORT", b)};
    const int n[2] = {a.GetValidCol() / 2, b.GetValidCol() / 2};
    host::at_most("TMRGSORT", "pairs of both lists", n[0] + n[1], tmp.GetValidCol() / 2);
    host::at_most("TMRGSORT", "pairs of the result", dst.GetValidCol() / 2, n[0] + n[1]);
    host::merge<2>(through, lists, n);
    host::copy(out, through, dst.GetValidCol() / 2);
    counts = {(uint16_t)n[0], (uint16_t)n[1], 0, 0};
}

// The first or the second of each two elements.
template <class Dst, class Src, MaskPattern P>
inline void TGATHER(Dst &dst, Src &src)
{
    static_assert(P == MaskPattern::P0101 || P == MaskPattern::P1010);
    static_assert(host::same<typename Dst::DType, typename Src::DType> && Dst::isRowMajor && Src::isRowMajor);
    host::equal("TGATHER", "valid columns of the result", dst.GetValidCol(), Dst::Cols);
    host::at_most("TGATHER", "elements taken", 2 * dst.GetValidCol(), src.GetValidCol());
    constexpr int first = P == MaskPattern::P1010;
    for (int r = 0; r < dst.GetValidRow(); ++r)
        for (int c = 0; c < dst.GetValidCol(); ++c) dst.at(r, c) = src.at(r, 2 * c + first);
}

// `dst[r, c]` is the element of `src` that `index[r, c]` counts.
template <class Dst, class Src, class Index, class Tmp>
inline void TGATHER(Dst &dst, Src &src, Index &index, Tmp &)
{
    static_assert(host::same<typename Dst::DType, typename Src::DType> && sizeof(typename Index::DType) == 4);
    host::equal("TGATHER", "valid columns of the result", dst.GetValidCol(), index.GetValidCol());
    for (int r = 0; r < index.GetValidRow(); ++r)
        for (int c = 0; c < index.GetValidCol(); ++c) {
            const long i = (long)index.at(r, c);
            if (i < 0 || i >= (long)Src::Rows * Src::Cols) host::refuse("TGATHER", "an index", i, (long)Src::Rows * Src::Cols);
            dst.at(r, c) = src.data()[i];
        }
}

// `start, start + 1, ...`, or downwards.
template <class Dst, class T, int DESCENDING>
inline void TCI(Dst &dst, T start)
{
    static_assert(host::same<T, typename Dst::DType> && sizeof(T) >= 2);
    for (int c = 0; c < dst.GetValidCol(); ++c) dst.at(0, c) = DESCENDING ? (T)(start - (T)c) : (T)(start + (T)c);
}

} // namespace pto
