// Runs kernels one after the other, the blocks of each on threads. The job is a file, a line a thing:
//
//   threads N
//   memory UB L1 L0A L0B L0C            bytes of a core's memories
//   tensor BYTES FILE                   global memory: contents from a file, or `-` for bytes of 0xff
//   kernel BLOCKS CORES T TENSOR*T S SCALAR*S LIBRARY   of a mixed kernel, a block runs on 3 cores, else on 1
//   output TENSOR FILE
//
// Standard output: `start K` before kernel K, `done K NANOSECONDS` after it. A page that faults stands behind each tensor.
#include <tilewright/context.hpp>

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

struct Tensor {
    uint8_t *data = nullptr;
    size_t bytes = 0;
};

struct Kernel {
    uint32_t blocks = 0;
    uint32_t cores = 1;
    std::vector<size_t> tensors;
    std::vector<int32_t> scalars;
    std::string library;
};

struct Job {
    unsigned threads = 1;
    size_t memory[SPACES] = {};
    std::vector<Tensor> tensors;
    std::vector<Kernel> kernels;
    std::vector<std::pair<size_t, std::string>> outputs;
};

// Memory that ends, but for what an alignment of 64 bytes takes, where a page that faults begins.
uint8_t *guarded(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t used = (bytes + page - 1) / page * page;
    void *p = mmap(nullptr, used + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect((uint8_t *)p + used, page, PROT_NONE) != 0)
        fail("memory", std::to_string(bytes) + " bytes", strerror(errno));
    uint8_t *start = (uint8_t *)p + (used - bytes) / 64 * 64;
    memset(start, 0xff, bytes);
    return start;
}

std::string rest(FILE *f)
{
    std::string text;
    int c = getc(f);
    while (c == ' ') c = getc(f);
    for (; c != '\n' && c != EOF; c = getc(f)) text.push_back((char)c);
    return text;
}

template <class T>
T number(FILE *f)
{
    long long n = 0;
    if (fscanf(f, "%lld", &n) != 1) fail("job", "file", "a number is missing");
    return (T)n;
}

Job read_job(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) fail("job", path, strerror(errno));
    Job job;
    char word[16];
    while (fscanf(f, "%15s", word) == 1) {
        const std::string key = word;
        if (key == "threads") {
            job.threads = number<unsigned>(f);
        } else if (key == "memory") {
            for (size_t &bytes : job.memory) bytes = number<size_t>(f);
        } else if (key == "tensor") {
            Tensor t;
            t.bytes = number<size_t>(f);
            t.data = guarded(t.bytes);
            const std::string file = rest(f);
            if (file != "-") {
                FILE *in = fopen(file.c_str(), "rb");
                if (!in || fread(t.data, 1, t.bytes, in) != t.bytes) fail("input", file, strerror(errno));
                fclose(in);
            }
            job.tensors.push_back(t);
        } else if (key == "kernel") {
            Kernel k;
            k.blocks = number<uint32_t>(f);
            k.cores = number<uint32_t>(f);
            k.tensors.resize(number<size_t>(f));
            for (size_t &t : k.tensors) t = number<size_t>(f);
            k.scalars.resize(number<size_t>(f));
            for (int32_t &s : k.scalars) s = number<int32_t>(f);
            k.library = rest(f);
            job.kernels.push_back(k);
        } else if (key == "output") {
            const size_t tensor = number<size_t>(f);
            job.outputs.emplace_back(tensor, rest(f));
        } else {
            fail("job", key, "no such line");
        }
    }
    fclose(f);
    return job;
}

// The memories of one core.
struct Core {
    Context context{};
    explicit Core(const Job &job)
    {
        for (int s = 0; s < SPACES; ++s) {
            context.bytes[s] = job.memory[s];
            context.memory[s] = guarded(job.memory[s]);
        }
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

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) fail("usage", argv[0], "JOB");
    Job job = read_job(argv[1]);
    std::vector<Core> cores;
    uint32_t most = 1;
    for (const Kernel &k : job.kernels) most = k.cores > most ? k.cores : most;
    for (unsigned i = 0; i < job.threads * most; ++i) cores.emplace_back(job);
    std::vector<Entry *> entries;
    for (const Kernel &k : job.kernels) {
        void *library = dlopen(k.library.c_str(), RTLD_NOW | RTLD_LOCAL);
        void *entry = library ? dlsym(library, "tilewright_block") : nullptr;
        if (!entry) fail("library", k.library, dlerror());
        entries.push_back(reinterpret_cast<Entry *>(entry));
    }
    for (size_t i = 0; i < job.kernels.size(); ++i) {
        const Kernel &k = job.kernels[i];
        std::vector<void *> tensors;
        for (size_t t : k.tensors) tensors.push_back(job.tensors.at(t).data);
        printf("start %zu\n", i);
        fflush(stdout);
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
                    entries[i](&context, tensors.data(), k.scalars.data());
                    if (k.cores > 1) flags.leave(c);
                };
                std::vector<std::thread> parts;
                for (uint32_t c = 1; c < k.cores; ++c) parts.emplace_back([&part, c] { part(c); });
                part(0);
                for (std::thread &p : parts) p.join();
            }
        };
        std::vector<std::thread> others;
        for (unsigned t = 1; t < job.threads && t < k.blocks; ++t) others.emplace_back([&work, &cores, t, most] { work(&cores[t * most]); });
        work(&cores[0]);
        for (std::thread &t : others) t.join();
        const auto end = std::chrono::steady_clock::now();
        printf("done %zu %lld\n", i, (long long)std::chrono::nanoseconds(end - begin).count());
        fflush(stdout);
    }
    for (const auto &[tensor, file] : job.outputs) {
        const Tensor &t = job.tensors.at(tensor);
        FILE *out = fopen(file.c_str(), "wb");
        if (!out || fwrite(t.data, 1, t.bytes, out) != t.bytes || fclose(out) != 0) fail("output", file, strerror(errno));
    }
    // Without destructors of libraries.
    fflush(stdout);
    _exit(0);
}
