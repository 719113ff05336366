"""What stands before and after the network: numpy only, shared by training, the build and the device."""
