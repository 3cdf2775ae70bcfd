//! Prints a kernel program as PTO-ISA C++.
