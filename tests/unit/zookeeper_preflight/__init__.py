"""What preflight of the role zookeeper sees, and refuses."""
