#include "schedule.hpp"

#include <optional>

void launch(const Loaded &loaded, size_t kernel, aclrtStream stream)
{
    const Kernel &k = loaded.layer.kernels[kernel];
    std::vector<void *> tensors;
    for (size_t t : k.tensors) tensors.push_back(loaded.buffers[t].data());
    loaded.launches[kernel](k.blocks, stream, tensors.data(), k.scalars.data());
}

double run_on_streams(const Loaded &loaded)
{
    const std::vector<Kernel> &kernels = loaded.layer.kernels;
    const size_t streams = loaded.layer.streams();
    // Those that another stream waits for.
    std::vector<bool> awaited(kernels.size());
    for (const Kernel &k : kernels)
        for (size_t a : k.after)
            if (kernels[a].stream != k.stream) awaited[a] = true;
    Event start, end;
    start.record(loaded.device.stream(0));
    for (size_t s = 1; s < streams; ++s) start.hold(loaded.device.stream(s));
    std::vector<std::optional<Event>> done(kernels.size());
    for (size_t i = 0; i < kernels.size(); ++i) {
        const aclrtStream stream = loaded.device.stream(kernels[i].stream);
        for (size_t a : kernels[i].after)
            if (kernels[a].stream != kernels[i].stream) done[a]->hold(stream);
        launch(loaded, i, stream);
        if (awaited[i]) done[i].emplace().record(stream);
    }
    // The end is that of all streams.
    std::vector<Event> joined(streams - 1);
    for (size_t s = 1; s < streams; ++s) {
        joined[s - 1].record(loaded.device.stream(s));
        joined[s - 1].hold(loaded.device.stream(0));
    }
    end.record(loaded.device.stream(0));
    loaded.device.synchronise("the layer on " + std::to_string(streams) + " streams (--serial names the kernel)");
    return end.us_since(start);
}

void run_serially(const Loaded &loaded)
{
    for (size_t i = 0; i < loaded.layer.kernels.size(); ++i) {
        launch(loaded, i, loaded.device.stream(0));
        loaded.device.synchronise("kernel " + loaded.layer.kernels[i].name);
    }
}

double time_kernel(const Loaded &loaded, size_t kernel, size_t repeat)
{
    const aclrtStream stream = loaded.device.stream(0);
    Event start, end;
    start.record(stream);
    for (size_t i = 0; i < repeat; ++i) launch(loaded, kernel, stream);
    end.record(stream);
    loaded.device.synchronise("kernel " + loaded.layer.kernels[kernel].name);
    return end.us_since(start) / double(repeat);
}
