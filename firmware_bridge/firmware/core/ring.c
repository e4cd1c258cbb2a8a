/* See ring.h. */
#include "ring.h"

#include "bytes.h"

/* An event that was received and not committed is sent again after this wait; the last one stays. */
static const uint16_t COMMIT_WAIT_MS[] = {2000, 4000, 8000};
#define LAST_WAIT (sizeof COMMIT_WAIT_MS / sizeof COMMIT_WAIT_MS[0] - 1)

static bool is_press(const struct held *held)
{
    return held->cell != NO_CELL;
}

static void take_out(struct ring *ring, uint8_t at)
{
    ring->n--;
    for (; at < ring->n; at++)
        ring->held[at] = ring->held[at + 1];
}

static uint16_t sum(uint16_t one, uint16_t other)
{
    return one > UINT16_MAX - other ? UINT16_MAX : (uint16_t)(one + other);
}

static void keep(struct cells *cells, uint8_t number, const struct event *event)
{
    const struct cell cell = {
        .mark = MARK_PENDING,
        .input = event->input,
        .previous = event->states >> 4,
        .count = event->count,
        .boot_id = event->boot_id,
        .event_id = event->event_id,
    };
    cells_keep(cells, number, &cell);
}

/* Keep a press that counts for what `old` holds as well, and for `other` unless that is NO_CELL; its cell. The old
 * ones are whole until the new one is. One that only waits to be written keeps nothing yet, but what it was to take
 * over from is cleared right behind it: so the new press takes its place in the queue. */
static uint8_t keep_instead(struct cells *cells, uint8_t old, uint8_t other, const struct event *event)
{
    uint8_t number = old;
    const uint8_t old_at = cells_waits_at(cells, old);
    const uint8_t other_at = other == NO_CELL ? NO_CELL : cells_waits_at(cells, other);
    if (other_at < old_at)
        number = other;
    else if (old_at == NO_CELL)
        number = cells_free(cells);
    if (number == NO_CELL) /* only at a start that finds seventeen presses: the ring leaves one cell free */
        number = old;
    keep(cells, number, event);
    if (number != old)
        cells_clear(cells, old);
    if (other != NO_CELL && number != other)
        cells_clear(cells, other);
    return number;
}

/* The ring is full of presses and none is of the input of the new one: two of another input become one. */
static void merge_two(struct ring *ring, struct cells *cells)
{
    for (uint8_t at = 1; at < ring->n; at++) {
        for (uint8_t earlier = 0; earlier < at; earlier++) {
            struct held *younger = &ring->held[at];
            if (ring->held[earlier].event.input != younger->event.input)
                continue;
            younger->event.count = sum(younger->event.count, ring->held[earlier].event.count);
            younger->cell = keep_instead(cells, younger->cell, ring->held[earlier].cell, &younger->event);
            take_out(ring, earlier);
            return;
        }
    }
    cells_clear(cells, ring->held[0].cell); /* more panic inputs than places: no board is built so */
    take_out(ring, 0);
    ring->lost = true;
}

/* Give up what tells least. *instead_of is the cell whose press `event` now counts for as well, or NO_CELL. False:
 * it is the new event itself that tells least. */
static bool make_room(struct ring *ring, struct cells *cells, struct event *event, bool press, uint8_t *instead_of)
{
    for (uint8_t at = 0; at < ring->n; at++) {
        if (!is_press(&ring->held[at])) {
            take_out(ring, at);
            ring->lost = true;
            return true;
        }
    }
    if (!press) {
        ring->lost = true;
        return false;
    }
    for (uint8_t at = ring->n; at-- > 0;) {
        const struct held *same = &ring->held[at];
        if (same->event.input == event->input) {
            event->count = sum(event->count, same->event.count);
            *instead_of = same->cell;
            take_out(ring, at);
            return true;
        }
    }
    merge_two(ring, cells);
    return true;
}

static void append(struct ring *ring, const struct event *event, uint8_t cell)
{
    struct held *held = &ring->held[ring->n++];
    held->event = *event;
    held->cell = cell;
    held->turn = TURN_NOW;
    held->times = 0;
    held->old = false;
}

void ring_add(struct ring *ring, struct cells *cells, struct event event, bool press)
{
    uint8_t cell = NO_CELL;
    uint8_t instead_of = NO_CELL;
    if (ring->n >= PLACES && !make_room(ring, cells, &event, press, &instead_of))
        return;
    if (press && instead_of != NO_CELL) {
        cell = keep_instead(cells, instead_of, NO_CELL, &event);
    } else if (press) {
        cell = cells_free(cells);
        keep(cells, cell, &event);
    }
    if (ring->lost)
        event.bits |= EVENT_LOST_BEFORE;
    append(ring, &event, cell);
}

static bool before(const struct cell *one, const struct cell *other)
{
    return one->boot_id != other->boot_id ? one->boot_id < other->boot_id : one->event_id < other->event_id;
}

/* The oldest pending cell that is younger than `last` (the oldest of all for NO_CELL), or NO_CELL. Of two with one
 * key, which a power cut between writing one and clearing the other leaves, the one that counts more. */
