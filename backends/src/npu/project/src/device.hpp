// The NPU by the runtime of CANN (`acl/acl.h`): every call is checked, and what was made is given back.
#pragma once

#include <acl/acl.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Ends the process, with the call, what it was about, and what CANN says, unless the call went well.
void check(aclError status, const char *call, const std::string &about);

// The device and its streams; there is one of these.
class Device {
public:
    Device(int id, size_t streams);
    ~Device();
    Device(const Device &) = delete;

    aclrtStream stream(size_t i) const { return streams_[i]; }
    // Waits until all streams have done their work.
    void synchronise(const std::string &about) const;

private:
    int id_;
    std::vector<aclrtStream> streams_;
};

// Global memory of the device. Its bytes are 0xff at first, so that what nobody wrote is seen.
class Buffer {
public:
    Buffer(const std::string &name, size_t bytes);
    ~Buffer();
    Buffer(Buffer &&other) noexcept : name_(other.name_), data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }

    void *data() const { return data_; }
    void clear();
    void write(size_t at, const uint8_t *from, size_t bytes);
    std::vector<uint8_t> read() const;

private:
    std::string name_;
    void *data_ = nullptr;
    size_t bytes_;
};

// A point in the work of a stream. An event is recorded once.
class Event {
public:
    Event();
    ~Event();
    Event(Event &&other) noexcept : event_(other.event_) { other.event_ = nullptr; }

    void record(aclrtStream stream) const;
    // What the stream is given from now on waits for this event.
    void hold(aclrtStream stream) const;
    // Microseconds since an earlier event; both must be over.
    double us_since(const Event &start) const;

private:
    aclrtEvent event_ = nullptr;
};
