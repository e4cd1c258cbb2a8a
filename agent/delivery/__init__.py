"""From a committed event to a receipt: outbox, store and routes."""
