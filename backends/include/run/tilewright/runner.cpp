// Runs kernels one after the other, the blocks of each on threads, and all ranks side by side. The job is a file, a line a
// thing:
//
//   threads N                           of all ranks together, for kernels that do not talk to other ranks
//   ranks N
//   layers N                            runs of all kernels, one after the other
//   memory UB L1 L0A L0B L0C            bytes of a core's memories
//   tensor BYTES                        global memory of each rank, bytes of 0xff
//   window BYTES                        as a tensor, in the memory that other ranks reach, zeros
//   input RANK TENSOR FILE              contents
//   scalars RANK S SCALAR*S             values
//   kernel TALKS CORES BLOCKS T TENSOR*T S SCALAR*S LIBRARY
//                                       cores of a block: 3 of a mixed kernel, else 1;
//                                       tensors and scalars by number; `p` is the table of window memories, `r` the rank,
//                                       `e` the number of the layer run, from 1 on
//   carry TENSOR TENSOR                 output that becomes an input of the next layer run
//   output RANK TENSOR FILE
//
// All blocks of a kernel that talks run at once. Standard output: `start R K` before kernel K on rank R, `done R K
// NANOSECONDS` after it, in every layer run. A page that faults stands behind each tensor.
#include <tilewright/context.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace tilewright;

namespace {

[[noreturn]] void fail(const char *what, const std::string &which, const char *why)
{
    fprintf(stderr, "%s %s: %s\n", what, which.c_str(), why);
    exit(2);
}

const size_t PAGE = (size_t)sysconf(_SC_PAGESIZE);

size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

// Fresh memory, a multiple of pages.
uint8_t *fresh(size_t bytes)
{
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) fail("memory", std::to_string(bytes) + " bytes", strerror(errno));
    return (uint8_t *)p;
}

// Bytes that end, but for what an alignment of 64 bytes takes, where a page that faults begins.
uint8_t *guarded(uint8_t *start, size_t bytes, int filler)
{
    if (mprotect(start + pages(bytes), PAGE, PROT_NONE) != 0) fail("memory", std::to_string(bytes) + " bytes", strerror(errno));
    uint8_t *data = start + (pages(bytes) - bytes) / 64 * 64;
    if (filler) memset(data, filler, bytes);
    return data;
}

struct Tensor {
    size_t bytes = 0;
    bool window = false;
};

// What one rank has.
struct Rank {
    std::vector<uint8_t *> tensors;
    std::vector<int32_t> scalars;
    uint8_t *windows = nullptr;
};

struct Kernel {
    bool talks = false;
    uint32_t cores = 1;
    uint32_t blocks = 0;
    std::vector<std::string> tensors, scalars;
    std::string library;
    Entry *entry = nullptr;
};

struct File {
    size_t rank = 0, tensor = 0;
    std::string name;
};

struct Job {
    // Blocks of a rank that may run at once.
    size_t at_once = 1;
    size_t threads = 1, ranks = 1, layers = 1;
    size_t memory[SPACES] = {};
    std::vector<Tensor> tensors;
    std::vector<Kernel> kernels;
    std::vector<File> inputs, outputs;
    std::vector<std::pair<size_t, size_t>> carried;
    std::vector<std::vector<int32_t>> scalars;
};

std::string word(FILE *f)
{
    char text[32];
    if (fscanf(f, "%31s", text) != 1) fail("job", "file", "a word is missing");
    return text;
}

template <class T>
T number(FILE *f)
{
    long long n = 0;
    if (fscanf(f, "%lld", &n) != 1) fail("job", "file", "a number is missing");
    return (T)n;
}

std::string rest(FILE *f)
{
    std::string text;
    int c = getc(f);
    while (c == ' ') c = getc(f);
    for (; c != '\n' && c != EOF; c = getc(f)) text.push_back((char)c);
    return text;
}

File file(FILE *f)
{
    File x;
    x.rank = number<size_t>(f);
    x.tensor = number<size_t>(f);
    x.name = rest(f);
    return x;
}

std::vector<std::string> words(FILE *f)
{
    std::vector<std::string> all(number<size_t>(f));
    for (std::string &w : all) w = word(f);
    return all;
}

Job read_job(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) fail("job", path, strerror(errno));
    Job job;
    char key_text[16];
    while (fscanf(f, "%15s", key_text) == 1) {
        const std::string key = key_text;
        if (key == "threads") {
            job.threads = number<size_t>(f);
        } else if (key == "ranks") {
            job.ranks = number<size_t>(f);
            job.scalars.resize(job.ranks);
        } else if (key == "layers") {
            job.layers = number<size_t>(f);
        } else if (key == "memory") {
            for (size_t &bytes : job.memory) bytes = number<size_t>(f);
        } else if (key == "tensor" || key == "window") {
            Tensor t;
            t.bytes = number<size_t>(f);
            t.window = key == "window";
            job.tensors.push_back(t);
        } else if (key == "scalars") {
            const size_t rank = number<size_t>(f);
            for (const std::string &w : words(f)) job.scalars.at(rank).push_back((int32_t)atoll(w.c_str()));
        } else if (key == "kernel") {
            Kernel k;
            k.talks = number<int>(f) != 0;
            k.cores = number<uint32_t>(f);
            k.blocks = number<uint32_t>(f);
            k.tensors = words(f);
            k.scalars = words(f);
            k.library = rest(f);
            job.kernels.push_back(k);
        } else if (key == "carry") {
            const size_t from = number<size_t>(f);
            job.carried.emplace_back(from, number<size_t>(f));
        } else if (key == "input") {
            job.inputs.push_back(file(f));
        } else if (key == "output") {
            job.outputs.push_back(file(f));
        } else {
            fail("job", key, "no such line");
        }
    }
    fclose(f);
    return job;
}

