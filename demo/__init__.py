"""`make demo`: the story of failures, played with what is in chaos/, recorded, and told by demo/report."""
