"""A world made of an inventory: the answers that a real cluster gave, by API path."""
