"""Personal data and secrets: found, checked, replaced by placeholders."""
