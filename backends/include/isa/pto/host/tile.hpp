// Tiles of on-chip memory, and rectangles of global memory.
//
// Rows and columns of a tile lie as the ISA has them for the unified buffer. The order inside the fractals of the cube's
// memories cannot be observed, since only loads, moves and products touch them; here the left operand is row-major, and
// the right operand and the accumulator are blocks of 16 columns, row after row, which is what the product reads.
#pragma once

namespace pto {

enum class TileType { Vec, Mat, Left, Right, Acc };
enum class BLayout { RowMajor, ColMajor };
enum class SLayout { NoneBox, RowMajor, ColMajor };
enum class Layout { ND, DN };

namespace host {

// Columns of a block of the right operand and of the accumulator.
inline constexpr int LANES = 16;

enum class Order { Rows, Column, Blocks };

constexpr Order order_of(TileType type, BLayout b, SLayout s)
{
    if (type == TileType::Right || type == TileType::Acc) return Order::Blocks;
    if (type == TileType::Mat && b == BLayout::RowMajor && s == SLayout::ColMajor) return Order::Blocks;
    if (type == TileType::Vec && b == BLayout::ColMajor) return Order::Column;
    return Order::Rows;
}

constexpr int space_of(TileType type)
{
    switch (type) {
    case TileType::Vec: return tilewright::UB;
    case TileType::Mat: return tilewright::L1;
    case TileType::Left: return tilewright::L0A;
    case TileType::Right: return tilewright::L0B;
    default: return tilewright::L0C;
    }
}

} // namespace host

// `RowValid` or `ColValid` of -1: set at run time.
template <TileType Type, class T, int R, int C, BLayout B, int RowValid = R, int ColValid = C, SLayout S = SLayout::NoneBox>
struct Tile {
    using DType = T;
    static constexpr TileType Loc = Type;
    static constexpr int Rows = R;
    static constexpr int Cols = C;
    static constexpr int ValidRow = RowValid;
    static constexpr int ValidCol = ColValid;
    static constexpr host::Order ORDER = host::order_of(Type, B, S);
    static constexpr bool isRowMajor = ORDER == host::Order::Rows;
    static constexpr size_t BYTES = (size_t)R * C * sizeof(T);
    static_assert(RowValid <= R && ColValid <= C, "the valid part is inside the tile");
    static_assert(ORDER != host::Order::Blocks || C % host::LANES == 0, "columns are a multiple of 16");
    static_assert(Type != TileType::Vec || (B == BLayout::RowMajor ? C : R) * sizeof(T) % 32 == 0,
                  "rows of a row-major tile and columns of a column-major one are a multiple of 32 bytes");

    T *start = nullptr;
    int rows = RowValid;
    int cols = ColValid;

    Tile() = default;

    int GetValidRow() const
    {
        if constexpr (RowValid >= 0) return RowValid;
        return rows;
    }
    int GetValidCol() const
    {
        if constexpr (ColValid >= 0) return ColValid;
        return cols;
    }
    void SetValidRow(int n)
    {
        static_assert(RowValid < 0, "the rows are not set at run time");
        host::at_most("SetValidRow", "valid rows", n, R);
        rows = n;
    }
    void SetValidCol(int n)
    {
        static_assert(ColValid < 0, "the columns are not set at run time");
        host::at_most("SetValidCol", "valid columns", n, C);
        cols = n;
    }
    // How the cube sums f32 on the NPU when K is padded; sums here are always of the valid part.
    void SetKAligned(bool) {}

    static constexpr size_t index(int r, int c)
    {
        if constexpr (ORDER == host::Order::Rows) return (size_t)r * C + c;
        if constexpr (ORDER == host::Order::Column) return (size_t)c * R + r;
        return (size_t)(c / host::LANES) * R * host::LANES + (size_t)r * host::LANES + c % host::LANES;
    }
    T *data() const { return start; }
    T &at(int r, int c) const { return start[index(r, c)]; }
    // By its place in memory.
    T GetValue(size_t i) const { return start[i]; }
    void SetValue(size_t i, T value) { start[i] = value; }
};

template <class T, int R, int C, int RowValid = R, int ColValid = C>
using TileLeft = Tile<TileType::Left, T, R, C, BLayout::RowMajor, RowValid, ColValid, SLayout::RowMajor>;
template <class T, int R, int C, int RowValid = R, int ColValid = C>
using TileRight = Tile<TileType::Right, T, R, C, BLayout::RowMajor, RowValid, ColValid, SLayout::ColMajor>;
template <class T, int R, int C, int RowValid = R, int ColValid = C>
using TileAcc = Tile<TileType::Acc, T, R, C, BLayout::ColMajor, RowValid, ColValid, SLayout::RowMajor>;

namespace host {

// Five extents, of which those that are -1 are given in order when one is made.
template <int... N>
struct Extents {
    static_assert(sizeof...(N) == 5);
    int n[5] = {N...};
    Extents() = default;
    template <class... I>
    explicit Extents(I... values)
    {
        static_assert(sizeof...(I) == ((N < 0) + ...), "one value for each extent that is -1");
        const int given[] = {(int)values...};
        const int *next = given;
        for (int &extent : n)
            if (extent < 0) extent = *next++;
    }
};

} // namespace host

template <int A, int B, int C, int D, int E>
struct Shape : host::Extents<A, B, C, D, E> {
    using host::Extents<A, B, C, D, E>::Extents;
    static constexpr bool one_matrix = A == 1 && B == 1 && C == 1;
    static constexpr int fixed[5] = {A, B, C, D, E};
};

template <int A, int B, int C, int D, int E>
struct Stride : host::Extents<A, B, C, D, E> {
    using host::Extents<A, B, C, D, E>::Extents;
    static constexpr int fixed[5] = {A, B, C, D, E};
};

// A matrix in global memory: element (r, c) is `stride[3] * r + stride[4] * c` elements after the first.
template <class T, class S, class D, Layout L = Layout::ND>
struct GlobalTensor {
    using DType = T;
    static_assert(S::one_matrix, "only the last two extents are more than 1");
    T *data;
    S shape;
    D stride;

    explicit GlobalTensor(T *p, S s = S(), D d = D()) : data(p), shape(s), stride(d) {}
    int rows() const { return extent<3>(shape); }
    int cols() const { return extent<4>(shape); }
    ptrdiff_t row_stride() const { return extent<3>(stride); }
    ptrdiff_t col_stride() const { return extent<4>(stride); }

private:
    // A constant where it can be one.
    template <int I, class X>
    static int extent(const X &x)
    {
        if constexpr (X::fixed[I] >= 0) return X::fixed[I];
        return x.n[I];
    }
};

} // namespace pto
