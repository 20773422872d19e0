"""Who may ask: API keys, roles, rates."""
