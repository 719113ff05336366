"""What each kernel op means: its reference in numpy, its tolerance in epsilons, and the inputs it is defined for."""
