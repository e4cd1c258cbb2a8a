/* Big-endian integers in a row of bytes. */
#ifndef BYTES_H
#define BYTES_H

#include <stdint.h>

static inline uint8_t *put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put16(put16(at, (uint16_t)(value >> 16)), (uint16_t)value);
}

static inline uint16_t get16(const uint8_t *at)
{
    return (uint16_t)((uint16_t)at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* True when `at_ms` has come. Both wrap at 2^32 and are less than 2^31 apart. */
static inline _Bool has_come(uint32_t at_ms, uint32_t now_ms)
{
    return (int32_t)(now_ms - at_ms) >= 0;
}

#endif
