// How the launcher ends when something cannot be done: one line on the standard error, and exit code 2.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

[[noreturn]] inline void fail(const std::string &what, const std::string &why)
{
    fflush(stdout);
    fprintf(stderr, "error: %s: %s\n", what.c_str(), why.c_str());
    exit(2);
}
