"""What a CQL text says: tokens, markers, what repeating it would do, literals, and what must not be shown of it."""
