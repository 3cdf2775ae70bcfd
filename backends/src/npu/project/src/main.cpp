// Loads a layer's inputs, runs its kernels on an NPU, compares the outputs and times the kernels: README.md says how.
#include "compare.hpp"
#include "device.hpp"
#include "fail.hpp"
#include "files.hpp"
#include "layer.hpp"
#include "schedule.hpp"
#include "sizes.hpp"
#include "table.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace {

struct Options {
    // If it is empty: what the project is for.
    std::string layer;
    std::string data = "data";
    // 0: all.
    size_t size = 0;
    // A folder that outputs are written to, if it is not empty.
    std::string save;
    int device = 0;
    size_t repeat = 20;
    bool serial = false;
    bool compare = true;
};

const char USAGE[] =
    "usage: launcher [OPTIONS]\n"
    "  --layer FILE    what to run [layer.txt, or what sizes.txt says]\n"
    "  --size N        the kernels for this size, where there are some for many [all of them]\n"
    "  --data DIR      where inputs/ and expected/ are [data]\n"
    "  --save DIR      writes outputs to DIR/NAME.bin\n"
    "  --device N      the NPU [0]\n"
    "  --repeat N      runs that are timed; 0 times nothing [20]\n"
    "  --serial        waits after each kernel, so that the one that fails is named\n"
    "  --no-compare    needs no expected outputs\n"
    "exit codes: 0 all is well, 1 an output is wrong, 2 something cannot be done\n";

size_t count(const std::string &option, const char *text)
{
    char *end = nullptr;
    const unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || n > 1000000) fail(option, std::string("`") + text + "` is no count up to 1000000");
    return size_t(n);
}

Options parse(int argc, char **argv)
{
    Options o;
    for (int i = 1; i < argc; ++i) {
        const std::string option = argv[i];
        auto value = [&] {
            if (i + 1 == argc) fail(option, "a value is missing");
            return argv[++i];
        };
        if (option == "--layer") o.layer = value();
        else if (option == "--data") o.data = value();
        else if (option == "--size") o.size = count(option, value());
        else if (option == "--save") o.save = value();
        else if (option == "--device") o.device = int(count(option, value()));
        else if (option == "--repeat") o.repeat = count(option, value());
        else if (option == "--serial") o.serial = true;
        else if (option == "--no-compare") o.compare = false;
        else if (option == "--help") {
            fputs(USAGE, stdout);
            exit(0);
        } else {
            fputs(USAGE, stderr);
            fail(option, "no such option");
        }
    }
    return o;
}

// Puts inputs where kernels find them.
Loaded load(const Layer &layer, const Device &device, const Options &options)
{
    Loaded loaded{layer, device, {}, {}};
    for (const Kernel &k : layer.kernels) {
        Launch *launch = find_launch(k.name);
        if (!launch) fail(options.layer, "kernel `" + k.name + "` is not linked in");
        loaded.launches.push_back(launch);
    }
    for (const Tensor &t : layer.tensors) {
        Buffer buffer(t.name, t.bytes());
        if (t.role == Role::Input)
            read_parts(options.data + "/inputs/" + t.name + ".bin", t.bytes(),
                       [&](size_t at, const uint8_t *bytes, size_t n) { buffer.write(at, bytes, n); });
        loaded.buffers.push_back(std::move(buffer));
    }
    return loaded;
}

bool tell(const Comparison &c)
{
    printf("output %s %s mismatched %zu of %zu max_abs %.17g max_rel %.17g worst %lld\n", c.output.c_str(),
           c.ok ? "ok" : "WRONG", c.mismatched, c.elements, c.max_abs, c.max_rel, c.worst);
    return c.ok;
}

bool compare_all(const Loaded &loaded, const Options &options)
{
    auto actual = [&](size_t i) {
        Bytes bytes = loaded.buffers[i].read();
        clear_missing(loaded.layer.tensors[i], bytes);
        return bytes;
    };
    auto expected = [&](size_t i) {
        const Tensor &t = loaded.layer.tensors[i];
        Bytes bytes = read_file(options.data + "/expected/" + t.name + ".bin", t.bytes());
        clear_missing(t, bytes);
        return bytes;
    };
    bool ok = true;
    for (const Check &c : loaded.layer.checks) {
        const Tensor &output = loaded.layer.tensors[c.output];
        if (!c.routing) {
            ok &= tell(compare(output, c.tolerance, actual(c.output), expected(c.output)));
            continue;
        }
        const auto both = compare_routing(output, loaded.layer.tensors[c.weights], c.tolerance,
                                          {actual(c.output), actual(c.weights)},
                                          {expected(c.output), expected(c.weights)});
        ok &= tell(both.first);
        ok &= tell(both.second);
    }
    return ok;
}

// Kernels one by one, and then all together.
void time_all(const Loaded &loaded, size_t repeat)
{
    for (size_t i = 0; i < loaded.layer.kernels.size(); ++i)
        printf("kernel %s us %.3f\n", loaded.layer.kernels[i].name.c_str(), time_kernel(loaded, i, repeat));
    std::vector<double> us;
    for (size_t i = 0; i < repeat; ++i) us.push_back(run_on_streams(loaded));
    std::sort(us.begin(), us.end());
    printf("layer %s us %.3f\n", loaded.layer.name.c_str(), us[us.size() / 2]);
}

// Runs a layer; whether its outputs are right.
bool run(const Options &options)
{
    const Layer layer = read_layer(options.layer);
    const Device device(options.device, layer.streams());
    const Loaded loaded = load(layer, device, options);
    if (options.serial) run_serially(loaded);
    else run_on_streams(loaded);
    bool ok = true;
    if (options.compare) ok = compare_all(loaded, options);
    if (!options.save.empty())
        for (size_t i = 0; i < layer.tensors.size(); ++i)
            if (layer.tensors[i].role == Role::Output)
                write_file(options.save + "/" + layer.tensors[i].name + ".bin", loaded.buffers[i].read());
    if (options.repeat > 0) time_all(loaded, options.repeat);
    return ok;
}

// Runs the layer of a size, or those of all.
bool run_sizes(const Sizes &sizes, const Options &options)
{
    const Bucket *only = nullptr;
    if (options.size > 0) {
        only = find_bucket(sizes, options.size);
        if (!only) fail("--size", sizes.param + " = " + std::to_string(options.size) + " is larger than all that there are kernels for");
    }
    if (!only && !options.save.empty()) fail("--save", "outputs of several sizes have one name each: say which size with --size");
    bool ok = true;
    for (const Bucket &b : sizes.buckets) {
        if (only && &b != only) continue;
        printf("size %s %zu to %zu layer %s\n", sizes.param.c_str(), b.from, b.to, b.layer.c_str());
        Options of = options;
        of.layer = b.layer;
        of.data = b.data;
        ok &= run(of);
    }
    return ok;
}

} // namespace

int main(int argc, char **argv)
{
    Options options = parse(argc, argv);
    const Sizes sizes = read_sizes("sizes.txt");
    if (options.layer.empty() && !sizes.buckets.empty()) return run_sizes(sizes, options) ? 0 : 1;
    if (options.size > 0) fail("--size", "there are kernels for one size only");
    if (options.layer.empty()) options.layer = "layer.txt";
    return run(options) ? 0 : 1;
}
