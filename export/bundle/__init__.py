"""What leaves for the device."""
