// norm_square: a vector kernel of norm, for 910B4. Made by tilewright.
//
//   covers   norm, square
//   launch   parallel, 8 blocks (rows 8)
//   tiles    T_TILE = 1, D_TILE = 4096, D_TILE_SUM = 16384
//   pipeline 4 loads in flight
//   memory   UB 176.0 of 184 KiB
//
// note: more than 8 event ids from V to MTE2: neighbouring flags are merged
// note: more than 8 event ids from MTE2 to V: neighbouring flags are merged

#include <pto/pto-inst.hpp>

using namespace pto;

constexpr int D_TILE = 4096;
constexpr int D_TILE_SUM = 16384;
constexpr int CHUNK0_TRIPS = 4;
constexpr int WEIGHT_COLS = 16384;
constexpr int X_COLS = 16384;
constexpr int Z_COLS = 16384;

// A rectangle of a row-major matrix in global memory whose rows are LD elements apart.
template <typename T, int R, int C, int LD>
using GmTile = GlobalTensor<T, pto::Shape<1, 1, 1, R, C>, pto::Stride<LD, LD, LD, LD, 1>, Layout::ND>;

// One value a row.
template <typename T, int R, int VR = R>
using VecColumn = Tile<TileType::Vec, T, R, 1, BLayout::ColMajor, VR, 1>;

// A tile of the unified buffer.
template <typename T, int R, int C, int VR = R, int VC = C>
using VecTile = Tile<TileType::Vec, T, R, C, BLayout::RowMajor, VR, VC>;

