// Counters in windows, which ranks tell each other by how far they are: comm::TNOTIFY and comm::TWAIT.
//
// Here these two are all that orders threads: what a block did before it notified is seen by those who have waited for
// it. A wait that nobody can end ends the process.
#pragma once

#include "../pto-inst.hpp"

#include <sched.h>
#include <time.h>

namespace pto::comm {

enum class NotifyOp : uint8_t { AtomicAdd, Set };
enum class WaitCmp : uint8_t { EQ, NE, GT, GE, LT, LE };

// One counter.
struct Signal {
    using DType = int32_t;
    int32_t *counter;
    explicit Signal(int32_t *p) : counter(p) {}
    int32_t *data() const { return counter; }
};

inline void TNOTIFY(Signal &signal, int32_t value, NotifyOp op)
{
    if (op == NotifyOp::AtomicAdd)
        __atomic_fetch_add(signal.counter, value, __ATOMIC_ACQ_REL);
    else
        __atomic_store_n(signal.counter, value, __ATOMIC_RELEASE);
    __atomic_fetch_add(host::context->progress, 1, __ATOMIC_ACQ_REL);
}

namespace host_wait {

// Times in milliseconds for which nothing happens while all blocks wait, until that counts as for ever.
constexpr int NAP = 1, PATIENCE = 5000;

inline bool holds(int32_t found, int32_t than, WaitCmp how)
{
    switch (how) {
    case WaitCmp::EQ: return found == than;
    case WaitCmp::NE: return found != than;
    case WaitCmp::GT: return found > than;
    case WaitCmp::GE: return found >= than;
    case WaitCmp::LT: return found < than;
    case WaitCmp::LE: return found <= than;
    }
    return false;
}

} // namespace host_wait

inline void TWAIT(Signal &signal, int32_t value, WaitCmp how)
{
    const auto found = [&] { return __atomic_load_n(signal.counter, __ATOMIC_ACQUIRE); };
    for (int spin = 0; spin < 1000; ++spin) {
        if (host_wait::holds(found(), value, how)) return;
        sched_yield();
    }
    const tilewright::Context &core = *host::context;
    __atomic_fetch_add(core.waiting, 1, __ATOMIC_ACQ_REL);
    uint32_t seen = __atomic_load_n(core.progress, __ATOMIC_ACQUIRE);
    for (int idle = 0; !host_wait::holds(found(), value, how); idle += host_wait::NAP) {
        const timespec nap = {0, host_wait::NAP * 1000000};
        nanosleep(&nap, nullptr);
        const uint32_t now = __atomic_load_n(core.progress, __ATOMIC_ACQUIRE);
        const uint32_t waiting = __atomic_load_n(core.waiting, __ATOMIC_ACQUIRE);
        if (now != seen || waiting < __atomic_load_n(core.running, __ATOMIC_ACQUIRE)) idle = 0;
        seen = now;
        if (idle >= host_wait::PATIENCE) pto::host::refuse("TWAIT", "nobody notifies: the counter is", found(), value);
    }
    __atomic_fetch_add(core.progress, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_sub(core.waiting, 1, __ATOMIC_ACQ_REL);
}

} // namespace pto::comm
