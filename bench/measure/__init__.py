"""What is measured through a tunnel that is up."""
