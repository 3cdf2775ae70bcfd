// CANN's runtime without an NPU. It keeps to what is promised and to no more: nothing that is given to a stream happens
// before somebody waits for a stream, and then streams run in the order that is worst for who forgot an event: the newest
// stream first, as far as it comes, and all of it before what is waited for is said to be done. Memory of the device is
// not the host's: a pointer to it is checked, and what is left at the end is told.
//
// STAND_IN_FAIL=CALL lets the first call of this name fail.
#include "include/acl/acl.h"

#include <tilewright/context.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Event {
    // Recorded in a stream, and that record was reached.
    bool recorded = false;
    bool over = false;
    Clock::time_point at;
};

struct Task {
    std::function<void()> run;
    // Waits for this, or records it.
    Event *wait = nullptr;
    Event *record = nullptr;
};

struct Stream {
    std::deque<Task> tasks;
};

std::string message;
bool ready = false;
std::vector<Stream *> streams;
// Beginning and size of what was allocated.
std::map<uint8_t *, size_t> memory;
size_t events = 0;

aclError refuse(const std::string &why)
{
    message = "stand-in: " + why;
    return 107000;
}

bool fails(const char *call)
{
    static bool done = false;
    const char *name = getenv("STAND_IN_FAIL");
    if (done || !name || strcmp(name, call) != 0) return false;
    done = true;
    return true;
}

#define BEGIN(call)                                                   \
    if (fails(call)) return refuse(std::string(call) + " was told to fail"); \
    if (!ready) return refuse(std::string(call) + " without aclInit and aclrtSetDevice")

// Whether these bytes are within one allocation.
bool on_device(const void *data, size_t bytes)
{
    auto next = memory.upper_bound((uint8_t *)data);
    if (next == memory.begin()) return false;
    const auto &[begin, size] = *--next;
    return (const uint8_t *)data + bytes <= begin + size;
}

// Runs the newest stream that can go on; false if none can.
bool step()
{
    for (auto s = streams.rbegin(); s != streams.rend(); ++s) {
        std::deque<Task> &tasks = (*s)->tasks;
        if (tasks.empty() || (tasks.front().wait && tasks.front().wait->recorded && !tasks.front().wait->over)) continue;
        const Task task = tasks.front();
        tasks.pop_front();
        if (task.run) task.run();
        if (task.record) {
            task.record->over = true;
            task.record->at = Clock::now();
        }
        return true;
    }
    return false;
}

// The memories of a core of A3.
tilewright::Context core()
{
    static const size_t bytes[tilewright::SPACES] = {192 << 10, 512 << 10, 64 << 10, 64 << 10, 128 << 10};
    static std::vector<uint8_t> space[tilewright::SPACES];
    tilewright::Context context{};
    for (int s = 0; s < tilewright::SPACES; ++s) {
        space[s].assign(bytes[s] + 64, 0xff);
        context.bytes[s] = bytes[s];
        context.memory[s] = (uint8_t *)(((uintptr_t)space[s].data() + 63) / 64 * 64);
    }
    return context;
}

} // namespace

void stand_in_launch(void *stream, uint32_t blocks, std::function<void(tilewright::Context &)> run)
{
    Task task;
    task.run = [=] {
        tilewright::Context context = core();
        context.blocks = blocks;
        for (context.block = 0; context.block < blocks; ++context.block) run(context);
    };
    static_cast<Stream *>(stream)->tasks.push_back(task);
}

extern "C" {

aclError aclInit(const char *)
{
    return fails("aclInit") ? refuse("aclInit was told to fail") : ACL_SUCCESS;
}

aclError aclFinalize()
{
    if (!memory.empty() || !streams.empty() || events > 0) {
        fprintf(stderr, "stand-in: left are %zu buffers, %zu streams, %zu events\n", memory.size(), streams.size(), events);
        exit(9);
    }
    ready = false;
    return ACL_SUCCESS;
}

const char *aclGetRecentErrMsg() { return message.c_str(); }

aclError aclrtSetDevice(int32_t device)
{
    if (fails("aclrtSetDevice") || device != 0) return refuse("there is no device " + std::to_string(device));
    ready = true;
    return ACL_SUCCESS;
}

aclError aclrtResetDevice(int32_t) { return ACL_SUCCESS; }

aclError aclrtMalloc(void **data, size_t bytes, aclrtMemMallocPolicy)
{
    BEGIN("aclrtMalloc");
    uint8_t *p = (uint8_t *)aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) return refuse("no memory");
    memory[p] = bytes;
    *data = p;
    return ACL_SUCCESS;
}

