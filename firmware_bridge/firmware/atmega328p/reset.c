#include "reset.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#define MARK 0x59A6C31EUL

/* Not cleared at the start: what was in RAM before the reset, or chance after a power cut. */
static uint32_t mark __attribute__((section(".noinit")));
static uint8_t saved_flags __attribute__((section(".noinit")));
static uint8_t saved_r2 __attribute__((section(".noinit")));

/* Before the start-up code uses a register. */
__attribute__((naked, used, section(".init0"))) static void save_r2(void)
{
    __asm__ volatile("sts %[saved], r2\n" ::[saved] "i"(&saved_r2));
}

/* A watchdog that has reset the chip goes on with 16 ms: it is stopped at once, which takes a cleared WDRF. */
__attribute__((naked, used, section(".init3"))) static void save_flags(void)
{
    __asm__ volatile(
        "in r24, %[flags]\n"
        "sts %[saved], r24\n"
        "out %[flags], r1\n"
        "wdr\n"
        "ldi r24, %[change]\n"
        "sts %[control], r24\n"
        "sts %[control], r1\n" ::[flags] "I"(_SFR_IO_ADDR(MCUSR)),
        [saved] "i"(&saved_flags), [change] "M"(_BV(WDCE) | _BV(WDE)), [control] "n"(_SFR_MEM_ADDR(WDTCSR)));
}

enum reset_cause reset_why(void)
{
    uint8_t flags = saved_flags;
    if (mark == MARK) {
        mark = 0;
        return RESET_WATCHDOG;
    }
    if (flags == 0) {
        if (saved_r2 & 0xf0) {
            return RESET_UNKNOWN; /* not what MCUSR can hold: a boot loader that passes nothing on */
        }
        flags = saved_r2;
        if (flags == _BV(WDRF)) {
            return RESET_UNKNOWN; /* the boot loader's own way out, or a hang with interrupts off */
        }
        if (flags & _BV(EXTRF)) {
            flags &= (uint8_t)~_BV(WDRF); /* a reset from outside, and then the boot loader's way out */
        }
    }
    if (flags & _BV(PORF)) {
        return RESET_POWER_ON;
    }
    if (flags & _BV(BORF)) {
        return RESET_BROWN_OUT;
    }
    if (flags & _BV(WDRF)) {
        return RESET_WATCHDOG; /* a hang with interrupts off left no mark */
    }
    return flags & _BV(EXTRF) ? RESET_EXTERNAL : RESET_UNKNOWN;
}

void watchdog_start(void)
{
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        wdt_reset();
        WDTCSR = _BV(WDCE) | _BV(WDE); /* the next line must come within four cycles */
        WDTCSR = _BV(WDIE) | _BV(WDE) | _BV(WDP2) | _BV(WDP0); /* 0.5 s */
    }
}

void watchdog_feed(void)
{
    wdt_reset();
    if (!(WDTCSR & _BV(WDIE))) {
        mark = 0; /* warned, and alive after all */
        WDTCSR |= _BV(WDIE);
    }
}

/* Entering it clears WDIE: the next time-out is the reset. */
ISR(WDT_vect)
{
    mark = MARK;
}
