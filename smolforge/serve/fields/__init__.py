"""Request bodies as typed models that forbid unknown fields: what is not listed there is refused by name."""
