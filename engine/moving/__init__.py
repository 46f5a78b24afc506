"""Taking an event over from a pretix, by its own API: catalogue, orders, and a comparison at the end."""
