/* See eeprom.h. */
#include "eeprom.h"

#include "bytes.h"
#include "frame.h"
#include "hardware.h"

#define BOOT_AT 8
#define BOOT_BODY_BYTES 4
#define WATCHDOG_AT 20
#define WATCHDOG_BODY_BYTES 2
#define CELLS_AT 32
#define CELL_PLACE_BYTES 16
#define CONFIG_AT 288
#define CONFIG_PLACE_BYTES 20
#define LAST_CELL_AT 928 /* behind the configuration of 32 inputs */

/* -- records that are small and written at once -- */

static void write_now(uint16_t at, uint8_t value)
{
    /* The chip is ready again after 3.4 ms; the bound is for one whose EEPROM is broken. */
    for (uint16_t tries = 0; tries < UINT16_MAX && !hardware_eeprom_write(at, value); tries++) {
    }
}

/* Read `n` bytes and their CRC; false when it does not match. */
static bool read_record(uint16_t at, uint8_t *body, uint8_t n)
{
    for (uint8_t index = 0; index < n; index++)
        body[index] = hardware_eeprom_read((uint16_t)(at + index));
    const uint8_t high = hardware_eeprom_read((uint16_t)(at + n));
    const uint8_t low = hardware_eeprom_read((uint16_t)(at + n + 1));
    return crc16(body, n) == (uint16_t)((uint16_t)high << 8 | low);
}

/* A counter of `n` bytes in two copies that are written in turn: the newest value, 0 for none; *other is where the
 * next value goes. */
static uint32_t read_counter(uint16_t at, uint8_t n, uint16_t *other)
{
    const uint16_t copy_at[2] = {at, (uint16_t)(at + n + CRC_BYTES)};
    uint32_t newest = 0;
    bool first_is_newest = false;
    for (uint8_t copy = 0; copy < 2; copy++) {
        uint8_t body[BOOT_BODY_BYTES];
        if (!read_record(copy_at[copy], body, n))
            continue;
        const uint32_t value = n == WATCHDOG_BODY_BYTES ? get16(body) : get32(body);
        if (value > newest || (copy == 0 && value == newest)) {
            newest = value;
            first_is_newest = copy == 0;
        }
    }
    *other = copy_at[first_is_newest ? 1 : 0];
    return newest;
}

static void write_counter(uint16_t at, uint8_t n, uint32_t value)
{
    uint8_t record[BOOT_BODY_BYTES + CRC_BYTES];
    if (n == WATCHDOG_BODY_BYTES)
        put16(record, (uint16_t)value);
    else
        put32(record, value);
    put16(record + n, crc16(record, n));
    for (uint8_t left = (uint8_t)(n + CRC_BYTES); left > 0; left--)
        write_now((uint16_t)(at + left - 1), record[left - 1]);
}

uint32_t boot_count(void)
{
    uint16_t other;
    const uint32_t boot_id = read_counter(BOOT_AT, BOOT_BODY_BYTES, &other) + 1;
    write_counter(other, BOOT_BODY_BYTES, boot_id);
    return boot_id;
}

uint16_t watchdog_count(bool one_more)
{
    uint16_t other;
    uint32_t count = read_counter(WATCHDOG_AT, WATCHDOG_BODY_BYTES, &other);
    if (one_more && count < UINT16_MAX)
        write_counter(other, WATCHDOG_BODY_BYTES, ++count);
    return (uint16_t)count;
}

/* -- panic cells -- */

static uint16_t cell_at(uint8_t number)
{
    return number < PLACES ? (uint16_t)(CELLS_AT + number * CELL_PLACE_BYTES) : LAST_CELL_AT;
}

void cells_start(struct cells *cells)
{
    cells->n = 0;
    cells->bytes_left = 0;
    cells->last_used = CELLS - 1;
    for (uint8_t number = 0; number < CELLS; number++) {
        struct cell *cell = &cells->cell[number];
        uint8_t body[CELL_BODY_BYTES];
        const bool whole = read_record(cell_at(number), body, CELL_BODY_BYTES);
        cell->mark = body[0];
        if (cell->mark == MARK_PENDING
            && hardware_eeprom_read((uint16_t)(cell_at(number) + CELL_COMMITTED_AT)) == MARK_COMMITTED)
            cell->mark = MARK_COMMITTED;
        cell->input = body[1];
        cell->boot_id = get32(body + 2);
        cell->event_id = get32(body + 6);
        cell->count = get16(body + 10);
        cell->previous = body[12];
        if (!whole || cell->previous > TAMPER || cell->input >= INPUTS_MAX || body[0] != MARK_PENDING)
            cell->mark = MARK_EMPTY;
    }
}

uint8_t cells_waits_at(const struct cells *cells, uint8_t number)
{
    for (uint8_t at = cells->bytes_left > 0 ? 1 : 0; at < cells->n; at++)
        if (cells->waiting[at] == number)
            return at;
    return NO_CELL;
}

static void changed(struct cells *cells, uint8_t number)
{
    if (cells_waits_at(cells, number) == NO_CELL)
        cells->waiting[cells->n++] = number;
}

void cells_keep(struct cells *cells, uint8_t number, const struct cell *cell)
{
    cells->cell[number] = *cell;
    changed(cells, number);
}

