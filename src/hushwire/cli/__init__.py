"""What people type, one file for each verb."""
