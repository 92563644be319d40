"""`make demo`: the story of failures, played with chaos/, recorded, and told by demo/report."""
