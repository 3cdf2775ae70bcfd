// Addresses, and moves between memories.
#pragma once

namespace pto {

// A tile at a byte address of its memory.
template <class Tile>
inline void TASSIGN(Tile &tile, size_t address)
{
    constexpr int space = host::space_of(Tile::Loc);
    host::equal("TASSIGN", "the address modulo 32", (long)(address % 32), 0);
    host::at_most("TASSIGN", "the end of the tile", (long)(address + Tile::BYTES), (long)host::context->bytes[space]);
    tile.start = reinterpret_cast<typename Tile::DType *>(host::context->memory[space] + address);
}

namespace host {

template <class T>
inline void copy(T *to, const T *from, int n)
{
    __builtin_memmove(to, from, (size_t)n * sizeof(T));
}

// Sixteen lines of memory, `stride` elements apart, as columns of a block of 16.
template <class T>
inline void interleave(T *to, const T *from, ptrdiff_t stride, int lines, int n)
{
    if (lines == LANES) {
        for (int k = 0; k < n; ++k)
            for (int j = 0; j < LANES; ++j) to[(ptrdiff_t)k * LANES + j] = from[j * stride + k];
        return;
    }
    for (int k = 0; k < n; ++k)
        for (int j = 0; j < lines; ++j) to[(ptrdiff_t)k * LANES + j] = from[j * stride + k];
}

// What a transfer moves on both sides.
template <class Tile, class Global>
inline void check_transfer(const char *name, const Tile &tile, const Global &global)
{
    static_assert(sizeof(typename Tile::DType) == sizeof(typename Global::DType), "a transfer converts nothing");
    equal(name, "rows in global memory and valid rows of the tile", global.rows(), tile.GetValidRow());
    equal(name, "columns in global memory and valid columns of the tile", global.cols(), tile.GetValidCol());
}

} // namespace host

// The valid part of the tile; what is outside of it keeps what it held.
template <class Tile, class Global>
inline void TLOAD(Tile &tile, const Global &global)
{
    static_assert(Tile::Loc == TileType::Vec || Tile::Loc == TileType::Mat);
    host::check_transfer("TLOAD", tile, global);
    const int rows = global.rows(), cols = global.cols();
    const ptrdiff_t down = global.row_stride(), right = global.col_stride();
    if constexpr (Tile::ORDER == host::Order::Rows) {
        if (right == 1) {
            for (int r = 0; r < rows; ++r) host::copy(&tile.at(r, 0), global.data + r * down, cols);
            return;
        }
    } else if constexpr (Tile::ORDER == host::Order::Column) {
        if (down == 1) {
            for (int c = 0; c < cols; ++c) host::copy(&tile.at(0, c), global.data + c * right, rows);
            return;
        }
    } else {
        if (down == 1) {
            for (int c = 0; c < cols; c += host::LANES) {
                const int lines = cols - c < host::LANES ? cols - c : host::LANES;
                host::interleave(&tile.at(0, c), global.data + c * right, right, lines, rows);
            }
            return;
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) tile.at(r, c) = global.data[r * down + c * right];
}

template <class Tile, class Global>
inline void TSTORE(const Global &global, Tile &tile)
{
    static_assert(Tile::Loc == TileType::Vec || Tile::Loc == TileType::Acc);
    host::check_transfer("TSTORE", tile, global);
    const int rows = global.rows(), cols = global.cols();
    const ptrdiff_t down = global.row_stride(), right = global.col_stride();
    if constexpr (Tile::ORDER == host::Order::Rows) {
        if (right == 1) {
            for (int r = 0; r < rows; ++r) host::copy(global.data + r * down, &tile.at(r, 0), cols);
            return;
        }
    } else if constexpr (Tile::ORDER == host::Order::Column) {
        if (down == 1) {
            for (int c = 0; c < cols; ++c) host::copy(global.data + c * right, &tile.at(0, c), rows);
            return;
        }
    } else {
        if (right == 1) {
            for (int r = 0; r < rows; ++r)
                for (int c = 0; c < cols; c += host::LANES) {
                    const int n = cols - c < host::LANES ? cols - c : host::LANES;
                    host::copy(global.data + r * down + c, &tile.at(r, c), n);
                }
            return;
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) global.data[r * down + c * right] = tile.at(r, c);
}

namespace host {

// The part of `src` from (row, col) on that `dst` has, which is `rows x cols`.
template <class Dst, class Src>
inline void part(Dst &dst, Src &src, int row, int col, int rows, int cols)
{
    static_assert(same<typename Dst::DType, typename Src::DType>, "a move converts nothing");
    if constexpr (Dst::ORDER == Order::Blocks && Src::ORDER == Order::Blocks) {
        if (col % LANES == 0) {
            for (int c = 0; c < cols; c += LANES) copy(&dst.at(0, c), &src.at(row, col + c), rows * LANES);
            return;
        }
    } else if constexpr (Dst::ORDER == Order::Rows && Src::ORDER == Order::Rows) {
        for (int r = 0; r < rows; ++r) copy(&dst.at(r, 0), &src.at(row + r, col), cols);
        return;
    }
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) dst.at(r, c) = src.at(row + r, col + c);
}

} // namespace host

// The valid part that both have.
template <class Dst, class Src>
inline void TMOV(Dst &dst, Src &src)
{
    static_assert(Dst::Rows == Src::Rows && Dst::Cols == Src::Cols, "both tiles have the same extents");
    const int r = dst.GetValidRow(), c = dst.GetValidCol();
    const int rows = src.GetValidRow() < r ? src.GetValidRow() : r;
    const int cols = src.GetValidCol() < c ? src.GetValidCol() : c;
    host::part(dst, src, 0, 0, rows, cols);
}

// A part of a tile in L1, as an operand of a product.
template <class Dst, class Src>
inline void TEXTRACT(Dst &dst, Src &src, int row, int col)
{
    static_assert(Src::Loc == TileType::Mat && (Dst::Loc == TileType::Left || Dst::Loc == TileType::Right));
    host::at_most("TEXTRACT", "the last row", row + dst.GetValidRow(), Src::Rows);
    host::at_most("TEXTRACT", "the last column", col + dst.GetValidCol(), Src::Cols);
    host::part(dst, src, row, col, dst.GetValidRow(), dst.GetValidCol());
}

} // namespace pto