void cells_clear(struct cells *cells, uint8_t number)
{
    cells->cell[number].mark = MARK_EMPTY;
    changed(cells, number);
}

uint8_t cells_free(struct cells *cells)
{
    static const uint8_t wanted[] = {MARK_EMPTY, MARK_COMMITTED};
    for (uint8_t choice = 0; choice < sizeof wanted; choice++) {
        for (uint8_t step = 1; step <= CELLS; step++) {
            const uint8_t number = (uint8_t)((cells->last_used + step) % CELLS);
            if (cells->cell[number].mark == wanted[choice]) {
                cells->last_used = number;
                return number;
            }
        }
    }
    return NO_CELL;
}

/* Whether what lies at `at` is this record, but for whether it is committed. */
static bool lies_at(uint16_t at, const uint8_t *record)
{
    uint8_t index = 0;
    while (index < CELL_COMMITTED_AT && hardware_eeprom_read((uint16_t)(at + index)) == record[index])
        index++;
    return index == CELL_COMMITTED_AT;
}

static void begin_record(struct cells *cells, uint8_t number)
{
    const struct cell *cell = &cells->cell[number];
    uint8_t *record = cells->record;
    cells->bytes_left = 1;
    cells->down_to = 0;
    if (cell->mark == MARK_EMPTY) {
        record[0] = MARK_EMPTY;
        return;
    }
    record[0] = MARK_PENDING;
    record[1] = cell->input;
    put32(record + 2, cell->boot_id);
    put32(record + 6, cell->event_id);
    put16(record + 10, cell->count);
    record[12] = cell->previous;
    put16(record + CELL_BODY_BYTES, crc16(record, CELL_BODY_BYTES));
    record[CELL_COMMITTED_AT] = cell->mark == MARK_COMMITTED ? MARK_COMMITTED : MARK_EMPTY;
    cells->bytes_left = CELL_RECORD_BYTES;
    if (cell->mark == MARK_COMMITTED && lies_at(cell_at(number), record))
        cells->down_to = CELL_COMMITTED_AT;
}

bool cells_write(struct cells *cells)
{
    if (cells->n == 0)
        return false;
    const uint8_t number = cells->waiting[0];
    if (cells->bytes_left == 0)
        begin_record(cells, number);
    const uint8_t index = (uint8_t)(cells->bytes_left - 1);
    if (!hardware_eeprom_write((uint16_t)(cell_at(number) + index), cells->record[index]))
        return false;
    if (--cells->bytes_left == cells->down_to) {
        cells->bytes_left = 0;
        cells->n--;
        for (uint8_t at = 0; at < cells->n; at++)
            cells->waiting[at] = cells->waiting[at + 1];
    }
    return true;
}

/* -- configuration -- */

void config_put(const struct config *config, uint8_t number, uint8_t *payload)
{
    payload[0] = number;
    payload[1] = config->kind;
    payload[2] = config->mode;
    put16(payload + 3, config->debounce_ms);
    for (uint8_t edge = 0; edge < EDGES; edge++)
        put16(payload + 5 + 2 * edge, config->edge[edge]);
}

bool config_get(struct config *config, const uint8_t *payload)
{
    if (payload[1] < INPUT_PANIC || payload[1] > INPUT_CONTACT || payload[2] < MODE_END_OF_LINE
        || payload[2] > MODE_OPENS_ON_ALARM)
        return false;
    config->kind = payload[1];
    config->mode = payload[2];
    config->debounce_ms = get16(payload + 3);
    for (uint8_t edge = 0; edge < EDGES; edge++)
        config->edge[edge] = get16(payload + 5 + 2 * edge);
    return true;
}

static uint16_t config_at(uint8_t number)
{
    return (uint16_t)(CONFIG_AT + number * CONFIG_PLACE_BYTES);
}

bool config_read(struct config *config, uint8_t number)
{
    uint8_t payload[CONFIG_BYTES];
    return read_record(config_at(number), payload, CONFIG_BYTES) && payload[0] == number && config_get(config, payload);
}

void config_keep(struct config_writer *writer, uint8_t number)
{
    writer->dirty = (uint16_t)(writer->dirty | 1u << number);
    if (writer->input == number)
        writer->bytes_left = 0;
}

bool config_write(struct config_writer *writer, const struct config *configs)
{
    if (writer->dirty == 0)
        return false;
    if (writer->bytes_left == 0) {
        for (writer->input = 0; (writer->dirty & 1u << writer->input) == 0; writer->input++) {
        }
        writer->bytes_left = CONFIG_BYTES + CRC_BYTES;
    }
    uint8_t record[CONFIG_BYTES + CRC_BYTES];
    config_put(&configs[writer->input], writer->input, record);
    put16(record + CONFIG_BYTES, crc16(record, CONFIG_BYTES));
    const uint8_t index = (uint8_t)(writer->bytes_left - 1);
    if (!hardware_eeprom_write((uint16_t)(config_at(writer->input) + index), record[index]))
        return false;
    if (--writer->bytes_left == 0)
        writer->dirty = (uint16_t)(writer->dirty & ~(1u << writer->input));
    return true;
}
