#include "layer.hpp"

#include "fail.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <map>
#include <sstream>

size_t Tensor::elements() const
{
    size_t n = 1;
    for (size_t d : shape) n *= d;
    return n;
}

size_t Tensor::bytes() const
{
    switch (dtype) {
    case Dtype::I8: return elements();
    case Dtype::Bf16:
    case Dtype::F16: return elements() * 2;
    case Dtype::I64: return elements() * 8;
    default: return elements() * 4;
    }
}

size_t Layer::streams() const
{
    size_t n = 1;
    for (const Kernel &k : kernels) n = std::max(n, k.stream + 1);
    return n;
}

namespace {

using Names = std::map<std::string, size_t>;

// One line of the file, word by word.
class Line {
public:
    Line(const std::string &path, size_t number, const std::string &text)
        : where(path + ":" + std::to_string(number)), in(text)
    {
    }

    std::string word()
    {
        std::string w;
        if (!(in >> w)) fail(where, "the line is too short");
        return w;
    }

    template <class T>
    T number()
    {
        T n{};
        if (!(in >> n)) fail(where, "a number is missing");
        return n;
    }

    double real()
    {
        const std::string w = word();
        char *end = nullptr;
        const double x = strtod(w.c_str(), &end);
        if (*end != 0) fail(where, "`" + w + "` is no number");
        return x;
    }

    void keyword(const char *expected)
    {
        const std::string found = word();
        if (found != expected) fail(where, "`" + found + "` stands where `" + expected + "` should");
    }

    template <class T>
    T choice(std::initializer_list<std::pair<const char *, T>> of)
    {
        const std::string found = word();
        for (const auto &[name, value] : of)
            if (found == name) return value;
        fail(where, "`" + found + "` is not known here");
    }

    // The number of a thing that an earlier line has named.
    size_t known(const Names &names)
    {
        const std::string name = word();
        const auto at = names.find(name);
        if (at == names.end()) fail(where, "no line before names `" + name + "`");
        return at->second;
    }

    // `KEYWORD N NAME*N`
    std::vector<size_t> list(const char *key, const Names &names)
    {
        keyword(key);
        std::vector<size_t> found;
        for (size_t n = number<size_t>(); n > 0; --n) found.push_back(known(names));
        return found;
    }

    // Everything up to the end.
    std::vector<size_t> numbers()
    {
        std::vector<size_t> all;
        for (size_t n; in >> n;) all.push_back(n);
        return all;
    }

    const std::string where;

private:
    std::istringstream in;
};

Tolerance tolerance(Line &line)
{
    Tolerance t;
    line.keyword("atol");
    t.atol = line.real();
    line.keyword("of_scale");
    t.of_scale = line.real();
    line.keyword("rtol");
    t.rtol = line.real();
    line.keyword("fraction");
    t.fraction = line.real();
    line.keyword("max_off");
    t.max_off = line.real();
    return t;
}

} // namespace

Layer read_layer(const std::string &path)
{
    std::ifstream file(path);
    if (!file) fail(path, "cannot be read");
    Layer layer;
    Names tensors, scalars, kernels;
    std::vector<int32_t> values;
    std::string text;
    for (size_t number = 1; std::getline(file, text); ++number) {
        if (text.empty() || text[0] == '#') continue;
        Line line(path, number, text);
        const std::string key = line.word();
        if (key == "layer") {
            layer.name = line.word();
        } else if (key == "tensor") {
            Tensor t;
            t.name = line.word();
            t.dtype = line.choice<Dtype>({{"f32", Dtype::F32},
                                          {"bf16", Dtype::Bf16},
                                          {"f16", Dtype::F16},
                                          {"i8", Dtype::I8},
                                          {"i32", Dtype::I32},
                                          {"u32", Dtype::U32},
                                          {"i64", Dtype::I64}});
            t.role = line.choice<Role>(
                {{"input", Role::Input}, {"output", Role::Output}, {"workspace", Role::Workspace}});
            t.shape = line.numbers();
            tensors[t.name] = layer.tensors.size();
            layer.tensors.push_back(t);
        } else if (key == "scalar") {
            scalars[line.word()] = values.size();
            const int32_t value = line.number<int32_t>();
            line.keyword("max");
            const int32_t max = line.number<int32_t>();
            if (value < 0 || value > max) fail(line.where, "the value is not from 0 to " + std::to_string(max));
            values.push_back(value);
        } else if (key == "kernel") {
            Kernel k;
            k.name = line.word();
            line.keyword("blocks");
            k.blocks = line.number<uint32_t>();
            line.keyword("stream");
            k.stream = line.number<size_t>();
            k.tensors = line.list("tensors", tensors);
            for (size_t s : line.list("scalars", scalars)) k.scalars.push_back(values[s]);
            k.after = line.list("after", kernels);
            kernels[k.name] = layer.kernels.size();
            layer.kernels.push_back(k);
        } else if (key == "compare" || key == "compare_routing") {
            Check c;
            c.output = line.known(tensors);
            c.routing = key == "compare_routing";
            if (c.routing) c.weights = line.known(tensors);
            c.tolerance = tolerance(line);
            layer.checks.push_back(c);
        } else if (key == "rows") {
            Tensor &t = layer.tensors[line.known(tensors)];
            t.rows = line.numbers();
        } else {
            fail(line.where, "no line begins with `" + key + "`");
        }
    }
    return layer;
}
