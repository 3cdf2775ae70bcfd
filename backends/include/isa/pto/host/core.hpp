// The core that runs a block: its memories, its place in the launch, and what flags and barriers are here.
#pragma once

#include <tilewright/context.hpp>

#define AICORE
#define __gm__
#define __global__

// No iteration of the loop that follows depends on another one: operands are one and the same tile, or share no byte.
#if defined(__clang__)
#define PTO_HOST_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define PTO_HOST_LOOP _Pragma("GCC ivdep")
#endif

namespace pto {

namespace host {

inline thread_local const tilewright::Context *context = nullptr;

// While it lives, the thread runs this block.
struct Scope {
    explicit Scope(const tilewright::Context &c) { context = &c; }
    ~Scope() { context = nullptr; }
    Scope(const Scope &) = delete;
};

// An instruction that the ISA does not allow with these operands ends the process; the runner knows the kernel.
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse(const char *instruction, const char *rule, long found, long need)
{
    fprintf(stderr, "%s: %s: %ld, needs %ld\n", instruction, rule, found, need);
    fflush(stderr);
    abort();
}

inline void equal(const char *instruction, const char *rule, long found, long need)
{
    if (__builtin_expect(found != need, 0)) refuse(instruction, rule, found, need);
}

inline void at_most(const char *instruction, const char *rule, long found, long limit)
{
    if (__builtin_expect(found > limit, 0)) refuse(instruction, rule, found, limit);
}

} // namespace host

enum pipe_t { PIPE_S, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_FIX, PIPE_ALL };
enum event_t { EVENT_ID0, EVENT_ID1, EVENT_ID2, EVENT_ID3, EVENT_ID4, EVENT_ID5, EVENT_ID6, EVENT_ID7 };
enum cache_line_t { SINGLE_CACHE_LINE, ENTIRE_DATA_CACHE };
enum mem_dsb_t { DSB_DDR };

inline void set_flag(pipe_t, pipe_t, event_t) {}
inline void wait_flag(pipe_t, pipe_t, event_t) {}
inline void pipe_barrier(pipe_t) {}
// Kernels start after those before have finished, which is when their stores are visible.
inline void dcci(const void *, cache_line_t) {}
inline void dsb(mem_dsb_t) {}

inline int get_block_idx() { return (int)host::context->block; }
inline int get_block_num() { return (int)host::context->blocks; }
// Of a block's vector cores, which one.
inline int get_subblockid() { return host::context->core > 0 ? (int)host::context->core - 1 : 0; }

// Flags between the cores of a block; what a core has done when it sets one is done here.
inline void set_ffts_base_addr(uint64_t) {}

inline void ffts_cross_core_sync(pipe_t, uint64_t message)
{
    tilewright::Cross *cross = host::context->cross;
    cross->set(cross, host::context->core, (uint32_t)(message >> 8 & 15));
}

inline void wait_flag_dev(int64_t flag)
{
    tilewright::Cross *cross = host::context->cross;
    cross->wait(cross, host::context->core, (uint32_t)flag);
}

} // namespace pto

