"""What the demo's record tells, drawn and written. It reads events, and knows nothing of what made them."""
