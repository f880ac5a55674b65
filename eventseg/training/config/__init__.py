"""Training configuration: settings, TOML tables and recipes."""
