// The kernels that are linked in.
#pragma once

#include "launch.hpp"

#include <string>

// Null if there is none of this name.
Launch *find_launch(const std::string &kernel);
