// The AVX-VNNI unit with the AVX-512 form of its 8-bit dot product, which does the same and differs in its encoding
// alone; compiled with the unit's own flags.

#define DMOERM_VPDPBUSD "vpdpbusd"
#define avx_vnni_ops avx_vnni_emulated_ops
#include "../../src/cpu/avx_vnni.cpp"
