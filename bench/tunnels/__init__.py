"""What is compared. Each puts a tunnel between two hosts, as its users would."""
