/* The board on an ATmega328P at 16 MHz, 5 V: what the core asks of the hardware, and the loop that turns it.
 *
 * Invariants
 * 1. Nothing here waits but the sleep at the end of a turn, which the next millisecond ends at the latest.
 * 2. The watchdog is fed only when, since it was fed last, a round of the inputs was sampled, time has gone on, and the
 *    transmitter was not stuck: what hangs of these resets the chip within a second.
 * 3. Outputs are off from the first instruction on until the board says otherwise.
 */
#include <avr/interrupt.h>
#include <avr/sleep.h>

#include "../core/board.h"
#include "adc.h"
#include "memory.h"
#include "milliseconds.h"
#include "outputs.h"
#include "reset.h"
#include "uart.h"
#include "uid.h"

#define SAMPLED 1
#define TICKED 2
#define SENT 4
#define ALIVE (SAMPLED | TICKED | SENT)

static struct board board;

uint8_t hardware_eeprom_read(uint16_t at)
{
    return memory_eeprom_read(at);
}

bool hardware_eeprom_write(uint16_t at, uint8_t value)
{
    return memory_eeprom_write(at, value);
}

uint8_t hardware_send_room(void)
{
    return uart_send_room();
}

void hardware_send(const uint8_t *bytes, uint8_t n)
{
    uart_send(bytes, n);
}

uint16_t hardware_free_ram(void)
{
    return memory_never_used();
}

uint16_t hardware_supply_mv(void)
{
    return adc_supply_mv();
}

/* Until the next interrupt. The instruction after sei is carried out before any interrupt, so none is slept over. */
static void rest(void)
{
    cli();
    if (uart_heard()) {
        sei();
        return;
    }
    sleep_enable();
    sei();
    sleep_cpu();
    sleep_disable();
}

int main(void)
{
    outputs_start();
    enum reset_cause cause = reset_why();
    uart_start();
    adc_start();
    milliseconds_start();
    set_sleep_mode(SLEEP_MODE_IDLE);
    sei();
    uid_keep();
    board_start(&board, cause, milliseconds());
    watchdog_start(); /* not earlier: an EEPROM that is broken for good makes board_start slow, and may not stop it */

    uint8_t alive = 0;
    uint32_t ticked_ms = milliseconds();
    for (;;) {
        uint8_t byte;
        while (uart_receive(&byte)) {
            board_receive(&board, byte, milliseconds());
        }
        uint16_t adc[INPUTS];
        if (adc_take_round(adc)) {
            board_sample(&board, adc, milliseconds());
            alive |= SAMPLED;
        }
        uint32_t now_ms = milliseconds();
        if (now_ms != ticked_ms) {
            ticked_ms = now_ms;
            board_tick(&board, now_ms);
            struct outputs driven = board_outputs(&board, now_ms);
            outputs_drive(driven.siren, driven.led, driven.fault_led);
            alive |= TICKED;
            if (!uart_send_stuck()) {
                alive |= SENT;
            }
        }
        if (alive == ALIVE) {
            watchdog_feed();
            alive = 0;
        }
        rest();
    }
}
