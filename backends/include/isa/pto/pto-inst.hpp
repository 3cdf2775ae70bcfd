// The PTO instructions that tilewright emits, for a CPU: C++20, and nothing of the standard library but C headers.
//
// Written from the public semantics of the ISA; the text of a kernel compiles against this header, PTO-ISA's own and the
// compiler for the NPU alike. One core of a block runs on one thread, in program order. That is a right order: tilewright's
// simulator refuses a program that the hardware could run in an order with other results, so flags and barriers have
// nothing to do here, but for those between the cores of a mixed kernel's block.
//
//   host/core.hpp      the core that runs a block: its memories, its index, flags
//   host/types.hpp     element types and conversions
//   host/tile.hpp      tiles and rectangles of global memory
//   host/memory.hpp    TASSIGN, TLOAD, TSTORE, TMOV, TEXTRACT
//   host/cube.hpp      TMATMUL
//   host/vector.hpp    element-wise instructions, broadcasts, reductions, TCVT
//   host/sort.hpp      TSORT32, TMRGSORT, TGATHER, TCI
#pragma once

#ifndef __CPU_SIM
#define __CPU_SIM 1
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/core.hpp"
#include "host/types.hpp"
#include "host/tile.hpp"
#include "host/memory.hpp"
#include "host/cube.hpp"
#include "host/vector.hpp"
#include "host/sort.hpp"
