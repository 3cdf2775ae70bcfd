#include "sizes.hpp"

#include "fail.hpp"

#include <fstream>
#include <sstream>

Sizes read_sizes(const std::string &path)
{
    Sizes sizes;
    std::ifstream file(path);
    std::string text;
    for (size_t number = 1; std::getline(file, text); ++number) {
        if (text.empty() || text[0] == '#') continue;
        std::istringstream line(text);
        std::string key;
        line >> key;
        Bucket b;
        if (key == "param" && line >> sizes.param) continue;
        if (key == "size" && line >> b.from >> b.to >> b.layer >> b.data) {
            sizes.buckets.push_back(b);
            continue;
        }
        fail(path + ":" + std::to_string(number), "`" + text + "` is not understood");
    }
    return sizes;
}

const Bucket *find_bucket(const Sizes &sizes, size_t size)
{
    for (const Bucket &b : sizes.buckets)
        if (size <= b.to) return &b;
    return nullptr;
}