aclError aclrtFree(void *data)
{
    BEGIN("aclrtFree");
    if (memory.erase((uint8_t *)data) == 0) return refuse("aclrtFree of what was not allocated");
    free(data);
    return ACL_SUCCESS;
}

aclError aclrtMemset(void *data, size_t room, int32_t value, size_t bytes)
{
    BEGIN("aclrtMemset");
    if (bytes > room || !on_device(data, room)) return refuse("aclrtMemset beyond an allocation");
    memset(data, value, bytes);
    return ACL_SUCCESS;
}

aclError aclrtMemcpy(void *to, size_t room, const void *from, size_t bytes, aclrtMemcpyKind kind)
{
    BEGIN("aclrtMemcpy");
    const bool down = kind == ACL_MEMCPY_HOST_TO_DEVICE;
    if (bytes > room || !on_device(down ? to : from, bytes)) return refuse("aclrtMemcpy beyond an allocation");
    memcpy(to, from, bytes);
    return ACL_SUCCESS;
}

aclError aclrtCreateStream(aclrtStream *stream)
{
    BEGIN("aclrtCreateStream");
    streams.push_back(new Stream);
    *stream = streams.back();
    return ACL_SUCCESS;
}

aclError aclrtDestroyStream(aclrtStream stream)
{
    BEGIN("aclrtDestroyStream");
    for (size_t i = 0; i < streams.size(); ++i) {
        if (streams[i] != stream) continue;
        if (!streams[i]->tasks.empty()) return refuse("a stream with work is destroyed");
        delete streams[i];
        streams.erase(streams.begin() + i);
        return ACL_SUCCESS;
    }
    return refuse("aclrtDestroyStream of no stream");
}

aclError aclrtSynchronizeStream(aclrtStream stream)
{
    BEGIN("aclrtSynchronizeStream");
    while (!static_cast<Stream *>(stream)->tasks.empty())
        if (!step()) return refuse("streams wait for each other");
    return ACL_SUCCESS;
}

aclError aclrtCreateEvent(aclrtEvent *event)
{
    BEGIN("aclrtCreateEvent");
    *event = new Event;
    events += 1;
    return ACL_SUCCESS;
}

aclError aclrtDestroyEvent(aclrtEvent event)
{
    BEGIN("aclrtDestroyEvent");
    delete static_cast<Event *>(event);
    events -= 1;
    return ACL_SUCCESS;
}

aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream)
{
    BEGIN("aclrtRecordEvent");
    Event *e = static_cast<Event *>(event);
    if (e->recorded) return refuse("an event is recorded twice");
    e->recorded = true;
    Task task;
    task.record = e;
    static_cast<Stream *>(stream)->tasks.push_back(task);
    return ACL_SUCCESS;
}

// Of an event that is not recorded yet, nothing is waited for.
aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event)
{
    BEGIN("aclrtStreamWaitEvent");
    Event *e = static_cast<Event *>(event);
    if (!e->recorded) return refuse("an event is waited for that nobody records");
    Task task;
    task.wait = e;
    static_cast<Stream *>(stream)->tasks.push_back(task);
    return ACL_SUCCESS;
}

aclError aclrtEventElapsedTime(float *ms, aclrtEvent start, aclrtEvent end)
{
    BEGIN("aclrtEventElapsedTime");
    const Event *a = static_cast<Event *>(start), *b = static_cast<Event *>(end);
    if (!a->over || !b->over) return refuse("an event is not over");
    *ms = std::chrono::duration<float, std::milli>(b->at - a->at).count();
    return ACL_SUCCESS;
}

} // extern "C"
