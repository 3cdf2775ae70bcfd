// Tensors in files: the bytes as they are in memory, dense, row-major and little-endian, and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// Calls `part` with the file's bytes, a part of at most 64 MiB at a time, and the offset of each. A file that is not
// `bytes` long ends the process.
void read_parts(const std::string &path, size_t bytes, const std::function<void(size_t, const uint8_t *, size_t)> &part);

std::vector<uint8_t> read_file(const std::string &path, size_t bytes);

void write_file(const std::string &path, const std::vector<uint8_t> &bytes);
