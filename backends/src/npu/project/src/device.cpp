#include "device.hpp"

#include "fail.hpp"

void check(aclError status, const char *call, const std::string &about)
{
    if (status == ACL_SUCCESS) return;
    const char *more = aclGetRecentErrMsg();
    std::string why = std::string(call) + " returned " + std::to_string(status);
    if (more && *more) why += std::string("\n") + more;
    fail(about, why);
}

Device::Device(int id, size_t streams) : id_(id)
{
    const std::string name = "device " + std::to_string(id);
    check(aclInit(nullptr), "aclInit", name);
    check(aclrtSetDevice(id), "aclrtSetDevice", name);
    for (size_t i = 0; i < streams; ++i) {
        aclrtStream stream = nullptr;
        check(aclrtCreateStream(&stream), "aclrtCreateStream", name);
        streams_.push_back(stream);
    }
}

Device::~Device()
{
    for (aclrtStream stream : streams_) aclrtDestroyStream(stream);
    aclrtResetDevice(id_);
    aclFinalize();
}

void Device::synchronise(const std::string &about) const
{
    for (aclrtStream stream : streams_) check(aclrtSynchronizeStream(stream), "aclrtSynchronizeStream", about);
}

Buffer::Buffer(const std::string &name, size_t bytes) : name_(name), bytes_(bytes)
{
    const std::string about = name + ", " + std::to_string(bytes) + " bytes";
    check(aclrtMalloc(&data_, bytes, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc", about);
    clear();
}

Buffer::~Buffer()
{
    if (data_) aclrtFree(data_);
}

void Buffer::clear() { check(aclrtMemset(data_, bytes_, 0xff, bytes_), "aclrtMemset", name_); }

void Buffer::write(size_t at, const uint8_t *from, size_t bytes)
{
    uint8_t *to = static_cast<uint8_t *>(data_) + at;
    check(aclrtMemcpy(to, bytes_ - at, from, bytes, ACL_MEMCPY_HOST_TO_DEVICE), "aclrtMemcpy", name_);
}

std::vector<uint8_t> Buffer::read() const
{
    std::vector<uint8_t> bytes(bytes_);
    check(aclrtMemcpy(bytes.data(), bytes_, data_, bytes_, ACL_MEMCPY_DEVICE_TO_HOST), "aclrtMemcpy", name_);
    return bytes;
}

Event::Event() { check(aclrtCreateEvent(&event_), "aclrtCreateEvent", "an event"); }

Event::~Event()
{
    if (event_) aclrtDestroyEvent(event_);
}

void Event::record(aclrtStream stream) const { check(aclrtRecordEvent(event_, stream), "aclrtRecordEvent", "an event"); }

void Event::hold(aclrtStream stream) const
{
    check(aclrtStreamWaitEvent(stream, event_), "aclrtStreamWaitEvent", "an event");
}

double Event::us_since(const Event &start) const
{
    float ms = 0;
    check(aclrtEventElapsedTime(&ms, start.event_, event_), "aclrtEventElapsedTime", "two events");
    return double(ms) * 1e3;
}