// Global memory: windows of a rank lie together, at offsets that are the same on all ranks.
std::vector<Rank> memory_of_ranks(const Job &job)
{
    size_t reach = 0;
    for (const Tensor &t : job.tensors)
        if (t.window) reach += pages(t.bytes) + PAGE;
    std::vector<Rank> ranks(job.ranks);
    for (size_t r = 0; r < job.ranks; ++r) {
        Rank &rank = ranks[r];
        rank.scalars = job.scalars[r];
        rank.windows = reach ? fresh(reach) : nullptr;
        uint8_t *next = rank.windows;
        for (const Tensor &t : job.tensors) {
            if (t.window) {
                rank.tensors.push_back(guarded(next, t.bytes, 0));
                next += pages(t.bytes) + PAGE;
            } else {
                rank.tensors.push_back(guarded(fresh(pages(t.bytes) + PAGE), t.bytes, 0xff));
            }
        }
    }
    for (const File &f : job.inputs) {
        const size_t bytes = job.tensors.at(f.tensor).bytes;
        FILE *in = fopen(f.name.c_str(), "rb");
        if (!in || fread(ranks.at(f.rank).tensors[f.tensor], 1, bytes, in) != bytes) fail("input", f.name, strerror(errno));
        fclose(in);
    }
    return ranks;
}

// Counts that all blocks share.
struct Counts {
    uint32_t running = 0, waiting = 0, progress = 0;
};

// The memories of one core.
struct Core {
    Context context{};
    Core(const Job &job, Counts &counts)
    {
        for (int s = 0; s < SPACES; ++s) {
            context.bytes[s] = job.memory[s];
            context.memory[s] = guarded(fresh(pages(job.memory[s]) + PAGE), job.memory[s], 0xff);
        }
        context.running = &counts.running;
        context.waiting = &counts.waiting;
        context.progress = &counts.progress;
    }
};

// The flags between the cores of one block.
struct Flags : Cross {
    // Sets that are still to be waited for, by flag and by the vector core that set them or is to wait for them.
    uint32_t count[CORES][16] = {};
    // The flag that each core waits for; NONE, or GONE when it is at its end.
    enum : uint32_t { NONE = 16, GONE = 17 };
    uint32_t waits[CORES] = {NONE, NONE, NONE};
    std::mutex mutex;
    std::condition_variable changed;

    Flags()
    {
        set = [](Cross *self, uint32_t core, uint32_t flag) {
            Flags &f = *(Flags *)self;
            std::lock_guard<std::mutex> lock(f.mutex);
            f.each(core, [&](uint32_t c) { ++f.count[c][flag]; });
            f.changed.notify_all();
        };
        wait = [](Cross *self, uint32_t core, uint32_t flag) {
            Flags &f = *(Flags *)self;
            std::unique_lock<std::mutex> lock(f.mutex);
            f.waits[core] = flag;
            f.look();
            f.changed.wait(lock, [&] { return f.raised(core, flag); });
            f.waits[core] = NONE;
            f.each(core, [&](uint32_t c) { --f.count[c][flag]; });
        };
    }

    // A core is at its end.
    void leave(uint32_t core)
    {
        std::lock_guard<std::mutex> lock(mutex);
        waits[core] = GONE;
        look();
    }

    // Ends the process when no core can go on: the runner's caller knows the kernel.
    void look()
    {
        uint32_t stuck = CORES;
        for (uint32_t c = 0; c < CORES; ++c) {
            if (waits[c] == NONE || (waits[c] < NONE && raised(c, waits[c]))) return;
            if (waits[c] < NONE) stuck = c;
        }
        if (stuck == CORES) return;
        fprintf(stderr, "deadlock: core %u of a block waits for cross-core flag %u\n", stuck, waits[stuck]);
        fflush(stderr);
        abort();
    }

    // The counters that a core of either side shares with the other side.
    template <class F>
    void each(uint32_t core, F f)
    {
        if (core > 0) return f(core);
        for (uint32_t c = 1; c < CORES; ++c) f(c);
    }

    bool raised(uint32_t core, uint32_t flag)
    {
        bool all = true;
        each(core, [&](uint32_t c) { all = all && count[c][flag] > 0; });
        return all;
    }
};

void say(const char *what, size_t rank, size_t kernel, long long nanoseconds)
{
    static std::mutex one;
    const std::lock_guard<std::mutex> lock(one);
    if (nanoseconds < 0)
        printf("%s %zu %zu\n", what, rank, kernel);
    else
        printf("%s %zu %zu %lld\n", what, rank, kernel, nanoseconds);
    fflush(stdout);
}

