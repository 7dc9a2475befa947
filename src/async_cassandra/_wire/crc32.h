/* CRC-32 (ISO 3309, as zlib's) with the carry-less multiplication of x86-64; elsewhere nothing is declared fast.

   Theory. A message M is a polynomial over GF(2), its CRC the rest of M * x^32 by P. Four blocks of 128 bits are kept
   and moved on by 512 bits with each step: a block A * x^512 is congruent to Ah * (x^576 mod P) + Al * (x^512 mod P),
   which has 128 bits again. In the end they are joined, and Barrett's reduction gives the rest. All is reflected, the
   lowest bit being the highest power, so the constants are too. Source: Gopal et al., "Fast CRC Computation for Generic
   Polynomials Using PCLMULQDQ Instruction", 2009. */

#ifndef ASYNC_CASSANDRA_CRC32_H
#define ASYNC_CASSANDRA_CRC32_H

#include <stddef.h>
#include <stdint.h>

#define CRC32_FAST_LEAST 64

#if defined(__x86_64__) && defined(__GNUC__)

#include <emmintrin.h>
#include <smmintrin.h>
#include <wmmintrin.h>

#define CRC32_TARGET __attribute__((target("pclmul,sse4.1")))

static int crc32_is_fast(void) {
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

CRC32_TARGET static inline __m128i crc32_fold(__m128i block, __m128i next, __m128i powers) {
    __m128i low = _mm_clmulepi64_si128(block, powers, 0x00);
    __m128i high = _mm_clmulepi64_si128(block, powers, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

CRC32_TARGET static inline __m128i crc32_load(const unsigned char* at) {
    return _mm_loadu_si128((const __m128i*)at);
}

CRC32_TARGET static uint32_t crc32_reduce(__m128i block) {
    const __m128i powers = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i last_power = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i polynomial = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i lower = _mm_set_epi32(0, -1, 0, -1);
    __m128i rest;
    block = _mm_xor_si128(_mm_clmulepi64_si128(block, powers, 0x10), _mm_srli_si128(block, 8));
    rest = _mm_srli_si128(block, 4);
    block = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(block, lower), last_power, 0x00), rest);
    rest = _mm_clmulepi64_si128(_mm_and_si128(block, lower), polynomial, 0x10);
    rest = _mm_clmulepi64_si128(_mm_and_si128(rest, lower), polynomial, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(block, rest), 1);
}

/* Continues `crc` over `size` bytes, a multiple of 16 and at least CRC32_FAST_LEAST. */
CRC32_TARGET static uint32_t crc32_fast(uint32_t crc, const unsigned char* at, size_t size) {
    const __m128i far_powers = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i near_powers = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    __m128i first = _mm_xor_si128(crc32_load(at), _mm_cvtsi32_si128((int)~crc));
    __m128i second = crc32_load(at + 16);
    __m128i third = crc32_load(at + 32);
    __m128i fourth = crc32_load(at + 48);
    for (at += 64, size -= 64; size >= 64; at += 64, size -= 64) {
        first = crc32_fold(first, crc32_load(at), far_powers);
        second = crc32_fold(second, crc32_load(at + 16), far_powers);
        third = crc32_fold(third, crc32_load(at + 32), far_powers);
        fourth = crc32_fold(fourth, crc32_load(at + 48), far_powers);
    }
    first = crc32_fold(first, second, near_powers);
    first = crc32_fold(first, third, near_powers);
    first = crc32_fold(first, fourth, near_powers);
    for (; size >= 16; at += 16, size -= 16) {
        first = crc32_fold(first, crc32_load(at), near_powers);
    }
    return ~crc32_reduce(first);
}

#else

static int crc32_is_fast(void) {
    return 0;
}

static uint32_t crc32_fast(uint32_t crc, const unsigned char* at, size_t size) {
    (void)at;
    (void)size;
    return crc;
}

#endif

#endif
