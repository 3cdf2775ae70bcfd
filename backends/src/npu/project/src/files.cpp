#include "files.hpp"

#include "fail.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

constexpr size_t PART = size_t(64) << 20;

} // namespace

void read_parts(const std::string &path, size_t bytes, const std::function<void(size_t, const uint8_t *, size_t)> &part)
{
    FILE *file = fopen(path.c_str(), "rb");
    if (!file) fail(path, strerror(errno));
    std::vector<uint8_t> buffer(std::min(bytes, PART));
    for (size_t at = 0; at < bytes;) {
        const size_t n = fread(buffer.data(), 1, std::min(PART, bytes - at), file);
        if (n == 0) fail(path, "has " + std::to_string(at) + " bytes, and " + std::to_string(bytes) + " are needed");
        part(at, buffer.data(), n);
        at += n;
    }
    if (fgetc(file) != EOF) fail(path, "has more than the " + std::to_string(bytes) + " bytes that are needed");
    fclose(file);
}

std::vector<uint8_t> read_file(const std::string &path, size_t bytes)
{
    std::vector<uint8_t> all;
    all.reserve(bytes);
    read_parts(path, bytes, [&](size_t, const uint8_t *data, size_t n) { all.insert(all.end(), data, data + n); });
    return all;
}

void write_file(const std::string &path, const std::vector<uint8_t> &bytes)
{
    FILE *file = fopen(path.c_str(), "wb");
    if (!file) fail(path, strerror(errno));
    const bool whole = fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    if (fclose(file) != 0 || !whole) fail(path, "cannot be written");
}
