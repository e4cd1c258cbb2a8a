/* The firmware's core on the host: an EEPROM of bytes, a line of bytes, and time as it is told. Driven by
 * board_core.py over stdin and stdout; all integers little-endian. Every command is answered by a length (u32) and as
 * many bytes. A command that is not known, or one that ends early, ends the process.
 *
 *   E image[1024]             the EEPROM is this                                     -> nothing
 *   S cause u8, now u32       board_start                                            -> what was sent
 *   R now u32, n u32, bytes   board_receive for each                                 -> what was sent
 *   A now u32, u16 x INPUTS   board_sample                                           -> what was sent
 *   T now u32                 board_tick                                             -> what was sent
 *   C now u32, n u32          board_tick for n ms, the last of them `now`            -> what was sent
 *   Q now u32, n u32, u16 x INPUTS   n ms after `now`, as the chip lives them, or until something is sent
 *                                              -> ms that passed u32, last_event_id u32, what was sent
 *   X now u32                 the power is cut: an EEPROM byte that is being written is left erased -> nothing
 *   O now u32                 board_outputs                                          -> bits: siren, led, fault_led
 *   P left u32                the power goes after so many more EEPROM bytes         -> nothing
 *   W credit u32              so many EEPROM bytes are taken before it is busy       -> nothing
 *   L room u32                so many bytes go on the line before it is full         -> nothing
 *   I                         the EEPROM                                             -> image[1024]
 *   H                         what the board holds                                   -> see `hold`
 *   D before u8, config[17]   classify for every ADC count from 0 to 1023            -> 1024 states
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

#define WITHOUT_END 0xFFFFFFFFu
#define EEPROM_WRITE_MS 4  /* 3.4 by the data sheet */
#define LINE_BUFFER 64     /* bytes, of which so many leave in a ms at 115200 baud: */
#define LINE_BYTES_A_MS 11

static struct board board;
static uint8_t image[EEPROM_BYTES];
static uint32_t power_left = WITHOUT_END;
static uint32_t eeprom_credit = WITHOUT_END;
static uint32_t line_room = WITHOUT_END;
static uint32_t written_ms;
static uint16_t written_at;
static uint8_t answer[1 << 20];
static uint32_t answered;

static void wrong(const char *what)
{
    fprintf(stderr, "board_core: %s\n", what);
    abort();
}

uint8_t hardware_eeprom_read(uint16_t at)
{
    if (at >= EEPROM_BYTES)
        wrong("read outside of the EEPROM");
    return image[at];
}

bool hardware_eeprom_write(uint16_t at, uint8_t value)
{
    if (at >= EEPROM_BYTES)
        wrong("write outside of the EEPROM");
    if (at < UID_BYTES)
        wrong("write over the uid");
    if (eeprom_credit == 0)
        return false;
    if (eeprom_credit != WITHOUT_END)
        eeprom_credit--;
    if (power_left == 0)
        return true;
    if (power_left != WITHOUT_END)
        power_left--;
    image[at] = value;
    written_at = at;
    return true;
}

uint8_t hardware_send_room(void)
{
    return line_room > UINT8_MAX ? UINT8_MAX : (uint8_t)line_room;
}

static void put(uint8_t byte)
{
    if (answered == sizeof answer)
        wrong("an answer too long");
    answer[answered++] = byte;
}

static void put_u32(uint32_t value)
{
    for (int shift = 0; shift < 32; shift += 8)
        put((uint8_t)(value >> shift));
}

void hardware_send(const uint8_t *bytes, uint8_t n)
{
    if (n > FRAME_SENT_MAX || n > line_room)
        wrong("a frame without room");
    if (line_room != WITHOUT_END)
        line_room -= n;
    for (uint8_t at = 0; at < n; at++)
        put(bytes[at]);
}

uint16_t hardware_free_ram(void)
{
    return 0;
}

uint16_t hardware_supply_mv(void)
{
    return 5000;
}

static uint8_t get(void)
{
    const int byte = getchar();
    if (byte == EOF)
        exit(0);
    return (uint8_t)byte;
}

static uint32_t get_u32(void)
{
    uint32_t value = 0;
    for (int shift = 0; shift < 32; shift += 8)
        value |= (uint32_t)get() << shift;
    return value;
}

/* last_event_id, boot_id, session, lost, waiting EEPROM records, states x INPUTS, n, then n times: boot_id,
 * event_id, t_ms, adc, count (each u32), input, states, bits, turn. */
static void hold(void)
{
    put_u32(board.last_event_id);
    put_u32(board.boot_id);
    put(board.numbering.session);
    put(board.ring.lost);
    put((uint8_t)(board.cells.n + (board.config_writer.dirty != 0)));
    for (int input = 0; input < INPUTS; input++)
        put(board.inputs[input].state);
    put(board.ring.n);
    for (int at = 0; at < board.ring.n; at++) {
        const struct held *held = &board.ring.held[at];
        put_u32(held->event.boot_id);
        put_u32(held->event.event_id);
        put_u32(held->event.t_ms);
        put_u32(held->event.adc);
        put_u32(held->event.count);
        put(held->event.input);
        put(held->event.states);
        put(held->event.bits);
        put(held->turn);
    }
}

