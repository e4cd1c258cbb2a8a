#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>

#include "../core/frame.h"

#define BAUD_RATE 115200UL
/* Rounded to the nearest, with U2X. */
#define DIVIDER ((F_CPU + 4UL * BAUD_RATE) / (8UL * BAUD_RATE) - 1UL)
#define REAL_RATE (F_CPU / (8UL * (DIVIDER + 1UL)))
_Static_assert(REAL_RATE * 1000UL < BAUD_RATE * 1025UL && REAL_RATE * 1000UL > BAUD_RATE * 975UL,
               "no clock is usable whose rate is off by more than 2.5 %");

/* Powers of two, so that an index is masked. 128 bytes in are 11 ms of line time; 64 out are two frames. */
#define IN_RING 128
#define OUT_RING 64
_Static_assert(IN_RING <= 128 && OUT_RING <= 128, "an index of 8 bits must tell full from empty");
_Static_assert(OUT_RING >= FRAME_SENT_MAX, "a whole frame must fit");

/* Each index has one writer and counts on without bound; only its low bits name a place. The rings are volatile like
 * the indexes, so that a byte is in its place before the index says so. */
static volatile uint8_t in_ring[IN_RING];
static volatile uint8_t in_put;
static volatile uint8_t in_taken;
static volatile uint8_t out_ring[OUT_RING];
static volatile uint8_t out_put;
static volatile uint8_t out_taken;
static uint8_t out_seen;

void uart_start(void)
{
    UBRR0H = (uint8_t)(DIVIDER >> 8);
    UCSR0A = _BV(U2X0);
    UBRR0L = (uint8_t)DIVIDER;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXCIE0) | _BV(RXEN0) | _BV(TXEN0);
}

bool uart_receive(uint8_t *byte)
{
    if (in_taken == in_put) {
        return false;
    }
    *byte = in_ring[in_taken & (IN_RING - 1)];
    in_taken++;
    return true;
}

bool uart_heard(void)
{
    return in_taken != in_put;
}

uint8_t uart_send_room(void)
{
    return (uint8_t)(OUT_RING - (uint8_t)(out_put - out_taken));
}

void uart_send(const uint8_t *bytes, uint8_t n)
{
    for (uint8_t each = 0; each < n; each++) {
        out_ring[out_put & (OUT_RING - 1)] = bytes[each];
        out_put++;
    }
    UCSR0B |= _BV(UDRIE0);
}

bool uart_send_stuck(void)
{
    uint8_t left = out_taken;
    bool stuck = left != out_put && left == out_seen;
    out_seen = left;
    return stuck;
}

/* The data register is read even when there is no room: else the interrupt would come again at once, for ever. */
ISR(USART_RX_vect)
{
    uint8_t byte = UDR0;
    uint8_t put = in_put;
    if ((uint8_t)(put - in_taken) < IN_RING) {
        in_ring[put & (IN_RING - 1)] = byte;
        in_put = put + 1;
    }
}

ISR(USART_UDRE_vect)
{
    uint8_t taken = out_taken;
    if (taken == out_put) {
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
        return;
    }
    UDR0 = out_ring[taken & (OUT_RING - 1)];
    out_taken = taken + 1;
}
