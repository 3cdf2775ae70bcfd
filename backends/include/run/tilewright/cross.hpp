// Cross-core flags for headers that have none: PTO-ISA's CPU simulator, which knows them only inside of its TPUSH and TPOP.
#pragma once

#include <tilewright/context.hpp>

namespace tilewright {
inline thread_local const Context *current = nullptr;
} // namespace tilewright

template <class Pipe>
inline void ffts_cross_core_sync(Pipe, uint64_t message)
{
    const tilewright::Context *c = tilewright::current;
    c->cross->set(c->cross, c->core, (uint32_t)(message >> 8 & 15));
}

inline void wait_flag_dev(int64_t flag)
{
    const tilewright::Context *c = tilewright::current;
    c->cross->wait(c->cross, c->core, (uint32_t)flag);
}