// All that one rank does.
void run_rank(const Job &job, const std::vector<Rank> &ranks, size_t r, std::vector<Core> &cores)
{
    const Rank &rank = ranks[r];
    std::vector<uint64_t> bases;
    for (const Rank &other : ranks) bases.push_back((uint64_t)other.windows);
    for (size_t layer = 1; layer <= job.layers; ++layer) {
        for (size_t i = 0; i < job.kernels.size(); ++i) {
            const Kernel &k = job.kernels[i];
            std::vector<void *> tensors;
            for (const std::string &t : k.tensors)
                tensors.push_back(t == "p" ? (void *)bases.data() : rank.tensors.at((size_t)atoll(t.c_str())));
            std::vector<int32_t> scalars;
            for (const std::string &s : k.scalars)
                scalars.push_back(s == "r" ? (int32_t)r : s == "e" ? (int32_t)layer : rank.scalars.at((size_t)atoll(s.c_str())));
            say("start", r, i, -1);
            const auto begin = std::chrono::steady_clock::now();
            std::atomic<uint32_t> next{0};
            auto work = [&](Core *core) {
                uint32_t block;
                while ((block = next.fetch_add(1, std::memory_order_relaxed)) < k.blocks) {
                    Flags flags;
                    auto part = [&](uint32_t c) {
                        Context &context = core[c].context;
                        context.block = block;
                        context.blocks = k.blocks;
                        context.core = c;
                        context.cross = &flags;
                        k.entry(&context, tensors.data(), scalars.data());
                        if (k.cores > 1) flags.leave(c);
                    };
                    std::vector<std::thread> parts;
                    for (uint32_t c = 1; c < k.cores; ++c) parts.emplace_back([&part, c] { part(c); });
                    part(0);
                    for (std::thread &p : parts) p.join();
                }
            };
            // Cores of the blocks that run at once.
            const size_t of_block = cores.size() / job.at_once;
            size_t at_once = k.talks ? k.blocks : std::max<size_t>(job.threads / job.ranks, 1);
            at_once = std::min<size_t>(at_once, k.blocks);
            uint32_t &running = *cores[0].context.running;
            // A rank counts as one block between kernels, too, so that nobody gives up on it.
            __atomic_fetch_add(&running, (uint32_t)at_once - 1, __ATOMIC_ACQ_REL);
            std::vector<std::thread> others;
            for (size_t t = 1; t < at_once; ++t)
                others.emplace_back([&work, &cores, &running, t, of_block] {
                    work(&cores[t * of_block]);
                    __atomic_fetch_sub(&running, 1, __ATOMIC_ACQ_REL);
                });
            work(&cores[0]);
            __atomic_fetch_sub(&running, 1, __ATOMIC_ACQ_REL);
            for (std::thread &t : others) t.join();
            __atomic_fetch_add(&running, 1, __ATOMIC_ACQ_REL);
            const auto end = std::chrono::steady_clock::now();
            say("done", r, i, std::chrono::nanoseconds(end - begin).count());
        }
        if (layer < job.layers)
            for (const auto &[from, to] : job.carried)
                memcpy(rank.tensors.at(to), rank.tensors.at(from), job.tensors.at(from).bytes);
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) fail("usage", argv[0], "JOB");
    Job job = read_job(argv[1]);
    size_t most = std::max<size_t>(job.threads / job.ranks, 1), of_block = 1;
    for (Kernel &k : job.kernels) {
        void *library = dlopen(k.library.c_str(), RTLD_NOW | RTLD_LOCAL);
        void *entry = library ? dlsym(library, "tilewright_block") : nullptr;
        if (!entry) fail("library", k.library, dlerror());
        k.entry = reinterpret_cast<Entry *>(entry);
        if (k.talks) most = std::max<size_t>(most, k.blocks);
        of_block = std::max<size_t>(of_block, k.cores);
    }
    job.at_once = most;
    const std::vector<Rank> ranks = memory_of_ranks(job);
    Counts counts;
    counts.running = (uint32_t)job.ranks;
    std::vector<std::vector<Core>> cores(job.ranks);
    for (std::vector<Core> &own : cores)
        for (size_t i = 0; i < most * of_block; ++i) own.emplace_back(job, counts);
    std::vector<std::thread> others;
    auto rank = [&](size_t r) {
        run_rank(job, ranks, r, cores[r]);
        __atomic_fetch_sub(&counts.running, 1, __ATOMIC_ACQ_REL);
    };
    for (size_t r = 1; r < job.ranks; ++r) others.emplace_back(rank, r);
    rank(0);
    for (std::thread &t : others) t.join();
    for (const File &f : job.outputs) {
        const size_t bytes = job.tensors.at(f.tensor).bytes;
        FILE *out = fopen(f.name.c_str(), "wb");
        if (!out || fwrite(ranks.at(f.rank).tensors[f.tensor], 1, bytes, out) != bytes || fclose(out) != 0)
            fail("output", f.name, strerror(errno));
    }
    // Without destructors of libraries.
    fflush(stdout);
    _exit(0);
}
