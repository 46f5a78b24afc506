"""Real servers without installing any: found in wheels or on PATH, in the foreground, ended with their parent."""
