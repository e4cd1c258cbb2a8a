/* The serial line: 115200 baud, 8 data bits, no parity, 1 stop bit, both ways by interrupts and rings.
 *
 * At 16 MHz the nearest rate is 117647 baud (U2X, divider 17): 2.1 % fast. Without U2X it would be 111111, 3.5 % slow.
 * The receiver takes up to 4 % (data sheet, 20.9.1), resonator of 0.5 % included; the 16U2 beside the chip of an Uno
 * divides the same 16 MHz and is off by the same 2.1 %.
 */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stdint.h>

void uart_start(void);

/* The next byte that came in; false when there is none. A byte that finds the ring full is lost, and with it the CRC
 * of its frame. */
bool uart_receive(uint8_t *byte);

/* How many bytes `uart_send` takes now. */
uint8_t uart_send_room(void);

/* Send `n` bytes, not more than there is room for. Never waits. */
void uart_send(const uint8_t *bytes, uint8_t n);

/* True when bytes are under way and none has left since the last call: the interrupt of the transmitter is dead. */
bool uart_send_stuck(void);

/* True when a byte waits for `uart_receive`. */
bool uart_heard(void);

#endif