static uint8_t next_kept(struct cells *cells, uint8_t last)
{
    uint8_t found = NO_CELL;
    for (uint8_t number = 0; number < CELLS; number++) {
        const struct cell *cell = &cells->cell[number];
        if (cell->mark != MARK_PENDING || (last != NO_CELL && !before(&cells->cell[last], cell)))
            continue;
        if (found == NO_CELL || before(cell, &cells->cell[found])) {
            found = number;
        } else if (!before(&cells->cell[found], cell)) {
            const bool more = cell->count > cells->cell[found].count;
            cells_clear(cells, more ? found : number);
            found = more ? number : found;
        }
    }
    return found;
}

void ring_start(struct ring *ring, struct cells *cells)
{
    ring->n = 0;
    ring->lost = false;
    uint8_t number = NO_CELL;
    while ((number = next_kept(cells, number)) != NO_CELL) {
        const struct cell *cell = &cells->cell[number];
        struct event event = {
            .boot_id = cell->boot_id,
            .event_id = cell->event_id,
            .count = cell->count,
            .input = cell->input,
            .states = (uint8_t)(cell->previous << 4 | ALARM),
            .bits = EVENT_FROM_LATCH,
        };
        uint8_t instead_of = NO_CELL;
        if (ring->n >= PLACES)
            (void)make_room(ring, cells, &event, true, &instead_of);
        if (event.count != cell->count)
            keep(cells, number, &event);
        append(ring, &event, number);
        if (instead_of != NO_CELL)
            cells_clear(cells, instead_of);
    }
}

static uint8_t place_of(const struct ring *ring, uint32_t boot_id, uint32_t event_id)
{
    for (uint8_t at = 0; at < ring->n; at++)
        if (ring->held[at].event.boot_id == boot_id && ring->held[at].event.event_id == event_id)
            return at;
    return PLACES;
}

void ring_forget(struct ring *ring, struct cells *cells, uint32_t boot_id, uint32_t event_id, uint16_t in_alarm)
{
    const uint8_t found = place_of(ring, boot_id, event_id);
    if (found == PLACES)
        return;
    const uint8_t number = ring->held[found].cell;
    take_out(ring, found);
    if (number == NO_CELL)
        return;
    struct cell cell = cells->cell[number];
    bool still_held = cell.input < INPUTS && (in_alarm & 1u << cell.input) != 0;
    for (uint8_t at = 0; at < ring->n; at++)
        if (is_press(&ring->held[at]) && ring->held[at].event.input == cell.input)
            still_held = false; /* a younger press says so too */
    if (still_held) {
        cell.mark = MARK_COMMITTED;
        cells_keep(cells, number, &cell);
    } else {
        cells_clear(cells, number);
    }
}

void ring_restored(struct cells *cells, uint8_t input)
{
    for (uint8_t number = 0; number < CELLS; number++)
        if (cells->cell[number].mark == MARK_COMMITTED && cells->cell[number].input == input)
            cells_clear(cells, number);
}

bool ring_known_in_alarm(const struct cells *cells, uint8_t input)
{
    for (uint8_t number = 0; number < CELLS; number++)
        if (cells->cell[number].mark != MARK_EMPTY && cells->cell[number].input == input)
            return true;
    return false;
}

void ring_session_began(struct ring *ring)
{
    for (uint8_t at = 0; at < ring->n; at++) {
        ring->held[at].turn = TURN_NOW;
        ring->held[at].times = 0;
    }
}

uint8_t ring_next_due(const struct ring *ring)
{
    uint8_t again = PLACES;
    for (uint8_t at = 0; at < ring->n; at++) {
        if (ring->held[at].turn == TURN_NOW)
            return at;
        if (ring->held[at].turn == TURN_AGAIN && again == PLACES)
            again = at;
    }
    return again;
}

void ring_received(struct ring *ring, uint32_t boot_id, uint32_t event_id, uint32_t now_ms)
{
    const uint8_t found = place_of(ring, boot_id, event_id);
    if (found == PLACES)
        return;
    struct held *held = &ring->held[found];
    held->turn = TURN_LATER;
    held->again_ms = now_ms + COMMIT_WAIT_MS[held->times];
    if (held->times < LAST_WAIT)
        held->times++;
}

void ring_tick(struct ring *ring, uint32_t now_ms)
{
    for (uint8_t at = 0; at < ring->n; at++) {
        struct held *held = &ring->held[at];
        if (held->turn == TURN_LATER && has_come(held->again_ms, now_ms))
            held->turn = TURN_AGAIN;
        if (now_ms - held->event.t_ms >= UINT16_MAX)
            held->old = true;
    }
}

uint16_t ring_age_ms(const struct ring *ring, uint32_t now_ms)
{
    for (uint8_t at = 0; at < ring->n; at++) {
        const struct held *held = &ring->held[at];
        if (held->event.bits & EVENT_FROM_LATCH)
            continue;
        const uint32_t age_ms = now_ms - held->event.t_ms;
        return held->old || age_ms > UINT16_MAX ? UINT16_MAX : (uint16_t)age_ms;
    }
    return 0;
}

uint8_t ring_presses(const struct ring *ring)
{
    uint8_t presses = 0;
    for (uint8_t at = 0; at < ring->n; at++)
        presses = (uint8_t)(presses + is_press(&ring->held[at]));
    return presses;
}