__global__ AICORE void norm_square(__gm__ bfloat16_t *x, __gm__ bfloat16_t *weight, __gm__ float *z)
{
#if defined(__DAV_VEC__) || defined(__CPU_SIM) || defined(__COSTMODEL)
    const int row_block = get_block_idx();

    // Unified buffer: 176.0 of 184 KiB.
    VecTile<float, 1, 8, 1, 1> y_sum_row;  // a column as a row
    VecTile<bfloat16_t, 1, D_TILE_SUM> x_tile;
    VecTile<float, 1, D_TILE_SUM> y_x;
    VecTile<float, 1, D_TILE_SUM> y_square;
    VecTile<float, 1, 8192> y_square_left;
    VecTile<float, 1, 8192> y_square_right;  // y_square, from byte 32768 on
    VecTile<float, 1, 8192> halve_sum;
    VecTile<float, 1, D_TILE> halve_sum_left;
    VecTile<float, 1, D_TILE> halve_sum_right;  // halve_sum, from byte 16384 on
    VecTile<float, 1, D_TILE> halve_sum_2;
    VecTile<float, 1, 2048> halve_sum_2_left;
    VecTile<float, 1, 2048> halve_sum_2_right;  // halve_sum_2, from byte 8192 on
    VecTile<float, 1, 2048> halve_sum_3;
    VecTile<float, 1, 1024> halve_sum_3_left;
    VecTile<float, 1, 1024> halve_sum_3_right;  // halve_sum_3, from byte 4096 on
    VecTile<float, 1, 1024> halve_sum_4;
    VecTile<float, 1, 512> halve_sum_4_left;
    VecTile<float, 1, 512> halve_sum_4_right;  // halve_sum_4, from byte 2048 on
    VecTile<float, 1, 512> halve_sum_5;
    VecTile<float, 1, 256> halve_sum_5_left;
    VecTile<float, 1, 256> halve_sum_5_right;  // halve_sum_5, from byte 1024 on
    VecTile<float, 1, 256> halve_sum_6;
    VecTile<float, 1, 128> halve_sum_6_left;
    VecTile<float, 1, 128> halve_sum_6_right;  // halve_sum_6, from byte 512 on
    VecTile<float, 1, 128> halve_sum_7;
    VecTile<float, 1, 64> halve_sum_7_left;
    VecTile<float, 1, 64> halve_sum_7_right;  // halve_sum_7, from byte 256 on
    VecTile<float, 1, 64> halve_sum_8;
    VecTile<float, 1, 64> y_sum_tmp;
    VecTile<bfloat16_t, 1, D_TILE> x_2[4];
    VecTile<float, 1, D_TILE> y_x_2;
    VecTile<float, 1, 8, 1, 1> y_mean_row;  // a column as a row
    VecTile<float, 1, 8, 1, 1> y_mean_eps_row;  // a column as a row
    VecTile<float, 1, 8, 1, 1> y_rms_row;  // a column as a row
    VecTile<float, 1, 8, 1, 1> y_inv_rms_const_row;  // a column as a row
    VecColumn<float, 8, 1> y_inv_rms;
    VecTile<float, 1, 8, 1, 1> y_inv_rms_row;  // y_inv_rms, a column as a row
    VecTile<float, 1, D_TILE> y_unit;
    VecTile<float, 8, 8> y_unit_tmp;
    VecTile<bfloat16_t, 1, D_TILE> weight_tile[4];
    VecTile<float, 1, D_TILE> y_weight;
    VecTile<float, 1, D_TILE> y_weighted;
    VecTile<bfloat16_t, 1, D_TILE> y;
    VecTile<float, 1, D_TILE> y_f32;
    VecTile<float, 1, D_TILE> z_tile[4];
    TASSIGN(y_sum_row, 0x00100);
    TASSIGN(x_tile, 0x10000);
    TASSIGN(y_x, 0x00000);
    TASSIGN(y_square, 0x10000);
    TASSIGN(y_square_left, 0x10000);
    TASSIGN(y_square_right, 0x18000);
    TASSIGN(halve_sum, 0x00000);
    TASSIGN(halve_sum_left, 0x00000);
    TASSIGN(halve_sum_right, 0x04000);
    TASSIGN(halve_sum_2, 0x08000);
    TASSIGN(halve_sum_2_left, 0x08000);
    TASSIGN(halve_sum_2_right, 0x0a000);
    TASSIGN(halve_sum_3, 0x00000);
    TASSIGN(halve_sum_3_left, 0x00000);
    TASSIGN(halve_sum_3_right, 0x01000);
    TASSIGN(halve_sum_4, 0x02000);
    TASSIGN(halve_sum_4_left, 0x02000);
    TASSIGN(halve_sum_4_right, 0x02800);
    TASSIGN(halve_sum_5, 0x00000);
    TASSIGN(halve_sum_5_left, 0x00000);
    TASSIGN(halve_sum_5_right, 0x00400);
    TASSIGN(halve_sum_6, 0x00800);
    TASSIGN(halve_sum_6_left, 0x00800);
    TASSIGN(halve_sum_6_right, 0x00a00);
    TASSIGN(halve_sum_7, 0x00000);
    TASSIGN(halve_sum_7_left, 0x00000);
    TASSIGN(halve_sum_7_right, 0x00100);
    TASSIGN(halve_sum_8, 0x00200);
    TASSIGN(y_sum_tmp, 0x00000);
    TASSIGN(x_2[0], 0x10000);
    TASSIGN(x_2[1], 0x12000);
    TASSIGN(x_2[2], 0x14000);
    TASSIGN(x_2[3], 0x16000);
    TASSIGN(y_x_2, 0x20000);
    TASSIGN(y_mean_row, 0x00000);
    TASSIGN(y_mean_eps_row, 0x00020);
    TASSIGN(y_rms_row, 0x00000);
    TASSIGN(y_inv_rms_const_row, 0x00020);
    TASSIGN(y_inv_rms, 0x2c000);
    TASSIGN(y_inv_rms_row, 0x2c000);
    TASSIGN(y_unit, 0x24000);
    TASSIGN(y_unit_tmp, 0x28000);
    TASSIGN(weight_tile[0], 0x18000);
    TASSIGN(weight_tile[1], 0x1a000);
    TASSIGN(weight_tile[2], 0x1c000);
    TASSIGN(weight_tile[3], 0x1e000);
    TASSIGN(y_weight, 0x20000);
    TASSIGN(y_weighted, 0x28000);
    TASSIGN(y, 0x24000);
    TASSIGN(y_f32, 0x20000);
    TASSIGN(z_tile[0], 0x00000);
    TASSIGN(z_tile[1], 0x04000);
    TASSIGN(z_tile[2], 0x08000);
    TASSIGN(z_tile[3], 0x0c000);

    // Every buffer is free to be written.
    set_flag(PIPE_V, PIPE_MTE2, EVENT_ID1);
    set_flag(PIPE_V, PIPE_MTE2, EVENT_ID2);
    set_flag(PIPE_V, PIPE_MTE2, EVENT_ID3);
    set_flag(PIPE_V, PIPE_MTE2, (event_t)4);
    set_flag(PIPE_MTE3, PIPE_V, EVENT_ID0);
    set_flag(PIPE_MTE3, PIPE_V, EVENT_ID1);
    set_flag(PIPE_MTE3, PIPE_V, EVENT_ID2);
    set_flag(PIPE_MTE3, PIPE_V, EVENT_ID3);
    GmTile<bfloat16_t, 1, D_TILE_SUM, X_COLS> x_gm(x + row_block * X_COLS);
    TLOAD(x_tile, x_gm);
    set_flag(PIPE_MTE2, PIPE_V, EVENT_ID0);
    wait_flag(PIPE_MTE2, PIPE_V, EVENT_ID0);
    TCVT(y_x, x_tile, RoundMode::CAST_RINT);
    pipe_barrier(PIPE_V);
    TMUL(y_square, y_x, y_x);
    pipe_barrier(PIPE_V);
    TADD(halve_sum, y_square_left, y_square_right);
    set_flag(PIPE_V, PIPE_MTE2, EVENT_ID0);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_2, halve_sum_left, halve_sum_right);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_3, halve_sum_2_left, halve_sum_2_right);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_4, halve_sum_3_left, halve_sum_3_right);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_5, halve_sum_4_left, halve_sum_4_right);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_6, halve_sum_5_left, halve_sum_5_right);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_7, halve_sum_6_left, halve_sum_6_right);
    pipe_barrier(PIPE_V);
    TADD(halve_sum_8, halve_sum_7_left, halve_sum_7_right);
    pipe_barrier(PIPE_V);
    TROWSUM(y_sum_row, halve_sum_8, y_sum_tmp);
    pipe_barrier(PIPE_V);
    TMULS(y_mean_row, y_sum_row, 6.1035156e-5f);
    pipe_barrier(PIPE_V);
    TADDS(y_mean_eps_row, y_mean_row, 1e-6f);
    pipe_barrier(PIPE_V);
    TSQRT(y_rms_row, y_mean_eps_row);
    pipe_barrier(PIPE_V);
    TEXPANDS(y_inv_rms_const_row, 1.0f);
    pipe_barrier(PIPE_V);
    TDIV(y_inv_rms_row, y_inv_rms_const_row, y_rms_row);
    wait_flag(PIPE_V, PIPE_MTE2, EVENT_ID0);

    // Trips overlap: what is moved has 4 buffers.
    for (int chunk0 = 0; chunk0 < CHUNK0_TRIPS; ++chunk0) {
        GmTile<bfloat16_t, 1, D_TILE, X_COLS> x_gm2(x + row_block * X_COLS + chunk0 * D_TILE);
        TLOAD(x_2[chunk0 % 4], x_gm2);
        wait_flag(PIPE_V, PIPE_MTE2, (event_t)(1 + chunk0 % 4));
        GmTile<bfloat16_t, 1, D_TILE, WEIGHT_COLS> weight_gm(weight + chunk0 * D_TILE);
        TLOAD(weight_tile[chunk0 % 4], weight_gm);
        set_flag(PIPE_MTE2, PIPE_V, (event_t)(1 + chunk0 % 4));
        wait_flag(PIPE_MTE2, PIPE_V, (event_t)(1 + chunk0 % 4));
        pipe_barrier(PIPE_V);
        TCVT(y_x_2, x_2[chunk0 % 4], RoundMode::CAST_RINT);
        set_flag(PIPE_V, PIPE_MTE2, (event_t)(1 + chunk0 % 4));
        pipe_barrier(PIPE_V);
        TROWEXPANDMUL(y_unit, y_x_2, y_inv_rms, y_unit_tmp);
        pipe_barrier(PIPE_V);
        TCVT(y_weight, weight_tile[chunk0 % 4], RoundMode::CAST_RINT);
        pipe_barrier(PIPE_V);
        TMUL(y_weighted, y_unit, y_weight);
        pipe_barrier(PIPE_V);
        TCVT(y, y_weighted, RoundMode::CAST_RINT);
        pipe_barrier(PIPE_V);
        TCVT(y_f32, y, RoundMode::CAST_RINT);
        wait_flag(PIPE_MTE3, PIPE_V, (event_t)(chunk0 % 4));
        pipe_barrier(PIPE_V);
        TMUL(z_tile[chunk0 % 4], y_f32, y_f32);
        set_flag(PIPE_V, PIPE_MTE3, (event_t)(chunk0 % 4));
        wait_flag(PIPE_V, PIPE_MTE3, (event_t)(chunk0 % 4));
        GmTile<float, 1, D_TILE, Z_COLS> z_gm(z + row_block * Z_COLS + chunk0 * D_TILE);
        TSTORE(z_gm, z_tile[chunk0 % 4]);
        set_flag(PIPE_MTE3, PIPE_V, (event_t)(chunk0 % 4));
    }

    // No flag stays set.
    wait_flag(PIPE_V, PIPE_MTE2, EVENT_ID1);
    wait_flag(PIPE_V, PIPE_MTE2, EVENT_ID2);
    wait_flag(PIPE_V, PIPE_MTE2, EVENT_ID3);
    wait_flag(PIPE_V, PIPE_MTE2, (event_t)4);
    wait_flag(PIPE_MTE3, PIPE_V, EVENT_ID0);
    wait_flag(PIPE_MTE3, PIPE_V, EVENT_ID1);
    wait_flag(PIPE_MTE3, PIPE_V, EVENT_ID2);
    wait_flag(PIPE_MTE3, PIPE_V, EVENT_ID3);
#endif
}
