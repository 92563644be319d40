"""A master/worker application coordinated by ZooKeeper."""
