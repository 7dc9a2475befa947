/* Which branches an input took, counted for tests/fuzz/edges.py.
 *
 * gcc's -fsanitize-coverage=trace-pc calls __sanitizer_cov_trace_pc at each basic block. A pair of
 * blocks in sequence is an edge, known by a hash of both; its count is kept in one byte.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SLOTS (1 << 16)

static uint8_t counts[SLOTS];
static uint8_t seen[SLOTS];
static uintptr_t previous;
static uint64_t blocks;

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t at = (uintptr_t)__builtin_return_address(0);
    uintptr_t here = (at >> 4) ^ (at << 8);
    counts[(here ^ previous) & (SLOTS - 1)]++;
    previous = here >> 1;
    blocks++;
}

void start_input(void)
{
    memset(counts, 0, sizeof counts);
    previous = 0;
    blocks = 0;
}

uint64_t blocks_run(void)
{
    return blocks;
}

/* 1, 2, 3, 4-7, 8-15, 16-31, 32-127 and 128 or more passes count as different. */
static uint8_t bucket(uint8_t count)
{
    if (count < 4)
        return (uint8_t)((1 << count) >> 1);
    return count < 8 ? 8 : count < 16 ? 16 : count < 32 ? 32 : count < 128 ? 64 : 128;
}

/* How many edges the input took that none before it took, or not as often; they count as seen. */
int keep_new(void)
{
    int found = 0;
    for (size_t slot = 0; slot < SLOTS; slot++) {
        uint8_t fresh;
        if (!counts[slot])
            continue;
        fresh = (uint8_t)(bucket(counts[slot]) & ~seen[slot]);
        if (fresh) {
            seen[slot] |= fresh;
            found++;
        }
    }
    return found;
}
