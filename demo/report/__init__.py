"""Draws and writes what the demo's record tells. It reads events, and knows nothing of their source."""