static void receive(void)
{
    const uint32_t now_ms = get_u32();
    for (uint32_t left = get_u32(); left > 0; left--)
        board_receive(&board, get(), now_ms);
}

static void sample(void)
{
    const uint32_t now_ms = get_u32();
    uint16_t adc[INPUTS];
    for (int input = 0; input < INPUTS; input++) {
        adc[input] = get();
        adc[input] = (uint16_t)(adc[input] | get() << 8);
    }
    board_sample(&board, adc, now_ms);
}

static void tick_often(void)
{
    const uint32_t now_ms = get_u32();
    for (uint32_t left = get_u32(); left > 0; left--)
        board_tick(&board, now_ms - (left - 1));
}

static void fill_u32(uint32_t at, uint32_t value)
{
    for (int shift = 0; shift < 32; shift += 8)
        answer[at++] = (uint8_t)(value >> shift);
}

/* The loop of firmware_bridge/firmware/atmega328p/main.c while nothing is heard. */
static void live(void)
{
    uint32_t now_ms = get_u32(), passed_ms = 0;
    const uint32_t most_ms = get_u32();
    uint16_t adc[INPUTS];
    for (int input = 0; input < INPUTS; input++) {
        adc[input] = get();
        adc[input] = (uint16_t)(adc[input] | get() << 8);
    }
    put_u32(0);
    put_u32(0);
    while (passed_ms < most_ms && answered == 8) {
        passed_ms++;
        now_ms++;
        line_room = line_room > LINE_BUFFER - LINE_BYTES_A_MS ? LINE_BUFFER : line_room + LINE_BYTES_A_MS;
        const uint32_t credit = now_ms - written_ms >= EEPROM_WRITE_MS;
        eeprom_credit = credit;
        if (now_ms % SAMPLE_EVERY_MS == 0)
            board_sample(&board, adc, now_ms);
        board_tick(&board, now_ms);
        if (eeprom_credit < credit)
            written_ms = now_ms;
        eeprom_credit = 0; /* nothing is written between two turns */
    }
    fill_u32(0, passed_ms);
    fill_u32(4, board.last_event_id);
}

static void cut(void)
{
    if (get_u32() - written_ms < EEPROM_WRITE_MS && written_at >= UID_BYTES)
        image[written_at] = 0xFF;
}

static void outputs(void)
{
    const struct outputs driven = board_outputs(&board, get_u32());
    put((uint8_t)(driven.siren | driven.led << 1 | driven.fault_led << 2));
}

static void classify_all(void)
{
    const uint8_t before = get();
    uint8_t payload[CONFIG_BYTES];
    for (int at = 0; at < CONFIG_BYTES; at++)
        payload[at] = get();
    struct config config;
    if (!config_get(&config, payload))
        wrong("a configuration that no input can have");
    for (uint16_t adc = 0; adc < 1024; adc++)
        put(classify(adc, &config, before));
}

static void obey(int command)
{
    uint8_t cause;
    switch (command) {
    case 'E':
        for (int at = 0; at < EEPROM_BYTES; at++)
            image[at] = get();
        break;
    case 'S':
        cause = get();
        memset(&board, 0xAA, sizeof board); /* nothing may depend on what was in RAM */
        board_start(&board, (enum reset_cause)cause, get_u32());
        written_ms = (uint32_t)-EEPROM_WRITE_MS;
        written_at = 0;
        break;
    case 'R':
        receive();
        break;
    case 'A':
        sample();
        break;
    case 'T':
        board_tick(&board, get_u32());
        break;
    case 'C':
        tick_often();
        break;
    case 'Q':
        live();
        break;
    case 'X':
        cut();
        break;
    case 'O':
        outputs();
        break;
    case 'P':
        power_left = get_u32();
        break;
    case 'W':
        eeprom_credit = get_u32();
        break;
    case 'L':
        line_room = get_u32();
        break;
    case 'I':
        for (int at = 0; at < EEPROM_BYTES; at++)
            put(image[at]);
        break;
    case 'H':
        hold();
        break;
    case 'D':
        classify_all();
        break;
    default:
        wrong("a command that is not known");
    }
}

int main(void)
{
    int command;
    while ((command = getchar()) != EOF) {
        answered = 0;
        obey(command);
        for (int shift = 0; shift < 32; shift += 8)
            putchar((int)(answered >> shift & 0xFF));
        fwrite(answer, 1, answered, stdout);
        fflush(stdout);
    }
    return 0;
}
