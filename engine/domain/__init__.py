"""Pure rules: no I/O, no clock of their own, values in and values out."""
