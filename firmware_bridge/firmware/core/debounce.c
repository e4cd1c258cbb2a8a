/* See debounce.h. */
#include "debounce.h"

struct config config_default(uint8_t kind)
{
    const struct config config = {
        .kind = kind,
        .mode = MODE_END_OF_LINE,
        .debounce_ms = kind == INPUT_PANIC ? PANIC_DEBOUNCE_MS : CONTACT_DEBOUNCE_MS,
        .edge = {150, 490, 570, 631, 800, 930},
    };
    return config;
}

static uint8_t dry(uint8_t mode, bool closed)
{
    return closed == (mode == MODE_CLOSES_ON_ALARM) ? ALARM : NORMAL;
}

/* Both ends are in the band. An end may lie outside of what an ADC gives, and a threshold that the host sent may be
 * anything, so they are wider than 16 bits. A state without a band has an empty one. */
struct band {
    int32_t low;
    int32_t high;
};

static struct band band_of(const struct config *config, uint8_t state)
{
    const uint16_t *edge = config->edge;
    switch (state) {
    case SHORT:
        return (struct band){-1, (int32_t)edge[SHORT_BELOW] - 1};
    case NORMAL:
        return (struct band){edge[NORMAL_FROM], edge[NORMAL_TO]};
    case ALARM:
        return (struct band){edge[ALARM_FROM], edge[ALARM_TO]};
    case OPEN:
        return (struct band){(int32_t)edge[OPEN_ABOVE] + 1, 1024};
    default:
        return (struct band){HYSTERESIS_COUNTS, -HYSTERESIS_COUNTS - 1};
    }
}

static bool within(struct band band, int32_t narrower, uint16_t adc)
{
    return band.low + narrower <= adc && adc <= band.high - narrower;
}

uint8_t classify(uint16_t adc, const struct config *config, uint8_t before)
{
    static const uint8_t order[] = {SHORT, NORMAL, ALARM, OPEN};
    if (config->mode != MODE_END_OF_LINE) {
        const bool was_open = before == dry(config->mode, false);
        const uint16_t edge = was_open ? DRY_THRESHOLD - HYSTERESIS_COUNTS : DRY_THRESHOLD + HYSTERESIS_COUNTS;
        return dry(config->mode, adc < edge);
    }
    if (within(band_of(config, before), -HYSTERESIS_COUNTS, adc))
        return before;
    const int8_t inside = before == FAULT ? HYSTERESIS_COUNTS : 0;
    for (uint8_t at = 0; at < sizeof order; at++) {
        struct band band = band_of(config, order[at]);
        /* An end at the rail of the ADC has nothing beyond it that it could be told from. */
        band.low += band.low > 0 ? inside : 0;
        band.high -= band.high < 1023 ? inside : 0;
        if (within(band, 0, adc))
            return order[at];
    }
    return FAULT;
}

bool debounce_step(struct settled *known, uint8_t seen, uint32_t now_ms, uint16_t debounce_ms, struct change *change)
{
    if (seen == known->state || seen != known->pending) {
        known->pending = seen;
        known->since_ms = now_ms;
        return false;
    }
    if (now_ms - known->since_ms < debounce_ms)
        return false;
    change->previous = known->state;
    change->at_ms = known->since_ms;
    known->state = seen;
    known->since_ms = now_ms;
    return true;
}
