"""What talks to ZooKeeper: sessions, each on one connection after the other. Only this knows kazoo."""
