#pragma once
#include <stdint.h>

// How often the program that this is linked into, and every library of it, asked for memory until now.
uint64_t allocation_count(void);
